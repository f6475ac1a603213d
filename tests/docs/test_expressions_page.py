"""The page of expressions is complete and true: every example has the value it says, and nothing is left out."""

from __future__ import annotations

import ast
import json
import re

import pytest

from elspeth.expressions import compile_expression
from elspeth.expressions.functions import FUNCTIONS
from tests.docs.repository import ROOT, text_of

PAGE = text_of(ROOT / "ops" / "docs" / "reference" / "expressions.md")
(ROW,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S))
TYPES = {"price": "decimal", "day": "date", "opened": "datetime"}
LINES = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| (.+\.) \|$", PAGE, re.M)


@pytest.mark.parametrize(("example", "value"), [line[1:3] for line in LINES])
def test_an_example_has_the_value_that_stands_beside_it(example: str, value: str) -> None:
    compiled = compile_expression(example, TYPES)
    assert compiled.problems == ()
    found, expected = compiled.evaluate(ROW), json.loads(value)
    assert found == expected
    assert type(found) is type(expected)


def test_the_page_says_the_types_of_the_row() -> None:
    (sentence,) = re.findall(r"whose schema calls (.*)\.\n", PAGE)
    assert dict(re.findall(r"`(\w+)` a `(\w+)`", sentence)) == TYPES


def test_every_function_is_listed_as_it_may_be_called_with_a_call_as_example() -> None:
    listed = [form.strip("`") for form, *_ in LINES if "(" in form]
    assert listed == [function.form for function in FUNCTIONS.values()]
    for name, function in FUNCTIONS.items():
        (example,) = [line[1] for line in LINES if line[0] == f"`{function.form}`"]
        assert f"{name}(" in example


def test_every_operator_and_form_has_an_example() -> None:
    shown = {type(node) for _, example, _, _ in LINES for node in ast.walk(ast.parse(example, mode="eval"))}
    operators = {
        *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd, ast.Not),
        *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot, ast.And, ast.Or),
    }
    forms = {ast.Constant, ast.List, ast.Dict, ast.Tuple, ast.Subscript, ast.Slice, ast.IfExp, ast.Call, ast.BoolOp}
    assert shown >= operators | forms


def test_every_table_line_with_an_example_is_read() -> None:
    examples = [line for line in PAGE.splitlines() if re.match(r"\| .* \| `.*` \| `.*` \|", line)]
    assert len(examples) == len(LINES) > 50
