"""Turns values into another type, exactly or not at all, by the rules of `elspeth.expressions.conversions`.

null stays null, whatever the type; text of nothing but white space is false where a truth value is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from elspeth.expressions.conversions import CONVERT
from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


def _to_bool(value: Any) -> Any:
    return False if isinstance(value, str) and not value.strip() else CONVERT["bool"](value)


_CONVERT: dict[str, Callable[[Any], Any]] = {**CONVERT, "bool": _to_bool}


class Conversion(BaseModel):
    """One field and the type it gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="The field to convert; it must be there.")
    to: Literal["int", "float", "bool", "str"] = Field(description="The type it gets.")


class TypeCoerceOptions(PluginOptions):
    """`conversions` are carried out in order."""

    conversions: tuple[Conversion, ...] = Field(min_length=1, description="Which field gets which type.")


class TypeCoerce(Transform):
    """Turns values into int, float, bool or str; a conversion that would lose something is an error of the row."""

    name: ClassVar[str] = "type_coerce"
    Options = TypeCoerceOptions
    options: TypeCoerceOptions

    def __init__(self, options: TypeCoerceOptions) -> None:
        super().__init__(options)
        self._conversions = [(item.field, item.to, _CONVERT[item.to]) for item in options.conversions]

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
