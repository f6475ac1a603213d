"""Small records for a database whose columns have one type each: what mixes types in SQLite is put into texts or bytes.

`forms.PostgresForms` says in SQL what this does. Both ways lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elspeth.audit.mapping.codes import packed_duration
from elspeth.audit.mapping.pack import SAME
from elspeth.audit.mapping.tables import ADDED, Hash, StoredTable, added_name

TEXT, WHOLE, FLOAT, BYTES = "text", "int8", "float8", "bytea"
"""Types of columns, by their short names in PostgreSQL."""

_SAME = bytes([SAME])
_HASH = 32
_NUL = b"\x00"


def mixed(value: Any) -> str | None:
    """A number or a text as a text: a number by its digits, a text behind an apostrophe."""
    if type(value) is str:
        return f"'{value}"
    return None if value is None else str(int(value))


def unmixed(value: str | None) -> int | str | None:
    """What `mixed` was given."""
    if value is None:
        return None
    return value[1:] if value.startswith("'") else int(value)


def hashed(value: Any) -> bytes | None:
    """A hash, or what stands in its place, as bytes: only a hash has 32 of them."""
    if value is None or type(value) is bytes:
        return value
    if value == SAME:
        return _SAME
    text = _NUL + str(value).encode()
    return text + _NUL if len(text) == _HASH else text


def unhashed(value: bytes | None) -> bytes | str | int | None:
    """What `hashed` was given."""
    if value is None or len(value) == _HASH:
        return value
    return SAME if value == _SAME else value.strip(_NUL).decode()


def milliseconds(value: Any) -> float | None:
    """A duration as it is read, from whole microseconds or a float of milliseconds."""
    return value / 1000 if type(value) is int else value


def whole_microseconds(value: float | None) -> int | float | None:
    """What `milliseconds` was given."""
    found: int | float | None = packed_duration(value)
    return found


def _as_it_is(value: Any) -> Any:
    return value


Convert = Callable[[Any], Any]

_KINDS: tuple[tuple[Any, str, Convert, Convert], ...] = (
    (str, TEXT, _as_it_is, _as_it_is),
    (str | None, TEXT, _as_it_is, _as_it_is),
    (int, WHOLE, _as_it_is, _as_it_is),
    (int | None, WHOLE, _as_it_is, _as_it_is),
    (int | str, TEXT, mixed, unmixed),
    (int | str | None, TEXT, mixed, unmixed),
    (int | float | None, FLOAT, milliseconds, whole_microseconds),
    (Hash, BYTES, hashed, unhashed),
)


def column_types(form: StoredTable) -> dict[str, str]:
    """The type of each column of a table of small records."""
    return {column: kind for column, (kind, _, _) in _columns(form).items()}


def typed(form: StoredTable, records: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Small records, at least one, as they are stored in columns of these types."""
    return _converted(records, [to for _, to, _ in _columns(form).values()])


def untyped(form: StoredTable, records: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """What `typed` was given."""
    return _converted(records, [back for _, _, back in _columns(form).values()])


def _converted(records: Sequence[Sequence[Any]], conversions: list[Convert]) -> list[tuple[Any, ...]]:
    columns = [
        column if convert is _as_it_is else [convert(value) for value in column]
        for column, convert in zip(zip(*records, strict=True), conversions, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _columns(form: StoredTable) -> Mapping[str, tuple[str, Convert, Convert]]:
    later = {added_name(table, column) for table in form.holds for column in ADDED.get(table, ())}
    found: dict[str, tuple[str, Convert, Convert]] = {}
    for column, declared in form.all_kinds().items():
        wanted = str | None if column in later else declared
        found[column] = next((kind, to, back) for known, kind, to, back in _KINDS if known == wanted)
    return found
