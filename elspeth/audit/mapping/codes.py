"""How single values are stored: words by code, hashes as bytes, times as milliseconds; and how SQL says them again.

Columns of records have no fixed type. A value that does not fit its short form is stored as it is, so whatever stood in
a table of an earlier layout comes back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

STATUSES: Mapping[str, int] = {"completed": 1, "failed": 2}
MODES: Mapping[str, int] = {"move": 1, "copy": 0, "divert": 2}
OUTCOMES: Mapping[str, int] = {
    "completed": 1, "routed": 0, "forked": 2, "expanded": 3, "coalesced": 4, "consumed_in_batch": 5, "quarantined": 6,
    "discarded": 7, "failed": 8, "buffered": 9,
}  # fmt: skip
"""Words that are stored as numbers. SQLite keeps 0 and 1 in no bytes at all. A number is never given another word."""

_HASH = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LENGTH = len("2026-01-31T23:59:59.999Z")
_MOST_MS = 1_000_000_000_000


def packed_hash(value: Any) -> Any:
    """A SHA-256 in lower-case hexadecimal digits as bytes; anything else as it is."""
    if type(value) is str and len(value) == 2 * _HASH:
        try:
            found = bytes.fromhex(value)
        except ValueError:
            return value
        if found.hex() == value:
            return found
    return value


def packed_time(value: Any) -> Any:
    """A time as `clock.utc_now` writes it, as milliseconds since 1970; anything else as it is."""
    if type(value) is str and len(value) == _LENGTH:
        try:
            found = (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
        except (ValueError, TypeError):
            return value
        if found >= 0 and text_of(found) == value:
            return found
    return value


def packed_duration(value: Any) -> Any:
    """Milliseconds as whole microseconds where they are that; anything else as it is."""
    if type(value) is float and -_MOST_MS < value < _MOST_MS:
        found = round(value * 1000)
        if (found and found / 1000 == value) or (not found and str(value) == "0.0"):
            return found
    return value


def text_of(milliseconds: int) -> str:
    """The text of a time, which is stored as milliseconds since 1970."""
    return (_EPOCH + milliseconds * _MILLISECOND).isoformat(timespec="milliseconds")[:-6] + "Z"


def hash_of(column: str) -> str:
    """The SQL that says a stored hash."""
    is_packed = f"typeof({column}) = 'blob' AND length({column}) = {_HASH}"
    return f"CASE WHEN {is_packed} THEN lower(hex({column})) ELSE {column} END"


def time_of(column: str, *later: str) -> str:
    """The SQL that says a stored time, so many milliseconds `later`; where the last of these is no number, that."""
    last = later[-1] if later else column
    summed = " + ".join((column, *later))
    return (
        f"CASE WHEN typeof({last}) = 'integer'"
        f" THEN strftime('%Y-%m-%dT%H:%M:%fZ', ({summed}) / 1000.0, 'unixepoch') ELSE {last} END"
    )


def duration_of(column: str) -> str:
    """The SQL that says a stored duration in milliseconds."""
    return f"CASE WHEN typeof({column}) = 'integer' THEN {column} / 1000.0 ELSE {column} END"


def word_of(column: str, codes: Mapping[str, int]) -> str:
    """The SQL that says a stored word."""
    cases = " ".join(f"WHEN {code} THEN '{word}'" for word, code in codes.items())
    return f"CASE {column} {cases} ELSE {column} END"
