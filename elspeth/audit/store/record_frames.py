"""Audit records on their way to the audit process, with the lines that the chain digests.

There are many workers and one audit process, so what is to be digested is written down where the records are made; the
audit process hashes it as it comes. A part's records are in key order, and its lines are those of its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain as chained
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypedDict

import msgspec

from elspeth.audit.chain import digests
from elspeth.audit.chain.digests import Lines
from elspeth.audit.chain.records import COLUMNS, KEY_LENGTH, Record, Records, record_type
from elspeth.errors import ElspethError


class RecordFrame(msgspec.Struct, array_like=True, frozen=True):
    """Records of one table, as one role made them in one piece of work."""

    records: list[Record]
    lines: Lines


RecordFrames = dict[str, RecordFrame]
"""By table; only tables with records."""


def part(table: str, records: Sequence[Record]) -> RecordFrame:
    """These records, at least one, in key order, with their lines."""
    ordered = sorted(records, key=_KEYS[table])
    return RecordFrame(ordered, digests.lines_of(table, ordered))


def join(table: str, parts: Sequence[RecordFrame]) -> tuple[list[Record], Sequence[Lines]]:
    """The records of several parts in key order, and their lines.

    Parts follow each other as rows do, unless a stage kept tokens back: then the lines are written anew.
    """
    if len(parts) == 1:
        return parts[0].records, [parts[0].lines]
    key = _KEYS[table]
    records = list(chained.from_iterable(part.records for part in parts))
    if all(key(before.records[-1]) < key(after.records[0]) for before, after in pairwise(parts)):
        return records, [part.lines for part in parts]
    records.sort(key=key)
    return records, [digests.lines_of(table, records)]


def encode(records: Records) -> bytes:
    """What a role sends of the records it has made; empty tables are left out."""
    return _encode({table: part(table, made) for table, made in records.items() if made})


def decode(body: bytes | memoryview) -> RecordFrames:
    """What `encode` was given. Raises `ElspethError` where a record does not fit its table."""
    try:
        return _decode(body)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ElspethError(f"an audit record does not fit its table: {error}") from error


_KEYS = {table: itemgetter(*range(KEY_LENGTH.get(table, 1))) for table in COLUMNS}
_encode = msgspec.msgpack.Encoder().encode


def _typed(table: str) -> Any:
    records = list[record_type(table, COLUMNS[table])]  # type: ignore[valid-type, misc]
    return msgspec.defstruct(table, [("records", records), ("lines", Lines)], array_like=True, frozen=True)


def _body() -> Any:
    return TypedDict("Body", {table: _typed(table) for table in COLUMNS}, total=False)  # type: ignore[operator]


_decode = msgspec.msgpack.Decoder(_body()).decode
