"""Turns values into another type, exactly or not at all, by the rules of `elspeth.expressions.conversions`.

null stays null, whatever the type; text of nothing but white space is false where a truth value is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elspeth.expressions.conversions import CONVERT
from elspeth.expressions.typed_functions import CONVERT_TYPED
from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform
from elspeth.plugins.date_options import DateOptions
from elspeth.schema.text_forms import TextForms
from elspeth.schema.typed_text import TYPED_KINDS, to_text


def _to_bool(value: Any) -> Any:
    return False if isinstance(value, str) and not value.strip() else CONVERT["bool"](value)


_CONVERT: dict[str, Callable[[Any], Any]] = {**CONVERT, "bool": _to_bool}


def _to_text_of(kind: str, value: Any, form: Callable[[str], str] | None) -> str:
    if form is not None and isinstance(value, str):
        try:
            return form(value)
        except ValueError as error:
            raise ValueError(f"{value[:80]!r} (text): {error}") from None
    return to_text(CONVERT_TYPED[kind](value))


class Conversion(BaseModel):
    """One field and the type it gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="The field to convert; it must be there.")
    to: Literal["int", "float", "decimal", "bool", "str", "date", "datetime"] = Field(description="The type it gets.")
    spelling: DateOptions | None = Field(
        default=None, description="How its text spells a date or time, as `dates` of a source says it."
    )

    @model_validator(mode="after")
    def _spells_a_date(self) -> Conversion:
        if self.spelling is not None and self.to not in ("date", "datetime"):
            raise ValueError(f"spelling says how a date or time is spelled, and {self.field!r} becomes {self.to}")
        self.converter()
        return self

    def converter(self) -> Callable[[Any], Any]:
        """What makes a value of the type. Raises `ValueError` for a spelling that cannot be meant."""
        if self.to not in TYPED_KINDS:
            return _CONVERT[self.to]
        form = None
        if self.spelling is not None:
            form = TextForms({self.field: self.spelling.form}).converters({self.field: self.to})[self.field]
        return lambda value: _to_text_of(self.to, value, form)


class TypeCoerceOptions(PluginOptions):
    """`conversions` are carried out in order."""

    conversions: tuple[Conversion, ...] = Field(min_length=1, description="Which field gets which type.")


class TypeCoerce(Transform):
    """Turns values into another type; a conversion that would lose something is an error of the row.

    A decimal, date or time is text in its one form (see the page on types); a float becomes none, for it is not exact.
    """

    name: ClassVar[str] = "type_coerce"
    Options = TypeCoerceOptions
    options: TypeCoerceOptions

    def __init__(self, options: TypeCoerceOptions) -> None:
        super().__init__(options)
        self._conversions = [(item.field, item.to, item.converter()) for item in options.conversions]

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with converted values. Raises `RowError` for a missing field or a value that does not convert."""
        out = row.copy()
        for field, to, convert in self._conversions:
            if field not in out:
                raise RowError(f"the row has no field {field!r}", field=field, fields=list(row)[:50])
            value = out[field]
            if value is None:
                continue
            try:
                out[field] = convert(value)
            except ValueError as error:
                raise RowError(f"field {field!r} cannot become {to}: {error}", field=field, to=to) from None
        return out

    def fields_in(self) -> frozenset[str]:
        """The fields that a row must have."""
        return frozenset(field for field, _, _ in self._conversions)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields | self.fields_in()

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before, and those that fields get."""
        return {**types, **{item.field: item.to for item in self.options.conversions}}
