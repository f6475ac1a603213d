"""Conditions and expressions, evaluated step by step along their syntax: slow, plain, and nothing of what it checks."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.kit.oracle.reading import CannotRecompute, Row


class Refused(Exception):
    """The step cannot handle this row, which then follows the step's error route."""


_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_UNARY = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_trees: dict[str, ast.expr] = {}


def evaluate(text: str, row: Row) -> Any:
    """The value of a condition or expression for this row."""
    if text not in _trees:
        _trees[text] = ast.parse(text.strip(), mode="eval").body
    try:
        return value(_trees[text], row)
    except (LookupError, TypeError, ArithmeticError, ValueError) as problem:
        raise Refused(str(problem)) from problem


def value(node: ast.expr, row: Row) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name(id="row"):
            return row
        case ast.List():
            return [value(part, row) for part in node.elts]
        case ast.Tuple():
            return tuple(value(part, row) for part in node.elts)
        case ast.Set():
            return {value(part, row) for part in node.elts}
        case ast.Dict():
            return {value(key, row): value(part, row) for key, part in zip(node.keys, node.values, strict=True) if key}
        case ast.Slice():
            return slice(*(end and value(end, row) for end in (node.lower, node.upper)))
        case ast.Subscript():
            return value(node.value, row)[value(node.slice, row)]
        case ast.IfExp():
            return value(node.body if value(node.test, row) else node.orelse, row)
        case ast.BoolOp():
            for part in node.values:
                found = value(part, row)
                if bool(found) == isinstance(node.op, ast.Or):
                    break
            return found
        case ast.UnaryOp():
            return _UNARY[type(node.op)](value(node.operand, row))
        case ast.BinOp():
            return _BINARY[type(node.op)](value(node.left, row), value(node.right, row))
        case ast.Compare():
            left = value(node.left, row)
            answer: Any = True
            for operation, part in zip(node.ops, node.comparators, strict=True):
                right = value(part, row)
                answer = _COMPARE[type(operation)](left, right)
                if not answer:
                    break
                left = right
            return answer
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Name(id="row"))):
            return row.get(*(value(part, row) for part in node.args))
        case ast.Call(func=ast.Name(id="coalesce")):
            return next((found for part in node.args if (found := value(part, row)) is not None), None)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(value(part, row) for part in node.args))
    raise CannotRecompute(f"expression {ast.unparse(node)}")


def _typed(given: Any, *kinds: type) -> Any:
    if type(given) not in kinds:
        raise TypeError(f"{given!r}")
    return given


def _text(given: Any) -> str:
    return str(_typed(given, str))


def _number(given: Any) -> Any:
    return _typed(given, int, float)


def _list(given: Any) -> list[Any]:
    return list(_typed(given, list))


def _bounded(text: str) -> str:
    if len(text) > 100_000:
        raise OverflowError
    return text


def _replace(text: Any, old: Any, new: Any) -> str:
    if not _text(old):
        raise ValueError
    # By cutting the text at every occurrence, not by replacing.
    result = _text(new).join(_text(text).split(old))
    return result if len(result) <= len(text) else _bounded(result)


def _join(parts: Any, separator: Any) -> str:
    result = ""
    for place, part in enumerate(_list(parts)):
        result += (_text(separator) if place else "") + _text(part)
    _text(separator)
    return result


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, list):
        return any(part == each for each in whole)
    return _text(whole).find(_text(part)) >= 0


def _extreme(best: Callable[..., Any]) -> Callable[..., Any]:
    def of(*values: Any) -> Any:
        found = _list(values[0]) if len(values) == 1 else list(values)
        if not found:
            raise ValueError
        checked = [_text(each) for each in found] if isinstance(found[0], str) else [_number(each) for each in found]
        # The first of the sorted values that nothing beats.
        ordered = sorted(checked, reverse=best is max)
        return ordered[0]

    return of


def _sum(values: Any) -> Any:
    total = sum((Fraction(_number(each)) for each in _list(values)), Fraction())
    return int(total) if all(type(each) is int for each in values) else float(total)


def _int(given: Any) -> int:
    if isinstance(given, str) and re.fullmatch(r"[+-]?[0-9]+", given.strip()):
        return int(given)
    if isinstance(given, float) and given == given // 1:
        return int(given)
    return int(_typed(given, int))


def _float(given: Any) -> float:
    if isinstance(given, str):
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", given.strip()):
            raise ValueError(given)
        found = float(given)
        if abs(found) == float("inf") or (not found and re.search("[1-9]", re.split("[eE]", given)[0])):
            raise ValueError(given)
        return found
    if float(_number(given)) != given:
        raise ValueError(given)
    return float(given)


def _bool(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    return words[str(_typed(given, str, int)).strip().lower()]


def _str(given: Any) -> str:
    return str(given).lower() if isinstance(given, bool) else str(_typed(given, str, int, float))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": lambda x: len(_typed(x, str, list, dict)),
    "lower": lambda x: _text(x).lower(),
    "upper": lambda x: _text(x).upper(),
    "strip": lambda x, *off: _text(x).strip(*map(_text, off)),
    "replace": _replace,
    "split": lambda x, *by: _text(x).split(*map(_text, by)),
    "join": _join,
    "startswith": lambda x, begins: _text(x)[: len(_text(begins))] == begins,
    "endswith": lambda x, ends: _text(x)[len(x) - len(_text(ends)) :] == ends if len(ends) <= len(_text(x)) else False,
    "contains": _contains,
    "matches": lambda pattern, x: re.search(pattern, _text(x)) is not None,
    "round": lambda x, *places: round(_number(x), *(_typed(each, int) for each in places)),
    "abs": lambda x: -x if _number(x) < 0 else x + 0,
    "min": _extreme(min),
    "max": _extreme(max),
    "sum": _sum,
    "int": _int,
    "float": _float,
    "str": _str,
    "bool": _bool,
    "is_null": lambda x: x is None,
    "any": lambda x: bool([each for each in _list(x) if each]),
    "all": lambda x: not [each for each in _list(x) if not each],
}
