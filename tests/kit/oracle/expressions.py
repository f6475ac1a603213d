"""Conditions and expressions, evaluated step by step along their syntax: slow, plain, and nothing of what it checks."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from tests.kit.oracle.exact_numbers import Exact, calculate, exact_of, rounded
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


def evaluate(text: str, row: Row, types: dict[str, str] | None = None) -> Any:
    """The value of a condition or expression for this row; `types` are those of its fields."""
    if text not in _trees:
        _trees[text] = ast.parse(text.strip(), mode="eval").body
    try:
        typed = TypedRow(row)
        typed.types = types or {}
        return _as_text(value(_trees[text], typed))
    except (LookupError, TypeError, ArithmeticError, ValueError) as problem:
        raise Refused(str(problem)) from problem


class TypedRow(dict[str, Any]):
    """A row whose decimals, dates and times are what their texts stand for."""

    types: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        return self._typed(name, super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self._typed(name, super().get(name, default))

    def _typed(self, name: str, given: Any) -> Any:
        return given if given is None or self.types.get(name) not in _MADE else _MADE[self.types[name]](given)


def _as_text(given: Any) -> Any:
    if isinstance(given, Exact):
        return given.text()
    if isinstance(given, datetime):
        return given.isoformat().replace("+00:00", "Z")
    if isinstance(given, date):
        return given.isoformat()
    if isinstance(given, list):
        return [_as_text(each) for each in given]
    return given


def _is_typed(given: Any) -> bool:
    return isinstance(given, Exact | date)


def _binary(operation: ast.operator, left: Any, right: Any) -> Any:
    if not _is_typed(left) and not _is_typed(right):
        return _BINARY[type(operation)](left, right)
    if not all(isinstance(each, Exact) or type(each) is int for each in (left, right)):
        raise TypeError("mixed")
    return calculate(type(operation).__name__, exact_of(left), exact_of(right))


def _pair(left: Any, right: Any, *, equal: bool) -> tuple[Any, Any]:
    """Two values as they are compared."""
    if isinstance(left, list) and isinstance(right, list):
        pairs = [_pair(one, other, equal=equal) for one, other in zip(left, right, strict=False)]
        ends = left[len(pairs) :], right[len(pairs) :]
        return [one for one, _ in pairs] + ends[0], [other for _, other in pairs] + ends[1]
    if not _is_typed(left) and not _is_typed(right):
        return left, right
    if equal and (left is None or right is None):
        return left, right
    if all(isinstance(each, Exact) or type(each) is int for each in (left, right)):
        return exact_of(left).value, exact_of(right).value
    if type(left) is not type(right) or isinstance(left, Exact):
        raise TypeError("mixed")
    if isinstance(left, datetime) and (left.tzinfo is None) != (right.tzinfo is None):
        raise TypeError("one has an offset")
    return left, right


def _compare(operation: ast.cmpop, left: Any, right: Any) -> Any:
    if isinstance(operation, ast.In | ast.NotIn) and isinstance(right, list | tuple | set):
        if type(right) is set and any(isinstance(each, list | dict) for each in (left, *right)):
            raise TypeError("unhashable")
        pairs = [_pair(left, each, equal=True) for each in right]
        return any(one is other or one == other for one, other in pairs) == isinstance(operation, ast.In)
    if isinstance(operation, ast.Is | ast.IsNot | ast.In | ast.NotIn):
        return _COMPARE[type(operation)](left, right)
    return _COMPARE[type(operation)](*_pair(left, right, equal=isinstance(operation, ast.Eq | ast.NotEq)))


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
            return _binary(node.op, value(node.left, row), value(node.right, row))
        case ast.Compare():
            left = value(node.left, row)
            answer: Any = True
            for operation, part in zip(node.ops, node.comparators, strict=True):
                right = value(part, row)
                answer = _compare(operation, left, right)
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


def _digits(given: Any) -> int:
    if abs(_typed(given, int)) > 300:
        raise ValueError(f"{given} digits")
    return int(given)


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
        return bool(_compare(ast.In(), part, whole))
    return _text(whole).find(_text(part)) >= 0


def _extreme(best: Callable[..., Any]) -> Callable[..., Any]:
    def of(*values: Any) -> Any:
        found = _list(values[0]) if len(values) == 1 else list(values)
        if not found:
            raise ValueError
        if any(map(_is_typed, found)):
            best_yet = found[0]
            for each in found:
                _pair(each, next(filter(_is_typed, found)), equal=False)
                one, other = _pair(each, best_yet, equal=False)
                if (one < other) if best is min else (one > other):
                    best_yet = each
            return best_yet
        checked = [_text(each) for each in found] if isinstance(found[0], str) else [_number(each) for each in found]
        # The first of the sorted values that nothing beats.
        ordered = sorted(checked, reverse=best is max)
        return ordered[0]

    return of


def _sum(values: Any) -> Any:
    if any(isinstance(each, Exact) for each in _list(values)):
        if not all(isinstance(each, Exact) or type(each) is int for each in values):
            raise TypeError("mixed")
        numbers = [exact_of(each) for each in values]
        return Exact(sum((each.value for each in numbers), Fraction()), max(each.places for each in numbers))
    total = sum((Fraction(_number(each)) for each in _list(values)), Fraction())
    return int(total) if all(type(each) is int for each in values) else float(total)


def _int(given: Any) -> int:
    if isinstance(given, Exact):
        if given.value.denominator != 1:
            raise ValueError(given)
        return int(given.value)
    if isinstance(given, str) and re.fullmatch(r"[+-]?[0-9]+", given.strip()):
        return int(given)
    if isinstance(given, float) and given == given // 1:
        return int(given)
    return int(_typed(given, int))


def _float(given: Any) -> float:
    if isinstance(given, Exact):
        given = given.text()
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
    if _is_typed(given):
        return str(_as_text(given))
    return str(given).lower() if isinstance(given, bool) else str(_typed(given, str, int, float))


def _round(given: Any, *places: Any) -> Any:
    if isinstance(given, Exact):
        if places and (type(places[0]) is not int or abs(places[0]) > 300):
            raise TypeError("places")
        result = rounded(given.value, *(places or (0,)))
        return result if places else int(result.value)
    return round(_number(given), *map(_digits, places))


def _abs(given: Any) -> Any:
    if isinstance(given, Exact):
        return Exact(abs(given.value), given.places)
    return -given if _number(given) < 0 else given + 0


def _date(given: Any) -> date:
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", _text(given).strip(), re.ASCII):
        raise ValueError(given)
    return date(*map(int, given.strip().split("-")))


def _day(given: Any) -> int:
    return _date(_typed(given, date, datetime)).toordinal()


def _datetime(given: Any) -> datetime:
    if isinstance(given, datetime):
        return given
    if not re.fullmatch(
        r"[0-9-]{10}[T ][0-9:]{5,8}(\.[0-9]{1,6})?( ?(Z|z|[+-][0-9:]{2,5}))?", _text(given).strip(), re.ASCII
    ):
        raise ValueError(given)
    return datetime.fromisoformat(given.strip().replace("z", "Z").replace(" ", "T", 1).replace(" ", ""))


_MADE: dict[str, Callable[[Any], Any]] = {"decimal": exact_of, "date": _date, "datetime": _datetime}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": lambda x: len(_typed(x, str, list, dict)),
    "lower": lambda x: _text(x).lower(),
    "upper": lambda x: _text(x).upper(),
    "strip": lambda x, *off: _text(x).strip(*map(_text, off)),
    "replace": _replace,
    "split": lambda x, *by: _text(x).split(*map(_text, by)),
    "join": _join,
    "startswith": lambda x, begins: _text(x)[: len(_text(begins))] == begins,
    "endswith": lambda x, ends: _text(x)[::-1][: len(_text(ends))] == ends[::-1],
    "contains": _contains,
    "matches": lambda pattern, x: re.search(pattern, _text(x)) is not None,
    "round": _round,
    "abs": _abs,
    "decimal": exact_of,
    "date": _date,
    "datetime": _datetime,
    "days_between": lambda a, b: (
        _date(_typed(b, date, datetime)).toordinal() - _date(_typed(a, date, datetime)).toordinal()
    ),
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
