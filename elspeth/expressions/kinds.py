"""What kind of value each part of an expression has, as far as its form and the types of fields tell before any row."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from elspeth.expressions.functions import FUNCTIONS
from elspeth.schema.typed_text import MIXED

Kind = str | None
"""`int`, `float`, `number` (one of these), `decimal`, `date`, `datetime`, `text`, `bool`, `list`, `mapping`, `null`;
`plain`: unknown, but one that a row can hold; None: unknown. Whatever comes from a row may be null besides."""

TYPED_KINDS = frozenset({"decimal", "date", "datetime"})
_NUMBERS = frozenset({"int", "float", "number"})
_KNOWN = TYPED_KINDS | _NUMBERS | {"text", "bool", "list", "mapping"}
_OF_FIELDS = {"str": "text", "any": "plain", MIXED: "plain"}
_CONVERSIONS = {"int": "int", "float": "float", "decimal": "decimal", "date": "date", "datetime": "datetime"}
_OF_CONSTANTS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "text", type(None): "null"}

_NUMERIC = _NUMBERS | {"decimal"}
_SCALAR = _NUMERIC | {"text"}
TAKES: dict[str, tuple[frozenset[str], str]] = {
    "len": (frozenset({"text", "list", "mapping"}), "a text, a list or a mapping"),
    **{name: (frozenset({"text"}), "a text") for name in ("lower", "upper", "strip", "replace", "split", "matches")},
    **{name: (frozenset({"text"}), "two texts") for name in ("startswith", "endswith")},
    "contains": (frozenset({"text", "list"}), "a text or a list"),
    "join": (frozenset({"list"}), "a list of texts"),
    "round": (_NUMERIC, "a number"),
    "abs": (_NUMERIC, "a number"),
    "sum": (frozenset({"list"}), "a list of numbers"),
    "int": (_SCALAR, "a text or a number"),
    "float": (_SCALAR, "a text or a number"),
    "decimal": (frozenset({"text", "int", "number", "decimal"}), "a text or a whole number"),
    "date": (frozenset({"text", "date", "datetime"}), "a text or a time"),
    "datetime": (frozenset({"text", "datetime"}), "a text"),
    "days_between": (frozenset({"date", "datetime"}), "two dates or times"),
    "any": (frozenset({"list"}), "a list"),
    "all": (frozenset({"list"}), "a list"),
}
"""What a function's argument may be (of `contains`, `matches` and the like, that which is looked into)."""

_EVERY_ARGUMENT = frozenset({"replace", "startswith", "endswith", "days_between"})
_SECOND_ARGUMENT = frozenset({"matches"})


class Kinds:
    """The kinds of the parts of one expression. `fields` are the types of fields, as schemas name them."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self._found: dict[int, Kind] = {}

    def field(self, name: str) -> Kind:
        """The kind of a field."""
        kind = self._fields.get(name, "any")
        return _OF_FIELDS.get(kind, kind)

    def is_mixed(self, name: str) -> bool:
        """Whether the field has one type in some rows and another in others."""
        return self._fields.get(name) == MIXED

    def of(self, node: ast.expr) -> Kind:
        """The kind of a part, as it stands in the text."""
        key = id(node)
        if key not in self._found:
            self._found[key] = self._of(node)
        return self._found[key]

    def _of(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant():
                return _OF_CONSTANTS.get(type(node.value))
            case ast.Subscript(value=ast.Name(id="row"), slice=ast.Constant(value=str() as name)):
                return self.field(name)
            case ast.Subscript():
                whole = self.of(node.value)
                return whole if isinstance(node.slice, ast.Slice) or whole == "plain" else None
            case ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return "bool"
            case ast.UnaryOp():
                kind = self.of(node.operand)
                return kind if kind in _NUMERIC else None
            case ast.BinOp():
                return self._of_arithmetic(node)
            case ast.BoolOp():
                return joined([self.of(part) for part in node.values])
            case ast.IfExp():
                return joined([self.of(node.body), self.of(node.orelse)])
            case ast.List():
                return "list"
            case ast.Dict():
                return "mapping"
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str() as name), *default]):
                return joined([self.field(name), *map(self.of, default)])
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
                return self._of_call(name, node.args)
        return None

    def _of_arithmetic(self, node: ast.BinOp) -> Kind:
        left, right = self.of(node.left), self.of(node.right)
        if "decimal" in (left, right):
            return "decimal"  # or it has no value
        if left in _NUMBERS and right in _NUMBERS:
            if isinstance(node.op, ast.Div) or "float" in (left, right):
                return "float"
            return "int" if (left, right) == ("int", "int") and not isinstance(node.op, ast.Pow) else "number"
        if isinstance(node.op, ast.Add) and left == right and left in ("text", "list"):
            return left
        return "plain" if left in _PLAIN and right in _PLAIN else None

    def _of_call(self, name: str, arguments: list[ast.expr]) -> Kind:
        if name in _CONVERSIONS:
            return _CONVERSIONS[name]
        kinds = [self.of(argument) for argument in arguments]
        if name in ("coalesce", "min", "max") and len(kinds) > 1:
            return joined(kinds)
        if name == "abs":
            return kinds[0] if kinds and kinds[0] in _NUMERIC else None
        if name == "round":
            return "int" if len(kinds) == 1 else kinds[0] if kinds and kinds[0] in _NUMERIC else None
        if name in ("len", "days_between"):
            return "int"
        given = FUNCTIONS[name].gives
        return None if given == "number" else given


_HOLDERS = frozenset({"list", "mapping"})
_PLAIN = (_KNOWN - TYPED_KINDS - _HOLDERS) | {"plain", "null"}


def joined(kinds: list[Kind]) -> Kind:
    """The kind of a value that is one of several."""
    found = {kind for kind in kinds if kind != "null"}
    if len(found) < 2:
        return next(iter(found), "null")
    if found <= _NUMBERS:
        return "number"
    if found == {"decimal", "int"}:
        return "decimal"
    return "plain" if found <= _PLAIN else None


def may_be_typed(kind: Kind) -> bool:
    """Whether such a value can be a decimal, date or time."""
    return kind is None or kind in TYPED_KINDS


def may_hold_typed(kind: Kind) -> bool:
    """Whether such a value can be a decimal, date or time, or have one within it."""
    return may_be_typed(kind) or kind in _HOLDERS


def wrong_argument(name: str, place: int, kind: Kind) -> str | None:
    """Why no value of this kind can be the function's argument at this place (from 0), or None."""
    if name not in TAKES or kind not in _KNOWN:
        return None
    if place != (1 if name in _SECOND_ARGUMENT else 0) and name not in _EVERY_ARGUMENT:
        return None
    takes, words = TAKES[name]
    if kind in takes or (kind == "number" and takes & _NUMBERS):
        return None
    hint = ""
    if takes == {"text"}:
        hint = f" (str(x) gives the text of a {kind})" if kind in TYPED_KINDS | _NUMBERS else ""
    elif name == "decimal" and kind == "float":
        hint = ", for a float is not exact (decimal(str(x)) takes its digits)"
    elif name == "days_between" and kind == "text":
        hint = " (date(x) makes one of a text)"
    return f"{name} of a value that is {kind}: it takes {words}{hint}"


def wrong_pair(symbol: str, left: Kind, right: Kind) -> str | None:
    """Why an operator or comparison has no value for these kinds, where one is a decimal, date or time, or None."""
    if left not in _KNOWN or right not in _KNOWN or TYPED_KINDS.isdisjoint((left, right)):
        return None
    if symbol in ("in", "not in", "is", "is not"):
        return None  # members are compared when they are known
    compares = symbol in ("==", "!=", "<", "<=", ">", ">=")
    if left == right:
        return None if compares or left == "decimal" else f"{symbol} of two values that are {left}{_days(symbol)}"
    if {left, right} <= {"decimal", "int"} or {left, right} == {"decimal", "number"}:
        return None
    typed = left if left in TYPED_KINDS else right
    hint = ""
    if {left, right} == {"decimal", "float"}:
        hint = ", which is not exact (write decimal('0.5') for 0.5; decimal(str(x)) takes the digits of a float)"
    elif "text" in (left, right):
        hint = f" ({typed}(x) makes one of a text)"
    elif {left, right} == {"date", "datetime"} and compares:
        hint = " (date(x) gives the day of a time)"
    elif "decimal" not in (left, right) and not compares:
        hint = _days(symbol)
    return f"{symbol} between a value that is {left} and one that is {right}{hint}"


def _days(symbol: str) -> str:
    return " (days_between(a, b) counts days)" if symbol == "-" else ""


def symbol_of(node: Any) -> str:
    """An operator of Python's tree as it is written."""
    return _SYMBOLS[type(node)]


_SYMBOLS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
