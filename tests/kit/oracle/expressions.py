"""Conditions and expressions, evaluated by Python itself after a look at their syntax."""

from __future__ import annotations

import ast
from typing import Any

from tests.kit.oracle.reading import CannotRecompute, Row


class Refused(Exception):
    """The step cannot handle this row, which then follows the step's error route."""


_ALLOWED = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp,
    ast.Subscript, ast.Call, ast.Attribute, ast.List, ast.Tuple, ast.Set, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop,
)  # fmt: skip
_compiled: dict[str, Any] = {}


def evaluate(text: str, row: Row) -> Any:
    """The value of a condition or expression for this row."""
    if text not in _compiled:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Attribute) and node.attr != "get"):
                raise CannotRecompute(f"expression {text}")
        _compiled[text] = compile(tree, "<condition>", "eval")
    try:
        return eval(_compiled[text], {"__builtins__": {}}, {"row": row})
    except (LookupError, TypeError, ArithmeticError, ValueError) as problem:
        raise Refused(str(problem)) from problem
