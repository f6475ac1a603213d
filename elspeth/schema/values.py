"""How a row is read and checked by its schema: text becomes typed values here and nowhere else.

How text becomes a value (surrounding white space is ignored for all types but str and any):

    int     an optional sign and ASCII digits, and a fraction of zeros if any: "9.0" is 9, "9.5", "1e3" and "1_000" are
            no int
    float   what JSON or Python writes for a finite number; NaN and infinity are refused, and so are digits that a float
            cannot hold: 0.1 is fine, 9007199254740993 is not
    bool    true, false, yes, no, 1, 0 in any case
    str     stays as it is
    any     stays as it is
    decimal, date, datetime
            become the text that `typed_text` says: in a row they are text

Values that are typed already (JSON) must have the type; an int is taken as a float where that loses nothing, or as a
decimal, and bool is never an int. An optional field that is missing, null or empty text becomes None. Where the input
has forms of its own (`text_forms`), text is brought into the usual form first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from elspeth.schema.spec import FieldSpec, RowSchema, show
from elspeth.schema.typed_text import CANONICAL, decimal_text, too_long

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field that does not fit: its name, what the schema expects and what the row has."""

    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"field '{self.field}': expected {self.expected}, found {self.found}"


class SchemaError(ValueError):
    """A row does not fit its schema. `mismatches` names every field concerned."""

    def __init__(self, mismatches: Sequence[Mismatch]) -> None:
        super().__init__("; ".join(map(str, mismatches)))
        self.mismatches = tuple(mismatches)


class Unreadable(ValueError):
    """A value is not of its type; says why."""


def _int(text: str) -> int:
    text = text.strip()
    if not text.isascii() or "_" in text:
        raise ValueError
    whole, point, fraction = text.partition(".")
    if point and (fraction.strip("0") or not fraction or not whole[-1:].isdigit()):
        raise ValueError
    return int(whole)


def float_of(text: str) -> float:
    """The finite float that `text` spells. Raises `ValueError`."""
    value = float(text)
    if value - value != 0.0 or "_" in text or not text.isascii():  # NaN and infinity have no difference to themselves
        raise ValueError
    # Up to 15 digits always come back as they were written; beyond, the decimal values decide.
    if (len(text) > _SURE_DIGITS or "e" in text.lower()) and Decimal(text) != Decimal(repr(value)):
        raise ValueError
    return value


_SURE_DIGITS = 15
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _bool(text: str) -> bool:
    try:
        return _BOOLS[text.strip().lower()]
    except KeyError:
        raise ValueError from None


def _str(text: str) -> str:
    return text


def _widen(value: int) -> float:
    wide = float(value)  # OverflowError beyond 1e308
    if wide != value:
        raise ValueError
    return wide


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "int": _int, "float": float_of, "bool": _bool, "str": _str, **CANONICAL,
}  # fmt: skip
_CLASSES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
FAILURES = (KeyError, ValueError, OverflowError)
_FINISHED = frozenset({"date", "datetime"})  # what a form makes of these is canonical
Form = Callable[[str], Any]
"""Makes text that is spelled in a way of its own one in the usual form, or the value itself."""


def read_value(value: Any, spec: FieldSpec, form: Form | None = None) -> Any:
    """The typed value: the one statement of the rules. Raises one of `FAILURES`."""
    if spec.optional and (value is None or value == ""):
        return None
    if spec.type == "any":
        return value
    if value.__class__ is str:
        if spec.optional and spec.type != "str" and not value.strip():
            return None
        if form is None and spec.type not in CANONICAL:
            return _FROM_TEXT[spec.type](value)
        return _in_its_form(value, spec.type, form)
    return check_value(value, spec, widen=True)


def _in_its_form(text: str, kind: str, form: Form | None) -> Any:
    try:
        usual = text if form is None else form(text)
        if usual.__class__ is not str or (form is not None and kind in _FINISHED):
            return usual
    except ValueError as error:
        raise Unreadable(error) from None
    if kind not in CANONICAL:
        return _FROM_TEXT[kind](usual)
    try:
        return _FROM_TEXT[kind](usual)
    except ValueError as error:
        raise Unreadable(error) from None


def check_value(value: Any, spec: FieldSpec, *, widen: bool = False) -> Any:
    """The value, if it has its field's type; `widen` makes an int for a float or decimal one.

    Raises one of `FAILURES`.
    """
    if spec.type == "any" or (value is None and spec.optional):
        return value
    if spec.type in CANONICAL:
        return _check_text(value, spec.type, widen=widen)
    if value.__class__ is int and spec.type == "float":
        wide = _widen(value)
        return wide if widen else value
    if value.__class__ is not _CLASSES[spec.type] or (value.__class__ is float and value - value != 0.0):
        raise ValueError
    return value


def _check_text(value: Any, kind: str, *, widen: bool) -> Any:
    if kind == "decimal" and value.__class__ is int:
        text = _of_int(value)
        return text if widen else value
    if value.__class__ is float and kind == "decimal":
        raise Unreadable("a float is not exact; a decimal is text or a whole number")
    if value.__class__ is not str:
        raise ValueError
    try:
        canonical = _FROM_TEXT[kind](value)
    except ValueError as error:
        raise Unreadable(error) from None
    if canonical != value:
        raise Unreadable(f"in a row it is written {show(canonical)}")
    return value


def _of_int(value: int) -> str:
    try:
        return decimal_text(str(value))  # Python itself refuses to print very long ones
    except ValueError:
        raise Unreadable(too_long(None)) from None


def mismatches(schema: RowSchema, row: Row, value_of: Callable[[Any, FieldSpec], Any]) -> list[Mismatch]:
    """Everything in which `row` does not fit; `value_of` is `read_value` or `check_value`."""
    bad: list[Mismatch] = []
    known = {spec.name for spec in schema.fields}
    for spec in schema.fields:
        expected = spec.type + (" or nothing" if spec.optional else "")
        if spec.name not in row:
            if not spec.optional:
                bad.append(Mismatch(spec.name, expected, "no such field"))
            continue
        try:
            value_of(row[spec.name], spec)
        except FAILURES as error:
            reason = f": {error}" if isinstance(error, Unreadable) else ""
            bad.append(Mismatch(spec.name, expected, show(row[spec.name]) + reason))
    for name in presence(schema):
        if name not in row:
            bad.append(Mismatch(name, "any value", "no such field"))
    if schema.mode == "fixed":
        bad.extend(Mismatch(name, "no such field", show(row[name])) for name in row if name not in known)
    return bad


def presence(schema: RowSchema) -> list[str]:
    """The fields that must be there though nothing else is known of them."""
    named = {spec.name for spec in schema.fields}
    return [n for n in dict.fromkeys(schema.guaranteed_fields + schema.required_fields) if n not in named]
