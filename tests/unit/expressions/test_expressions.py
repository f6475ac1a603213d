"""Conditions and computed values: what is allowed, what is refused, and that nothing runs away."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.expressions import MAX_LENGTH, EvaluationError, ExpressionError, compile_expression
from elspeth.expressions.limits import MAX_BITS, MAX_REPEAT

ROW: dict[str, Any] = {
    "amount": 1500,
    "rate": 0.25,
    "name": "Ann",
    "tags": ["a", "b"],
    "none": None,
    "flag": True,
    "who": {"age": 41, "langs": ["en", "mi"]},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("row['amount'] > 1000", True),
        ("1000 < row['amount'] <= 1500", True),
        ("row['name'] == 'Ann' and not row['none']", True),
        ("row['amount'] * 2 - 1", 2999),
        ("row['amount'] * row['rate']", 375.0),
        ("row['amount'] // 7 % 5", 4),
        ("row['rate'] ** 2", 0.0625),
        ("-row['amount']", -1500),
        ("row['name'] + '!' * 3", "Ann!!!"),
        ("3 * row['name']", "AnnAnnAnn"),
        ("'a' in row['tags']", True),
        ("'zz' not in row", True),
        ("row['name'] in ('Ann', 'Bob')", True),
        ("row['name'] in {'Ann', 'Bob'}", True),
        ("(row['name'], row['flag']) == ('Ann', True)", True),
        ("row['none'] is None", True),
        ("row['none'] is not None", False),
        ("row['flag'] is True", True),
        ("'high' if row['amount'] > 1000 else 'low'", "high"),
        ("row['missing'] if 'missing' in row else 0", 0),
        ("row.get('missing', 7)", 7),
        ("row.get('missing')", None),
        ("row['who']['langs'][-1]", "mi"),
        ("row.get('who', {})['age']", 41),
        ("row['name'][:2]", "An"),
        ("[row['amount'], {'n': row['name']}]", [1500, {"n": "Ann"}]),
        ("row['none'] or 'default'", "default"),
        ("row['amount']\n  > 1000\n", True),
        ("row['amount'] > 1000  # large", True),
    ],
)
def test_an_allowed_expression_has_the_value_python_gives_it(text: str, value: Any) -> None:
    result = compile_expression(text).evaluate(ROW)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("amount > 3", 1, "row['amount']"),
        ("row['a'] > foo", 12, "the name 'foo'"),
        ("  row['é'] > foo", 14, "the name 'foo'"),
        ("row['a'] == true", 13, "did you mean True?"),
        ("row", 1, "the row as a whole"),
        ("row == row", 1, "the row as a whole"),
        ("row[1]", 5, "text literal"),
        ("row[row['a']]", 5, "text literal"),
        ("row['a'] in row", 1, "text literal"),
        ("row['a'", 4, "never closed"),
        ("row['a'] if", 11, "not an expression"),
        ("", 1, "nothing there"),
        ("   ", 1, "nothing there"),
        ("a = 1", 3, "not an expression"),
        ("row['a'].upper()", 1, "a call"),
        ("row.pop('a')", 1, "a call"),
        ("row.get(row['a'])", 9, "text literal"),
        ("row.get('a', default=1)", 1, "row.get"),
        ("row['a'].real", 1, "an attribute"),
        ("__import__('os')", 1, "a call"),
        ("[x for x in row['a']]", 1, "a comprehension"),
        ("f'{1}'", 1, "an f-string"),
        ("lambda: 0", 1, "a lambda"),
        ("(x := 1)", 2, "an assignment"),
        ("[*row['a']]", 2, "a starred value"),
        ("1 << 3", 1, "the operator <<"),
        ("~row['a']", 1, "the operator ~"),
        ("1j", 1, "a complex literal"),
        ("b'x'", 1, "a bytes literal"),
        ("1e999", 1, "a number too large"),
        ("...", 1, "literal"),
        ("(1, 2)", 1, "outside a comparison"),
        ("{1, 2}", 1, "outside a comparison"),
        ("'abc'[0]", 1, "a subscript"),
        ("row['a'][::2]", 12, "a slice with a step"),
        ("row['a'] is 3", 13, "`is`"),
        ("{row['a']: 1}", 2, "dict key"),
        ("row['a'] > 1 # note\n and row['b']", 14, "a #"),
        ("\x00", 1, "null bytes"),
        ("'\ud800' +", 1, "not an expression"),
        ("(" * 300 + ")" * 300, 201, "nested"),
        ("1" + "+1" * 200, 1, "nested"),
        ("'" + "x" * MAX_LENGTH + "'", MAX_LENGTH + 1, "longer than"),
    ],
)
def test_anything_else_is_refused_with_its_column_and_what_is_allowed(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert words in caught.value.reason
    assert caught.value.column == column
    assert "row.get('x', default)" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row['amuont'] > 1", "the row has no field 'amuont'; did you mean 'amount'?"),
        ("row['zzz'] > 1", "the row has no field 'zzz'; it has amount, rate, name"),
        ("row['who']['zip']", "a nested value has no key 'zip'"),
        ("row['name'] > 1000", "'>' not supported between 'str' and 'int' (name is 'Ann')"),
        ("row['none'] > 1000", "between 'None' and 'int' (none is None)"),
        ("row['amount'] / 0", "division by zero"),
        ("row['tags'][9]", "index out of range"),
        ("row['tags'] in {1}", "unhashable"),
        ("(0 - 8) ** 0.5", "root of a negative number"),
        ("row['tags'] * 2", "* does not work between list and int"),
        ("row['name'] % 2", "formats"),
    ],
)
def test_an_expression_without_a_value_says_why_and_with_which_values(text: str, words: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate(ROW)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 10**9",
        "10**9 * 'a'",
        "row['name'] * (10**9)",
        "row['name'] * 90000 * 90000",
        "['x'] * 10**9",
        "9**9**9",
        "row['amount'] ** row['amount'] ** 9",
        "'%1000000000d' % 5",
        "row['fmt'] % 5",
        "1e308 * 10",
        "[1e308 * 10]",
        "10 ** 1000 * 10 ** 1000 * 10 ** 1000 * 10 ** 1000",
        "'a' * True * 10 ** 9",
    ],
)
def test_a_result_that_would_be_enormous_is_refused(text: str) -> None:
    with pytest.raises(EvaluationError):
        compile_expression(text).evaluate({**ROW, "fmt": "%1000000000d"})


def test_a_nested_value_too_deep_to_compare_is_an_evaluation_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    twin: list[Any] = []
    for _ in range(100_000):
        twin = [twin]
    with pytest.raises(EvaluationError, match="nested too deeply"):
        compile_expression("row['a'] == row['b']").evaluate({"a": deep, "b": twin})


def test_a_number_too_long_to_print_can_stand_in_a_reason() -> None:
    with pytest.raises(EvaluationError, match=r"a is a number of 50001 bits"):
        compile_expression("row['a'] + 'x'").evaluate({"a": 2**50_000})


def test_fields_are_all_keys_and_required_those_that_must_be_there() -> None:
    expression = compile_expression("row['a'] > 1 and row.get('b', 2) and ('c' in row and row['c'] == row['d']['e'])")
    assert expression.fields == {"a", "b", "c", "d"}
    assert expression.required == {"a", "d"}


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        ("row['a'] > 1", {True, False}),
        ("not row['a']", {True, False}),
        ("row['a'] > 1 and row['b'] > 1", {True, False}),
        ("'hi' if row['a'] > 1 else 'lo'", {"hi", "lo"}),
        ("'hi' if row['a'] > 1 else 'mid' if row['a'] else 'lo'", {"hi", "mid", "lo"}),
        ("True", {True}),
        ("row['a']", None),
        ("row['a'] and row['b'] > 1", None),
    ],
)
def test_outcomes_are_known_where_the_form_alone_tells(text: str, outcomes: set[Any] | None) -> None:
    assert compile_expression(text).outcomes == outcomes


def test_an_evaluation_cannot_change_the_row() -> None:
    row = {"a": [1], "b": {"c": 1}}
    compile_expression("row['a'] + [2]").evaluate(row)
    assert row == {"a": [1], "b": {"c": 1}}


_pieces = st.sampled_from(
    [
        "row['a']", "row['b']", "row.get('c', 1)", "row", "1", "2.5", "'x'", "None", "True", "[1, 2]", "{1}", "(1,)",
        "+", "-", "*", "/", "//", "%", "**", "<", "==", " in ", " not in ", " is ", " and ", " or ", " not ", " if ",
        " else ", "(", ")", "[", "]", ",", ":", "99999999", "'%999999999d'", "~", "<<", "lambda: ", ".", "f'{1}'", "#",
        "\n", "{}",
    ]
)  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def _expressions(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(
        ["row['a']", "row['b']", "row.get('c', 'x')", "2", "70000", "1.5", "'x'", "'%99999999d'", "None", "[1]", "{2}"]
    )
    if depth == 0:
        return leaf
    inner = _expressions(depth - 1)
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", ">=", "==", "!=", "in", "and", "or"])
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(-{})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("({}, {})".format, inner, inner),
    )


def _check_text(text: str, row: dict[str, Any]) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    began = time.thread_time()
    try:
        value = expression.evaluate(row)
    except EvaluationError:
        return
    finally:
        assert time.thread_time() - began < 1
    text = json.dumps(value, allow_nan=False)
    assert len(text) < 20 * MAX_REPEAT + 50 * MAX_BITS
    if expression.outcomes is not None:
        assert value in expression.outcomes


@settings(max_examples=300)
@given(st.text(max_size=60) | st.lists(_pieces, max_size=12).map("".join), _values, _values)
def test_any_text_is_refused_at_compile_time_or_gives_a_value_or_a_worded_error(text: str, a: Any, b: Any) -> None:
    _check_text(text, {"a": a, "b": b})


@settings(max_examples=300)
@given(_expressions(4), _values, _values)
def test_any_combination_of_allowed_parts_ends_quickly_with_a_value_that_json_can_hold(
    text: str, a: Any, b: Any
) -> None:
    _check_text(text, {"a": a, "b": b})
