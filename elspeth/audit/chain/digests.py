"""The digests of the chain: lines of records, what is kept of them per commit and table, and a commit's own digest.

Each record is one line of JSON: its values as stored, in the order of its layout's fixed columns, as an array without
spaces. The lines of a commit stand in key order, table by table. For each table of a commit

    marks    four bytes per line (Adler-32, little endian): they name the culprit, they prove nothing
    digest   SHA-256 over all lines, then the marks

and, where a table has purgeable columns, the same once more over lines `[key..., purgeable values...]` of the records
in which any of these is not NULL. A commit's digest is SHA-256 over the canonical JSON of its header, which holds the
previous commit's digest, the number of the layout (but for the first one, which did not say so), and for each table
its name, the number of records and both digests. A run's first commit follows the head of the run that began last. A
purge removes the purgeable values and their marks; digests stay.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec

from elspeth import canonical
from elspeth.audit.chain.layouts import FIRST, LAYOUTS, NEWEST, Layout
from elspeth.audit.chain.records import KEY_LENGTH, Record

GENESIS = "0" * 64
"""What the first commit of a database follows."""

MARK_SIZE = 4

_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What one commit wrote into one table; a row of `commit_tables`."""

    table: str
    record_count: int
    digest: str
    marks: bytes
    purgeable_digest: str | None = None
    purgeable_marks: bytes | None = None


class Lines(msgspec.Struct, array_like=True, frozen=True):
    """The lines of some records of one table, fixed and purgeable parts, each with its marks."""

    fixed: bytes
    marks: bytes
    purgeable: bytes
    purgeable_marks: bytes


class RunningDigest:
    """A digest over lines that come in pieces, with how many they are so far."""

    __slots__ = ("_hash", "count")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, lines: bytes) -> None:
        """Take some more lines, each with its line end."""
        self._hash.update(lines)
        self.count += lines.count(b"\n")

    def agrees(self, digest: object, marks: object) -> bool:
        """Whether the digest is that of all lines so far and of these marks: then both are what was written.

        Marks are covered by the digest, and their length tells where they begin, so they need not be made again.
        """
        if not isinstance(marks, bytes) or len(marks) != MARK_SIZE * self.count:
            return False
        whole = self._hash.copy()
        whole.update(marks)
        return whole.hexdigest() == digest


def marks(lines: bytes) -> bytes:
    """Four bytes for each line."""
    sums = array("I", map(zlib.adler32, lines.split(b"\n")[:-1]))
    if sys.byteorder == "big":
        sums.byteswap()
    return sums.tobytes()


def fixed_lines(table: str, records: Sequence[Record], layout: Layout = NEWEST) -> bytes:
    """The lines of records that hold the layout's columns, in key order."""
    project = _fixed_part(layout.number, table)
    return _encode_lines(records if project is None else list(map(project, records)))


def purgeable_lines(table: str, records: Iterable[Record], layout: Layout = NEWEST) -> bytes:
    """The lines of the purgeable parts, of the records that have any."""
    parts = _purgeable_part(layout.number, table)
    return _encode_lines(parts(records)) if parts else b""


def lines_of(table: str, records: Sequence[Record], layout: Layout = NEWEST) -> Lines:
    """The lines of records that are in key order."""
    fixed, purgeable = fixed_lines(table, records, layout), purgeable_lines(table, records, layout)
    return Lines(fixed, marks(fixed), purgeable, marks(purgeable))


def digest_lines(table: str, count: int, pieces: Sequence[Lines]) -> TableDigest:
    """What the chain keeps about so many records, which are all a commit wrote into this table, in key order."""
    digest, found = _digest([piece.fixed for piece in pieces], [piece.marks for piece in pieces])
    if not any(piece.purgeable for piece in pieces):
        return TableDigest(table, count, digest, found)
    purgeable = _digest([piece.purgeable for piece in pieces], [piece.purgeable_marks for piece in pieces])
    return TableDigest(table, count, digest, found, *purgeable)


def digest_table(table: str, records: Sequence[Record], layout: Layout = NEWEST) -> TableDigest:
    """The same from the records themselves."""
    return digest_lines(table, len(records), [lines_of(table, records, layout)])


def digest_commit(
    previous: str, run_id: str, attempt: int, commit_no: int, committed_at: str, tables: Iterable[TableDigest],
    layout: Layout = NEWEST,
) -> str:  # fmt: skip
    """The digest (hex) of a commit with this header."""
    header: dict[str, Any] = {
        "previous": previous,
        "run_id": run_id,
        "attempt": attempt,
        "commit_no": commit_no,
        "committed_at": committed_at,
        "tables": sorted([part.table, part.record_count, part.digest, part.purgeable_digest] for part in tables),
    }
    if layout.number != FIRST.number:
        header["layout"] = layout.number
    return canonical.sha256(header)


def digest_of(lines: bytes) -> str:
    """The digest (hex) over lines and their marks."""
    return _digest([lines], [marks(lines)])[0]


def _digest(lines: Iterable[bytes], marked: Iterable[bytes]) -> tuple[str, bytes]:
    whole = hashlib.sha256()
    for some in lines:
        whole.update(some)
    found = b"".join(marked)
    whole.update(found)
    return whole.hexdigest(), found


@cache
def _fixed_part(number: int, table: str) -> Callable[[Record], Any] | None:
    layout = LAYOUTS[number]
    if table not in layout.purgeable:
        return None
    columns = layout.columns[table]
    return itemgetter(*(columns.index(column) for column in layout.fixed(table)))


@cache
def _purgeable_part(number: int, table: str) -> Callable[[Iterable[Record]], list[Any]] | None:
    layout = LAYOUTS[number]
    if table not in layout.purgeable:
        return None
    at = [layout.columns[table].index(column) for column in layout.purgeable[table]]
    project = itemgetter(*range(KEY_LENGTH.get(table, 1)), *at)
    if len(at) == 1:
        (one,) = at
        return lambda records: [project(record) for record in records if record[one] is not None]
    one, two = at
    return lambda records: [project(record) for record in records if record[one] is not None or record[two] is not None]
