"""Functions of expressions: what they refuse, in which words, and that their results stay small."""

from __future__ import annotations

import time
from typing import Any

import pytest

from elspeth.expressions import EvaluationError, ExpressionError, compile_expression
from elspeth.expressions.functions import FUNCTIONS

ROW: dict[str, Any] = {"t": "a,b", "n": 5, "none": None, "l": ["a", 1], "flag": True, "long": "a" * 60_000, "e": []}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lower(row['n'])", "lower takes a text, not 5 (int) (n is 5)"),
        ("lower(row['none'])", "lower takes a text, not null: coalesce(x, y) gives y for null (none is None)"),
        ("lower(row['tt'])", "the row has no field 'tt'; did you mean 't'?"),
        ("len(row['n'])", "len takes a text, a list or a mapping, not 5 (int)"),
        ("strip(row['t'], 1)", "strip takes the characters to take off as a text, not 1 (int)"),
        ("replace(row['t'], 'a', row['n'])", "replace takes three texts, not 5 (int)"),
        ("replace(row['t'], '', 'x')", "replace cannot look for the empty text"),
        ("split(row['t'], row['none'])", "split takes the separator as a text, not null"),
        ("strip(row['t'], row['none'])", "strip takes the characters to take off as a text, not null"),
        ("round(1.5, row['none'])", "round takes a whole number of digits up to"),
        ("split(row['t'], '')", "split cannot look for the empty text"),
        ("split(row['l'], ',')", "split takes a text, not ['a', 1] (list)"),
        ("join(row['l'], ',')", "join takes a list of texts, not 1 (int)"),
        ("join(row['t'], ',')", "join takes a list of texts, not 'a,b' (text)"),
        ("startswith(row['n'], '5')", "startswith takes two texts, not 5 (int)"),
        ("contains(row['n'], 5)", "contains takes a text or a list, not 5 (int)"),
        ("contains(row['t'], 5)", "contains takes a text to look for in a text, not 5 (int)"),
        ("matches('a', row['n'])", "matches takes a pattern and a text, not 5 (int)"),
        ("round(row['t'])", "round takes a number, not 'a,b' (text)"),
        ("round(row['flag'])", "round takes a number, not True (bool)"),
        ("round(row['n'], 2.0)", "round takes a whole number of digits up to 300, not 2.0 (float)"),
        ("abs(row['flag'])", "abs takes a number, not True (bool)"),
        ("min(row['l'])", "min takes numbers alone, or texts alone, not 1 (int)"),
        ("max(row['flag'], 1)", "max takes numbers alone, or texts alone, not True (bool)"),
        ("max(row['e'])", "max of no values"),
        ("min(row['n'])", "min takes a list, or several values, not 5 (int)"),
        ("sum(row['l'])", "sum takes a list of numbers, not 'a' (text)"),
        ("int('2.5')", "int cannot take '2.5' (text)"),
        ("int(2.5)", "int cannot take 2.5 (a float)"),
        ("float('nan')", "float cannot take 'nan' (text)"),
        ("bool(2)", "bool cannot take 2 (a int)"),
        ("str(row['l'])", "str cannot take ['a', 1] (a list)"),
        ("str(row['none'])", "str takes a text, a number, true or false, not null"),
        ("any(row['n'])", "any takes a list, not 5 (int)"),
    ],
)
def test_a_function_on_what_it_is_not_made_for_names_itself_and_the_value(text: str, words: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate(ROW)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lowr(row['t'])", "a call of lowr, which is no function (did you mean lower?)"),
        ("open('x')", "a call of open, which is no function (functions are len, lower,"),
        ("row['t'].upper()", "a call of the method upper (write it as a function: upper(text))"),
        ("lower()", "lower with other arguments than lower(text)"),
        ("lower('a', 'b')", "lower with other arguments than lower(text)"),
        ("round(row['n'], digits=2)", "round with other arguments than round(number, digits)"),
        ("max(*row['l'])", "max with other arguments than max(a, b, ...) or max(list)"),
        ("coalesce(row['n'])", "coalesce with other arguments than coalesce(a, b, ...)"),
        ("lower", "the name 'lower' (a function is called: lower(text))"),
        ("matches(row['t'], 'a')", "a pattern that is not a text literal"),
        ("matches('(a+)+b', row['t'])", "could take very long"),
        ("matches('a*', row['t'])", "matches the empty text"),
        ("matches('(', row['t'])", "is no regular expression"),
        ("len(x for x in row['l'])", "a comprehension"),
        ("lower(row)", "the row as a whole"),
        ("(lower)(row['t'])(1)", "a call of something else than"),
    ],
)
def test_a_wrong_call_is_refused_before_any_row_is_seen(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "replace(row['long'], 'a', row['long'])",
        "join(split(row['long'], 'a'), row['long'])",
        "split(row['long'] + row['long'], 'a')",
        "matches('a+b', row['long'])",
        "round(7, -10 ** 9)",
        "round(1e308, -308) * 10",
        "sum([1e308, 1e308])",
        "sum([10 ** 1200, 1.5])",
        "int('9' * 2000)",
        "sum([10 ** 1233, 10 ** 1233, 10 ** 1233, 10 ** 1233, 10 ** 1233, 10 ** 1233, 10 ** 1233, 10 ** 1233])",
    ],
)
def test_a_result_that_would_be_enormous_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(EvaluationError):
        compile_expression(text).evaluate(ROW)
    assert time.process_time() - began < 5


def test_what_is_not_longer_than_it_was_is_not_refused_for_its_length() -> None:
    row = {"long": "ab" * 100_000}
    assert len(compile_expression("replace(lower(row['long']), 'a', 'c')").evaluate(row)) == 200_000


def test_coalesce_does_not_evaluate_what_follows_the_first_value() -> None:
    assert compile_expression("coalesce(row.get('new'), row['old'])").evaluate({"new": 1}) == 1
    assert compile_expression("coalesce(row.get('new'), row['old'])").evaluate({"old": 2}) == 2
    assert compile_expression("coalesce(0, 1)").evaluate({}) == 0
    nested = compile_expression("coalesce(coalesce(row.get('a'), row.get('b')), coalesce(row.get('c'), 'none'))")
    assert [nested.evaluate(row) for row in ({"b": 1}, {"c": 2}, {})] == [1, 2, "none"]


def test_fields_inside_of_functions_are_known_before_a_run() -> None:
    expression = compile_expression("contains(lower(row['subject']), row.get('word', 'x'))")
    assert expression.required == {"subject"}
    assert expression.fields == {"subject", "word"}
    assert expression.outcomes == {True, False}


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.gives == "bool"])
def test_what_is_said_to_be_a_truth_value_is_one_so_that_a_gate_needs_no_other_route(name: str) -> None:
    arguments = {"bool": "'yes'", "is_null": "1", "any": "[1]", "all": "[1]", "matches": "'a', 'a'"}
    text = f"{name}({arguments.get(name, repr('a') + ', ' + repr('a'))})"
    assert compile_expression(text).evaluate({}) in (True, False)
    assert compile_expression(text).outcomes == {True, False}
