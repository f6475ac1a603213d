"""Fields whose text stands for a decimal, date or time: which of their values are the same, and which comes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elspeth.expressions.typed_functions import CONVERT_TYPED
from elspeth.plugins.contract import RowError
from elspeth.schema.typed_text import TYPED_KINDS, identity, to_text


class TypedFields:
    """The decimals, dates and times among a step's fields, given the types that its context tells."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._kinds = {name: kind for name, kind in types.items() if kind in TYPED_KINDS}

    def kind(self, field: str) -> str | None:
        """`decimal`, `date` or `datetime`, or None for a field of another type."""
        return self._kinds.get(field)

    def value(self, field: str, value: Any) -> Any:
        """What a row's value stands for; null, and values of other fields, stay as they are. Raises `RowError`."""
        kind = self._kinds.get(field)
        if kind is None or value is None:
            return value
        try:
            return CONVERT_TYPED[kind](value)
        except ValueError as error:
            raise RowError(f"field {field!r} is a {kind}, and holds {error}", field=field) from None

    def same(self, field: str, value: Any) -> Any:
        """A value that two values of the field share if they are the same: 1.50 and 1.5. Raises `RowError`."""
        kind = self._kinds.get(field)
        if kind is None or value is None:
            return value
        return identity(kind, to_text(self.value(field, value)))
