"""Decimals, dates and times in expressions: exact, by value, and in plain words where they do not belong together."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.expressions import EvaluationError, ExpressionError, compile_expression

TYPES = {"p": "decimal", "q": "decimal", "d": "date", "t": "datetime", "u": "datetime", "n": "int", "x": "float",
         "s": "str", "mixed": "mixed"}  # fmt: skip
ROW: dict[str, Any] = {"p": "0.10", "q": "12.50", "d": "2024-03-01", "t": "2024-03-01T00:30:00+01:00", "n": 3, "x": 0.5,
                       "u": "2024-03-01T00:30:00", "s": "0.10", "l": [1, 0.5, "a", None], "z": None}  # fmt: skip


def value(text: str, row: dict[str, Any] = ROW) -> Any:
    return compile_expression(text, TYPES).evaluate(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("row['p'] + row['q']", "12.60"),
        ("sum([row['p'], row['p'], row['p']])", "0.30"),
        ("row['p'] * 3 == decimal('0.3')", True),
        ("decimal('1') / 3", "0." + "3" * 34),
        ("decimal('123456789012345678901234567890123456789012') / 1", "123456789012345678901234567890123456789012"),
        ("decimal('99999999999999999999999999999.99') + decimal('0.01')", "100000000000000000000000000000.00"),
        ("-decimal('0.12345678901234567890123456789012345')", "-0.12345678901234567890123456789012345"),
        ("abs(-decimal('0.12345678901234567890123456789012345'))", "0.12345678901234567890123456789012345"),
        ("-row['q'] % 5", "2.50"),
        ("round(row['q'] / 7, 2)", "1.79"),
        ("round(decimal('0.5'))", 0),
        ("round(decimal('1250'), -2)", "1200"),
        ("str(row['q']) + ' EUR'", "12.50 EUR"),
        ("int(decimal('7.00'))", 7),
        ("float(row['q'])", 12.5),
        ("[row['p'], {'day': row['d']}]", ["0.10", {"day": "2024-03-01"}]),
        ("row.get('none', row['p'])", "0.10"),
        ("[row['p']] if row['d'] > row['d'] else [row['q']] + ['a']", ["12.50", "a"]),
        ("all([row['p']]) if row['z'] else {'a': row['p']}", {"a": "0.10"}),
        ("[row['p'], 1] < [decimal('0.1'), 2]", True),
        ("[row['p']] == [decimal('0.1')]", True),
        ("row['q'] if row['p'] else 'nothing'", "12.50"),
        ("row['p'] in (decimal('0.1'), None)", True),
        ("contains([row['q'], 5], decimal('5.0'))", True),
        ("row['z'] == row['p']", False),
        ("is_null(row.get('gone'))", True),
        ("row['t'] == datetime('2024-02-29T23:30:00Z')", True),
        ("max(row['d'], date('2024-02-29'))", "2024-03-01"),
        ("days_between(row['d'], row['t'])", 0),
        ("days_between(date('2024-03-01'), date('2024-02-28'))", -2),
        ("row['l'][0] + row['p']", "1.10"),
        ("decimal(row['n']) * row['p']", "0.30"),
    ],
)
def test_they_are_exact_and_compared_by_value(text: str, expected: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row['p'] + row['l'][1]", "+ does not work between a decimal and a float, which is not exact: decimal(str(x)) "
         "takes the digits of a float (l is [1, 0.5, 'a', None], p is '0.10')"),
        ("row['l'][2] == row['p']", "== does not work between a text and a decimal: decimal(x) makes an exact number "
         "of a text"),
        ("row['d'] > row['l'][2]", "> does not work between a date and a text: date(x) makes one of a text"),
        ("row['p'] < row['z']", "< does not work between a decimal and null: coalesce(x, y) gives y for null"),
        ("row['t'] < row['u']", "< does not compare a time that has an offset from UTC with one that has none"),
        ("row['t'] == row['u']", "== does not compare a time that has an offset from UTC with one that has none"),
        ("[row['p']] == [0.1]", "== does not work between a decimal and a float"),
        ("{'a': row['d']} != {'a': row['s']}", "!= does not work between a date and a text"),
        ("[1, row['p']] < [1, row['x']]", "< does not work between a decimal and a float"),
        ("row['p'] in row['l']", "in does not work between a decimal and a float"),
        ("row['d'] - row['d']", "- does not work between a date and a date: days_between(a, b) counts days"),
        ("min(row['p'], 0.5)", "min does not work between a decimal and a float"),
        ("sum([row['p'], 0.5])", "sum takes decimals and whole numbers, not 0.5 (a float) among them"),
        ("row['p'] / 0", "division by zero"),
        ("row['p'] // decimal('0')", "division by zero"),
        ("row['p'] ** -1", "** takes a decimal to a whole power from 0 up"),
        ("row['q'] ** 9999", "the result has more than 10,000 digits"),
        ("int(row['q'])", "int cannot take 12.50 (a decimal): round(x) gives the nearest"),
        ("decimal(row['x'])", "decimal cannot take 0.5 (a float), which is not exact"),
        ("decimal(row['z'])", "decimal takes a text or a whole number, not null: coalesce(x, y) gives y for null"),
        ("date(str(row['n']))", "date cannot take '3' (text): it is no date such as 2024-03-01"),
        ("days_between(row['s'], row['d'])", "days_between takes two dates or times, not '0.10' (a text): date(x)"),
        ("lower(row['p'])", "lower takes a text, not decimal('0.10') (decimal)"),
        ("bool(row['p'])", "bool cannot take"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_said_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value(text)
    assert words in caught.value.reason


@pytest.mark.parametrize("bad", ["x", "NaN", "Infinity", 0.5, True, [1], "9" * 10_001])
def test_a_field_that_does_not_hold_its_type_refuses_the_row_and_names_it(bad: Any) -> None:
    with pytest.raises(EvaluationError, match="a field of type decimal holds"):
        value("row['p'] > 0", {"p": bad})
    with pytest.raises(EvaluationError, match="a field of type date holds"):
        value("row['d'] == row['d']", {"d": bad})


def test_null_in_a_typed_field_stays_null() -> None:
    assert value("coalesce(row['p'], 0) + 1", {"p": None}) == 1
    assert value("row['d'] is None", {"d": None}) is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lower(row['p'])", "lower of a value that is decimal: it takes a text (str(x) gives the text of a decimal)"),
        ("lower(row['n'])", "lower of a value that is int: it takes a text"),
        ("len(row['n'])", "len of a value that is int: it takes a text, a list or a mapping"),
        ("round(row['s'])", "round of a value that is text: it takes a number"),
        ("startswith('a', row['n'])", "startswith of a value that is int: it takes two texts"),
        ("matches('a', row['n'])", "matches of a value that is int: it takes a text"),
        ("decimal(row['x'])", "for a float is not exact (decimal(str(x)) takes its digits)"),
        ("days_between(row['d'], row['s'])", "it takes two dates or times (date(x) makes one of a text)"),
        (
            "row['p'] > 0.5",
            "> between a value that is decimal and one that is float, which is not exact (write decimal(",
        ),
        ("row['p'] + row['x']", "+ between a value that is decimal and one that is float, which is not exact"),
        (
            "row['p'] == '0.10'",
            "== between a value that is decimal and one that is text (decimal(x) makes one of a text)",
        ),
        ("row['d'] < row['t']", "< between a value that is date and one that is datetime (date(x) gives the day"),
        ("row['d'] - date('2024-01-01')", "- of two values that are date (days_between(a, b) counts days)"),
        ("row['mixed'] == 1", "row['mixed'] has one type by one way and another by another"),
        ("1 if is_null(row['p']) else upper(row['p'])", "upper of a value that is decimal"),
    ],
)
def test_what_has_no_value_for_any_row_is_known_before(text: str, words: str) -> None:
    (problem,) = compile_expression(text, TYPES).problems
    assert words in problem.sentence
    assert "(column " in problem.sentence


@pytest.mark.parametrize(
    "text",
    ["row['p'] > 0", "row['p'] in [1, 2]", "row['p'] == None", "lower(row['unknown'])", "row['l'][0] + row['p']",
     "coalesce(row['s'], row['p'])", "str(row['p'])", "round(row['n'])", "date(row['s'])", "lower(row['l'])",
     "len(split(row['s'], ','))", "abs(row['n'] - 1)", "sum([row['p']])", "row['p'] is None"],
)  # fmt: skip
def test_what_may_have_a_value_is_no_problem(text: str) -> None:
    assert compile_expression(text, TYPES).problems == ()


@pytest.mark.parametrize("text", ["decimal('x')", "decimal(0.5)", "date('2024-02-30')", "datetime('2024-02-01')"])
def test_one_that_is_written_out_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot take"):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("row['p'] * 2", "decimal"), ("row['n'] * 2", "int"), ("row['p'] > 1", "bool"), ("str(row['p'])", "str"),
     ("date(row['t'])", "date"), ("row['p'] if row['n'] else 0", "decimal"), ("coalesce(row['p'], row['s'])", None),
     ("row['unknown']", None), ("round(row['p'], 2)", "decimal"), ("round(row['p'])", "int"), ("None", None)],
)  # fmt: skip
def test_the_kind_of_the_value_is_known_where_it_can_be(text: str, kind: str | None) -> None:
    assert compile_expression(text, TYPES).kind == kind


def test_an_expression_without_them_is_compiled_as_if_there_were_no_types() -> None:
    for text in ("row['n'] * 2 > 5 and lower(row['s']) == 'x'", "row['x'] + row['n']", "max(row['l'])"):
        typed, plain = compile_expression(text, TYPES), compile_expression(text)
        assert typed.evaluate.__code__.co_code == plain.evaluate.__code__.co_code
