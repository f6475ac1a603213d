"""What the form of an expression tells about its value, whatever the row."""

from __future__ import annotations

import ast
from typing import Any

from elspeth.expressions.functions import FUNCTIONS


def is_number(node: ast.expr) -> bool:
    """Whether the node can only give a number, judged by its form: these never repeat or format a text."""
    match node:
        case ast.Constant(value=int() | float()):
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return True
        case ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv() | ast.Mod() | ast.Pow()):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in FUNCTIONS and FUNCTIONS[name].gives == "number"
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return cannot_repeat(left, right)
    return False


def cannot_repeat(left: ast.expr, right: ast.expr) -> bool:
    """Whether `left * right` can only be a number."""
    return any(_is_float(side) for side in (left, right)) or (is_number(left) and is_number(right))


def _is_float(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()):
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _is_float(operand)
    return False


def outcomes(node: ast.expr) -> frozenset[Any] | None:
    """The values the node can have, judged by its form; None where only the row can tell."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return frozenset({True, False})
        case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS and FUNCTIONS[name].gives == "bool":
            return frozenset({True, False})
        case ast.Constant():
            return frozenset({node.value})
        case ast.IfExp():
            parts = [outcomes(node.body), outcomes(node.orelse)]
        case ast.BoolOp():
            parts = [outcomes(part) for part in node.values]
        case _:
            return None
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if len(known) == len(parts) else None
