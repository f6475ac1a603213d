"""Recomputes what the chain says about one table: every record, in one pass, a running digest per commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from elspeth.audit.chain import digests
from elspeth.audit.chain.layouts import NEWEST, Layout, layout_of
from elspeth.audit.chain.records import COLUMNS, RANGED, Record
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_view, stream
from elspeth.audit.mapping import unwritten
from elspeth.audit.mapping.tables import HELD_IN
from elspeth.audit.store.commits.commit_records import checked, key_columns
from elspeth.audit.verify.consistency import Contents
from elspeth.audit.verify.findings import Discrepancy
from elspeth.errors import ElspethError

FETCHED = 500  # records at a time: of 2,000 a processor's cache does not hold what is made of them
NAMED = 10  # findings per table; more would not tell more

_RUN, _COMMIT = itemgetter(-2), itemgetter(-1)
"""Of what is fetched of a record: they stand behind its columns."""

Groups = Iterator[tuple[int, list[Record]]]


class TableVerifier:
    """One table of one run, held against `commit_tables`. Of commits before `purged_before`, row data may be gone.

    `contents` gets to see all records, so that they are read once.
    """

    def __init__(
        self, connection: Connection, run_id: str, table: str, *, purged_before: int, contents: Contents | None = None
    ) -> None:
        self._connection = connection
        self._run_id = run_id
        self.table = table
        self._purged_before = purged_before
        self._contents = contents
        self._open: dict[int, _Running] = {}
        self._done: set[int] = set()
        self._bad: dict[int, None] = {}
        self.findings: list[Discrepancy] = []
        # Removed and added records by mark, to recognise those that were only moved to another commit.
        self.lost: list[tuple[bytes, Discrepancy]] = []
        self.found: list[tuple[bytes, Discrepancy]] = []

    def run(self) -> list[Discrepancy]:
        """Everything in this table that is not as the commits wrote it."""
        if bad := self.disagreeing():
            self._explain(bad[:NAMED])
        return self.findings[:NAMED]

    def disagreeing(self) -> list[int]:
        """The numbers of the commits whose records in this table are not what was written."""
        for commit_no, records in self._groups():
            self._take(commit_no, records)
            if self._contents is not None:
                self._contents.take(records)
        self._bad.update(dict.fromkeys(self._open))
        query = "SELECT commit_no FROM commit_tables WHERE run_id = ? AND table_name = ? ORDER BY commit_no"
        for (commit_no,) in self._connection.execute(query, (self._run_id, self.table)):
            if commit_no not in self._done and commit_no not in self._open:
                self._bad[commit_no] = None
        return sorted(self._bad, key=lambda number: (not isinstance(number, int), f"{number!r:>20}"))

    def _take(self, commit_no: int, records: list[Record]) -> None:
        if commit_no in self._bad:
            return
        running = self._open.get(commit_no)
        if running is None:
            expected = None if commit_no in self._done else self._expected(commit_no)
            if expected is None:
                self._done.discard(commit_no)
                self._bad[commit_no] = None
                return
            running = self._open[commit_no] = _Running(*expected)
        try:
            typed = as_digested(self.table, records, running.layout)
        except ElspethError:
            self._bad[commit_no] = None
            return
        running.fixed.add(digests.fixed_lines(self.table, typed, running.layout))
        running.purgeable.add(digests.purgeable_lines(self.table, typed, running.layout))
        if running.fixed.count < running.expected.record_count:
            return
        del self._open[commit_no]
        if running.agrees(commit_no < self._purged_before):
            self._done.add(commit_no)
        else:
            self._bad[commit_no] = None

    def _groups(self, only: list[int] | None = None) -> Groups:
        """The table's records in key order, neighbours of one commit together."""
        columns = ", ".join(f'"{column}"' for column in NEWEST.columns[self.table])
        if self.table in RANGED:
            key = COLUMNS[self.table][0]
            where, values = f"{key} >= ? AND {key} < ?", [self._run_id, self._run_id + "~"]
        else:
            where, values = "run_id = ?", [self._run_id]
        order = ", ".join(key_columns(self.table))
        if only is not None:
            where += f" AND commit_no IN ({', '.join('?' * len(only))})"
            values += only  # type: ignore[arg-type]
        writer, origin, run_id = self._writer(), self.table, "run_id"
        if writer is not None:
            origin, run_id = f"({unwritten.select(self.table)})", "?"
            values.insert(0, self._run_id)
        rows = stream(
            self._connection,
            f"SELECT {columns}, {run_id}, commit_no FROM {origin} WHERE {where} ORDER BY {order}",
            values,
        )
        while fetched := list(islice(rows, FETCHED)):
            if writer is not None:
                fetched = writer.written(fetched)
            if only is None and set(map(_RUN, fetched)) != {self._run_id}:
                self._name_strangers(fetched)
            for commit_no, group in groupby(fetched, key=_COMMIT):
                yield commit_no, [record[:-2] for record in group]

    def _name_strangers(self, fetched: list[Record]) -> None:
        for record in fetched:
            if _RUN(record) != self._run_id:
                self._name("changed", record[:-2], _COMMIT(record), f"carries the run id {_RUN(record)!r}")

    def _writer(self) -> unwritten.Writer | None:
        """Who writes out what SQL takes long to write; None where nobody has to."""
        connection = self._connection
        if self.table not in HELD_IN or not isinstance(connection, sqlite3.Connection):
            return None
        if not is_view(connection, self.table):
            return None  # a table of an earlier layout, shown as the present one perhaps, or rebuilt from an export
        columns = (*NEWEST.columns[self.table], "run_id", "commit_no")
        return unwritten.Writer(connection, self.table, self._run_id, columns)

    def _expected(self, commit_no: Any) -> tuple[digests.TableDigest, Layout] | None:
        row = self._connection.execute(
            "SELECT p.table_name, p.record_count, p.digest, p.marks, p.purgeable_digest, p.purgeable_marks, c.layout"
            " FROM commit_tables AS p JOIN commits AS c ON c.run_id = p.run_id AND c.commit_no = p.commit_no"
            " WHERE p.run_id = ? AND p.commit_no = ? AND p.table_name = ?",
            (self._run_id, commit_no, self.table),
        ).fetchone()
        layout = layout_of(row[-1]) if row else None
        if layout is None or not (isinstance(row[1], int) and isinstance(row[3], bytes)):
            return None
        return digests.TableDigest(*row[:-1]), layout

    def _explain(self, commits: list[int]) -> None:
        """Read the commits that do not agree once more, and name the culprits by their marks."""
        held: dict[int, list[Record]] = {commit_no: [] for commit_no in commits}
        for commit_no, records in self._groups(commits):
            held[commit_no] += records
        for commit_no in commits:
            if len(self.findings) >= NAMED:
                return
            self._explain_commit(commit_no, held[commit_no])

    def _explain_commit(self, commit_no: int, records: list[Record]) -> None:
        found = self._expected(commit_no)
        if found is None:
            for record in records[:NAMED]:
                self._add(record, commit_no, digests.marks(self._line(record, NEWEST)))
            if not records:
                self.findings.append(
                    Discrepancy(
                        "removed", f"what commit {commit_no!r} says about {self.table} cannot be read", self.table
                    )
                )
            return
        expected, layout = found
        lines = [self._line(record, layout) for record in records]
        before = len(self.findings) + len(self.found) + len(self.lost)
        self._compare(commit_no, records, lines, expected.marks)
        if len(self.findings) + len(self.found) + len(self.lost) > before:
            return
        if expected.digest != digests.digest_of(b"".join(lines)):
            self._vague(commit_no)
            return
        kept = [(record, line) for record in records if (line := self._purgeable_line(record, layout))]
        if not kept and commit_no < self._purged_before:
            what = f"what was purged from {self.table} in commit {commit_no} has its marks still, or again"
            self.findings.append(Discrepancy("changed", what, "commit_tables", None, commit_no))
            return
        self._compare(
            commit_no, [record for record, _ in kept], [line for _, line in kept], expected.purgeable_marks or b""
        )
        if len(self.findings) + len(self.found) + len(self.lost) == before:
            self._vague(commit_no)

    def _compare(self, commit_no: int, records: list[Record], lines: list[bytes], marks: bytes) -> None:
        was = [marks[at : at + digests.MARK_SIZE] for at in range(0, len(marks), digests.MARK_SIZE)]
        now = [digests.marks(line) for line in lines]
        start = 0
        while start < min(len(was), len(now)) and was[start] == now[start]:
            start += 1
        end = 0
        while end < min(len(was), len(now)) - start and was[-1 - end] == now[-1 - end]:
            end += 1
        gone, there = was[start : len(was) - end], range(start, len(now) - end)
        if len(gone) == len(there):
            for mark, at in zip(gone, there, strict=True):
                if mark != now[at]:
                    self._name("changed", records[at], commit_no, "is not what was written")
            return
        for at in there:
            if now[at] not in gone:
                self._add(records[at], commit_no, now[at])
        kept = {now[at] for at in there}
        behind = f"behind {_name(self.table, records[start - 1])}" if start else "at the beginning"
        for mark in gone:
            if mark not in kept:
                sentence = f"a record of {self.table} {behind} was removed from commit {commit_no}"
                self.lost.append((mark, Discrepancy("removed", sentence, self.table, None, commit_no)))

    def _add(self, record: Record, commit_no: int, mark: bytes) -> None:
        sentence = f"{self.table} {_name(self.table, record)} was added: commit {commit_no} did not write it"
        self.found.append((mark, Discrepancy("added", sentence, self.table, _name(self.table, record), commit_no)))

    def _name(self, kind: Any, record: Record, commit_no: int, what: str) -> None:
        name = _name(self.table, record)
        sentence = f"{self.table} {name} {what} (commit {commit_no})"
        self.findings.append(Discrepancy(kind, sentence, self.table, name, commit_no))

    def _vague(self, commit_no: int) -> None:
        sentence = f"the records of {self.table} in commit {commit_no} are not what was written"
        self.findings.append(Discrepancy("changed", sentence, self.table, None, commit_no))

    def _line(self, record: Record, layout: Layout) -> bytes:
        try:
            return digests.fixed_lines(self.table, as_digested(self.table, [record], layout), layout)
        except ElspethError:
            return repr(record).encode() + b"\n"  # a value of a foreign type: like no line that was ever written

    def _purgeable_line(self, record: Record, layout: Layout) -> bytes:
        return digests.purgeable_lines(self.table, as_digested(self.table, [record], layout), layout)


class _Running:
    """The digests of one commit's records in one table, as far as they have been read."""

    __slots__ = ("expected", "fixed", "layout", "purgeable")

    def __init__(self, expected: digests.TableDigest, layout: Layout) -> None:
        self.expected = expected
        self.layout = layout
        self.fixed = digests.RunningDigest()
        self.purgeable = digests.RunningDigest()

    def agrees(self, purged: bool) -> bool:
        expected = self.expected
        if not self.fixed.agrees(expected.digest, expected.marks):
            return False
        if not self.purgeable.count:
            return expected.purgeable_marks is None and (purged or expected.purgeable_digest is None)
        return self.purgeable.agrees(expected.purgeable_digest, expected.purgeable_marks)


def as_digested(table: str, records: list[Record], layout: Layout) -> list[Record]:
    """Records with the newest columns, as this layout digested them.

    Raises `ElspethError` where a value has another type than was written, or stands in a column that the layout did not
    have: nothing vouches for it.
    """
    if layout is not NEWEST:
        newest, columns = NEWEST.columns[table], layout.columns[table]
        later = [place for place, column in enumerate(newest) if column not in columns]
        if later and any(record[place] is not None for record in records for place in later):
            raise ElspethError(f"a record of {table} holds more than layout {layout.number} has")
        places = [newest.index(column) for column in columns]
        records = [tuple(record[place] for place in places) for record in records]
    return checked(table, records, layout)


def _name(table: str, record: Record) -> str:
    return " ".join(str(value) for value in record[: len(key_columns(table))])


Marked = list[tuple[bytes, Discrepancy]]


def pair_moves(tables: Iterable[tuple[Marked, Marked]]) -> list[Discrepancy]:
    """Of each table, what was lost and found: what is missing in one commit and too much in another was moved; the rest
    was removed, or added."""
    findings = []
    for missing, more in tables:
        found = list(more)
        for mark, lost in missing:
            match = next((pair for pair in found if mark and pair[0] == mark), None)
            if match is None:
                findings.append(lost)
                continue
            found.remove(match)
            there = match[1]
            sentence = f"{there.table} {there.record} was moved from commit {lost.commit_no} to {there.commit_no}"
            findings.append(Discrepancy("moved", sentence, there.table, there.record, lost.commit_no))
        findings += [finding for _, finding in found]
    return findings
