"""Audit records on their way to the audit process, with the lines that the chain digests.

There are many workers and one audit process, so what is to be digested is written down where the records are made; the
audit process hashes it as it comes. A part's records are in key order, and its lines are those of its records. They
stay encoded until they are inserted: as objects they take several times the room, and a commit may hold millions.
"""

from __future__ import annotations

import heapq
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain as chained
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from elspeth.audit.chain import digests
from elspeth.audit.chain.digests import Lines
from elspeth.audit.chain.records import COLUMNS, FIXED, KEY_LENGTH, PURGEABLE, REFERENCES, Record, Records, record_type
from elspeth.audit.mapping.pack import packed
from elspeth.audit.mapping.stored_frames import StoredFrame, loosened, packed_frame, stored_frame, tightened
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.errors import ElspethError

AT_ONCE = 32_768
"""So many records at most are objects at the same time because the keys of their parts overlap."""

Key = tuple[str, ...]


class RecordFrame(msgspec.Struct, array_like=True, frozen=True):
    """Records of one table, as one role made them in one piece of work: at least one, encoded.

    `first` and `last` are their lowest and highest key; `references` is what they mention of the payload store. Of
    tables that are stored in another form nothing is encoded: their records are in their lines. Where it is `tight`,
    what is encoded and the lines, their marks aside, are packed (zlib, RFC 1950).
    """

    count: int
    first: Key
    last: Key
    references: list[str]
    encoded: msgspec.Raw
    lines: Lines
    tight: bool = False


class RecordFrames(msgspec.Struct, array_like=True, frozen=True):
    """What one role made in one piece of work, by table; only tables with records. `stored` are the small records."""

    read: dict[str, RecordFrame]
    stored: dict[str, StoredFrame]


@dataclass(frozen=True, slots=True)
class _Block:
    """Parts of which one begins before another has ended; `records` are those of all, in key order, where kept."""

    parts: list[RecordFrame]
    records: list[Record] | None = None


class TableRecords:
    """What a commit writes into one table, from the parts in which it came. `lines` are all of its lines, in key order.

    Parts follow each other as rows do, unless a stage kept tokens back or several stages saw the same rows: then lines
    are put in order anew. Raises `ElspethError` where a record that was looked at for that does not fit its table.
    """

    def __init__(self, table: str, parts: Iterable[RecordFrame]) -> None:
        self.table = table
        self.lines: list[Lines] = []
        self._blocks: list[_Block] = []
        ordered = [_unpacked(part) for part in sorted(parts, key=attrgetter("first"))]
        self.count = sum(part.count for part in ordered)
        self.ends = [key for part in ordered for key in (part.first, part.last)]
        for block in _overlapping(ordered):
            records: list[Record] | None = None
            if len(block) == 1:
                lines = block[0].lines
            elif table not in HELD_IN and sum(part.count for part in block) <= AT_ONCE:
                records = self._sorted(block)
                lines = digests.lines_of(table, records)
            else:
                lines = _merged(table, block)
            self.lines.append(lines)
            self._blocks.append(_Block(block, records if self.count <= AT_ONCE else None))

    def pieces(self) -> Iterator[list[Record]]:
        """All records, a piece after the other; in key order but where many of them came in parts that overlap.

        Raises `ElspethError` where a record does not fit its table.
        """
        for block in self._blocks:
            if block.records is not None:
                yield block.records
            else:
                for part in block.parts:
                    yield records_of(self.table, part)

    def in_order(self) -> Iterator[list[Record]]:
        """The same in key order, for who cannot do without: parts that overlap are objects all at once."""
        for block in self._blocks:
            yield self._sorted(block.parts) if block.records is None else block.records

    def forget(self) -> None:
        """Let go of all of it: it is digested, and what is inserted is another form of the same."""
        self.lines, self._blocks = [], []

    def _sorted(self, parts: list[RecordFrame]) -> list[Record]:
        if len(parts) == 1:
            return records_of(self.table, parts[0])
        found = chained.from_iterable(records_of(self.table, part) for part in parts)
        return sorted(found, key=_KEYS[self.table])


def part(table: str, records: Sequence[Record]) -> RecordFrame:
    """These records, at least one, in key order, with their lines."""
    key = _KEYS[table]
    ordered = sorted(records, key=key)
    first, last = key(ordered[0]), key(ordered[-1])
    if KEY_LENGTH.get(table, 1) == 1:
        first, last = (first,), (last,)
    mentioned = {found for mention in _MENTIONS.get(table, ()) for found in map(mention, ordered)} - {None}
    encoded = msgspec.Raw(_encode(None if table in HELD_IN else ordered))
    lines = digests.lines_of(table, ordered)
    return RecordFrame(len(ordered), first, last, sorted(mentioned), encoded, lines)


def _packed(frame: RecordFrame) -> RecordFrame:
    lines = frame.lines
    return msgspec.structs.replace(
        frame, tight=True, encoded=tightened(frame.encoded),
        lines=Lines(
            zlib.compress(lines.fixed, 1), lines.marks, zlib.compress(lines.purgeable, 1), lines.purgeable_marks
        ),
    )  # fmt: skip


def _unpacked(frame: RecordFrame) -> RecordFrame:
    if not frame.tight:
        return frame
    lines = frame.lines
    try:
        fixed, purgeable = zlib.decompress(lines.fixed), zlib.decompress(lines.purgeable)
        encoded = loosened(frame.encoded)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ElspethError(f"audit records came in a form that is none: {error}") from error
    whole = Lines(fixed, lines.marks, purgeable, lines.purgeable_marks)
    return msgspec.structs.replace(frame, tight=False, encoded=encoded, lines=whole)


def records_of(table: str, frame: RecordFrame) -> list[Record]:
    """The records themselves. Raises `ElspethError` where one does not fit its table."""
    frame = _unpacked(frame)
    if table in HELD_IN:
        return list(_from_lines(table, frame.lines))
    try:
        records: list[Record] = _decoder(table)(frame.encoded)
    except msgspec.ValidationError as error:
        raise ElspethError(f"an audit record does not fit table {table}: {error}") from error
    if len(records) != frame.count:
        raise ElspethError(f"{len(records):,} records of {table} came, {frame.count:,} were announced")
    return records


def references(sent: Iterable[RecordFrames]) -> set[str]:
    """Everything in the payload store that these records mention."""
    return {found for frames in sent for frame in frames.read.values() for found in frame.references}


def encode(records: Records, *, tight: bool = False) -> bytes:
    """What a role sends of the records it has made; empty tables are left out.

    `tight`: packed, for what a large batch comes to, which is held by others until it is committed.
    """
    frames = frames_of(records)
    if tight:
        frames = RecordFrames(
            {table: _packed(frame) for table, frame in frames.read.items()},
            {table: packed_frame(frame) for table, frame in frames.stored.items()},
        )
    return _encode(frames)


def frames_of(records: Records) -> RecordFrames:
    """The frames of some records, which hold a row and its first token, a state and its first way together."""
    read = {table: part(table, made) for table, made in records.items() if made}
    return RecordFrames(read, {table: stored_frame(table, made) for table, made in packed(records).items()})


def decode(body: bytes | memoryview) -> RecordFrames:
    """What `encode` was given, the records still encoded. It holds on to nothing of `body`.

    Raises `ElspethError` where it is nothing of the kind.
    """
    try:
        found: RecordFrames = _decode_frames(body)
    except msgspec.ValidationError as error:
        raise ElspethError(f"audit records came in a form that is none: {error}") from error
    if unknown := (found.read.keys() - COLUMNS.keys()) | (found.stored.keys() - STORED.keys()):
        raise ElspethError(f"audit records came of table {min(unknown)}, which there is not")
    return RecordFrames(
        {table: msgspec.structs.replace(frame, encoded=frame.encoded.copy()) for table, frame in found.read.items()},
        {table: msgspec.structs.replace(frame, encoded=frame.encoded.copy()) for table, frame in found.stored.items()},
    )


def records_in(body: bytes | memoryview) -> Records:
    """All that `encode` was given, by table."""
    return {table: records_of(table, frame) for table, frame in decode(body).read.items()}


def _from_lines(table: str, lines: Lines) -> Iterator[Record]:
    """Records that nothing but their lines holds in the form in which they are read."""
    columns, apart = COLUMNS[table], PURGEABLE.get(table, ())
    fixed, held = FIXED[table], dict(_by_key(lines.purgeable))
    places = [
        (apart.index(column) + 1, True) if column in apart else (fixed.index(column), False) for column in columns
    ]
    nothing = [None] * (len(apart) + 1)
    for key, values in _by_key(lines.fixed):
        more = held.get(key, nothing)
        yield tuple(more[at] if purgeable else values[at] for at, purgeable in places)


def _by_key(lines: bytes) -> Iterator[tuple[str, list[Any]]]:
    for line in lines.splitlines():
        values = _decode_line(line)
        yield values[0], values


def _overlapping(ordered: list[RecordFrame]) -> Iterator[list[RecordFrame]]:
    """Parts in the order of their first keys; those together of which one begins before another has ended."""
    block, highest = ordered[:1], ordered[0].last
    for part in ordered[1:]:
        if part.first > highest:
            yield block
            block = []
        block.append(part)
        highest = max(highest, part.last)
    yield block


def _merged(table: str, parts: list[RecordFrame]) -> Lines:
    """The lines of parts that overlap, in key order. Lines begin with their keys, so no record is looked at."""
    fixed = _in_key_order(table, [part.lines.fixed for part in parts])
    purgeable = _in_key_order(table, [part.lines.purgeable for part in parts])
    return Lines(fixed, digests.marks(fixed), purgeable, digests.marks(purgeable))


def _in_key_order(table: str, pieces: list[bytes]) -> bytes:
    merged = heapq.merge(*(_keyed(table, lines) for lines in pieces), key=itemgetter(0))
    whole = io.BytesIO()
    whole.writelines(line for _, line in merged)
    return whole.getvalue()


def _keyed(table: str, lines: bytes) -> Iterator[tuple[Any, bytes]]:
    """The lines one after the other, each with the key that it begins with, as bytes, which sort as texts do."""
    length, start = KEY_LENGTH.get(table, 1), 0
    while start < len(lines):
        end = lines.index(b"\n", start) + 1
        line = lines[start:end]
        key: Any = line[2 : line.index(b'"', 2)]
        if length > 1 or b"\\" in key:
            key = tuple(text.encode() for text in _decode_line(line)[:length])
            key = key[0] if length == 1 else key
        yield key, line
        start = end


_KEYS = {table: itemgetter(*range(KEY_LENGTH.get(table, 1))) for table in COLUMNS}
_MENTIONS = {
    table: [itemgetter(COLUMNS[table].index(column)) for column in columns] for table, columns in REFERENCES.items()
}
_encode = msgspec.msgpack.Encoder().encode
_decode_line = msgspec.json.Decoder(list[Any]).decode


@cache
def _decoder(table: str) -> Any:
    return msgspec.msgpack.Decoder(list[record_type(table, COLUMNS[table])]).decode  # type: ignore[misc]


_decode_frames = msgspec.msgpack.Decoder(RecordFrames).decode
