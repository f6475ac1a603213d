"""Small records on their way to the audit process: column by column, texts that repeat themselves once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec

from elspeth.audit.chain.records import Record
from elspeth.audit.mapping.tables import REASON, STORED, StoredTable
from elspeth.errors import ElspethError

MOST_REASONS = 32
"""So many different reasons in one frame are held by number: what a gate says of each row anew is no name."""

Numbers = Callable[[list[str], bool], list[int | str]]
"""The numbers of texts in `names`, or the texts themselves where there are too many of them; and whether they go in a
purge."""

_key = itemgetter(0)
_encode = msgspec.msgpack.Encoder().encode
_bytes = msgspec.msgpack.Decoder(bytes).decode


class StoredFrame(msgspec.Struct, array_like=True, frozen=True):
    """Records of one stored table: at least one, in key order. `texts` are those of each named column, by place.

    Where it is `tight`, what is encoded is packed (zlib, RFC 1950).
    """

    count: int
    first: str
    last: str
    texts: list[list[str]]
    encoded: msgspec.Raw
    tight: bool = False


def stored_frame(table: str, records: Sequence[Record]) -> StoredFrame:
    """These records, at least one."""
    ordered = sorted(records, key=_key)
    columns: list[Any] = list(zip(*ordered, strict=True))
    texts: list[list[str]] = []
    for name, at in _places(table):
        known: dict[Any, int | None] = {None: None}
        column = columns[at]
        distinct = dict.fromkeys(column)
        distinct.pop(None, None)
        if name == REASON and len(distinct) > MOST_REASONS:
            texts.append([])
            continue
        for number, text in enumerate(distinct):
            known[text] = number
        columns[at] = [known[text] for text in column]
        texts.append(list(distinct))
    return StoredFrame(len(ordered), ordered[0][0], ordered[-1][0], texts, msgspec.Raw(_encode(columns)))


def packed_frame(frame: StoredFrame) -> StoredFrame:
    """The same, packed."""
    return msgspec.structs.replace(frame, encoded=tightened(frame.encoded), tight=True)


def tightened(encoded: msgspec.Raw) -> msgspec.Raw:
    """What is encoded, packed, as it can stand in a message."""
    return msgspec.Raw(_encode(zlib.compress(encoded, 1)))


def loosened(packed: msgspec.Raw) -> msgspec.Raw:
    """What was packed. Raises `zlib.error`, or `msgspec.DecodeError`."""
    return msgspec.Raw(zlib.decompress(_bytes(packed)))


def stored_records(table: str, frame: StoredFrame, numbers: Numbers) -> Iterator[Record]:
    """The records as they are inserted, with the numbers that their names have in this run.

    Raises `ElspethError` where one does not fit its table.
    """
    form = STORED[table]
    try:
        columns: list[Any] = list(_decoder(table)(loosened(frame.encoded) if frame.tight else frame.encoded))
    except (msgspec.DecodeError, zlib.error) as error:  # `ValidationError` is one, too
        raise ElspethError(f"an audit record does not fit table {' or '.join(form.holds)}: {error}") from error
    for column in columns:
        if len(column) != frame.count:
            raise ElspethError(f"{len(column):,} records of {table} came, {frame.count:,} were announced")
    for (name, at), texts in zip(_places(table), frame.texts, strict=True):
        if not texts:
            continue
        found = numbers(texts, name == REASON)
        if all(number == place for place, number in enumerate(found)):
            continue
        known: Mapping[Any, Any] = {None: None, **dict(enumerate(found))}
        columns[at] = [known[value] for value in columns[at]]
    return zip(*columns, strict=True)


@cache
def _places(table: str) -> tuple[tuple[str, int], ...]:
    form = STORED[table]
    return tuple((name, form.columns.index(name)) for name in form.named)


@cache
def _decoder(table: str) -> Any:
    form: StoredTable = STORED[table]
    kinds = tuple(
        list[int | None] if name in form.named and name != REASON
        else list[int | str | None] if name == REASON
        else list[kind]  # type: ignore[valid-type]
        for name, kind in form.all_kinds().items()
    )  # fmt: skip
    return msgspec.msgpack.Decoder(tuple[kinds]).decode  # type: ignore[valid-type]
