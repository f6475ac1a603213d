"""The journal: a file of JSON lines beside the database, to which each commit's records are appended after the commit.

A commit's lines end with the one of table `commits`. Everything is written under a lock, so that several runs may share
a file: lines behind the last `commits` line are what somebody who died left of a commit, and are cut off. What is
missing is caught up from the tables, and so is the last commit where it is not what they hold; no line is torn, none
stands there twice.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.crash_points import crash_point
from elspeth import ids
from elspeth.audit.chain.records import COLUMNS, FIXED, RANGED
from elspeth.audit.connection import Connection
from elspeth.audit.export.journal_file import require_journal
from elspeth.audit.export.jsonl import CHAIN, lines
from elspeth.audit.purge import PURGE, REMOVE, last_action
from elspeth.audit.store.commits.commit_records import PreparedCommit, key_columns
from elspeth.coordinator.checkpoint import read_checkpoint
from elspeth.durable import PRIVATE, make_folder, sync_names
from elspeth.errors import Temporary

BLOCK = 1 << 16
WINDOW = 50  # commits caught up in one pass over the tables

_END = b'{"table":"commits",'

Commits = dict[int, list[bytes]]


class Journal:
    """One run's hand on its journal. Raises `Temporary` where the file cannot be written."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._run_id = run_id
        self._end = -1
        with self._worded():
            make_folder(path.parent)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            sync_names(path.parent)
        try:
            require_journal(path, self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def append(self, batch: PreparedCommit, link: tuple[Any, ...], connection: Connection) -> None:
        """Append what one commit wrote: its records, and its row of `commits` without the run's id."""
        number = link[0]
        with self._locked():
            last = number - 1 if self._size() == self._end else self._mend()
            if last >= number:
                return  # a later attempt has caught it up
            if last < number - 1:
                self._catch_up(connection, self._run_id, last, number - 1)
            self._write(b"".join(_batch_lines(batch, number)) + _link(batch.run_id, link))

    def catch_up(self, connection: Connection) -> int:
        """Append all commits that are not in the file yet; answers how many.

        Asked when the file is opened: after a power cut, pages of the last commit in it may be missing although its
        last line is there. So that commit is held against the tables, and written again where it is not the same.
        """
        (head,) = connection.execute(
            "SELECT coalesce(max(commit_no), -1) FROM commits WHERE run_id = ?", (self._run_id,)
        ).fetchone()
        with self._locked():
            last = self._mend()
            gone = self._renew(connection, last)
            self._finish_another(connection)
            self._catch_up(connection, self._run_id, last - gone, head)
        return max(0, int(head) - last)

    def _renew(self, connection: Connection, last: int) -> bool:
        """Mend the last commit in the file, whose ever it is; answers whether it was our own, and is gone now."""
        start, end, run_id, number = self._last_commit()
        if run_id is None or any(last_action(connection, run_id, action) > number for action in (PURGE, REMOVE)):
            return False  # what was purged since is still there: in the tables it is not
        written = b"".join(self._from_tables(connection, run_id, number, number))
        if not written or written == os.pread(self._fd, end - start, start):
            return False
        self._cut(start)
        if run_id == self._run_id:
            return number == last
        self._write(written)
        return False

    def _finish_another(self, connection: Connection) -> None:
        """Append what is missing of the run whose commit is the file's last, if it is another's: its end was torn.

        It may be complete, so that nobody opens the file for it again; where it is not, it finds its commits there.
        """
        _, _, run_id, number = self._last_commit()
        if run_id in (None, self._run_id) or any(
            last_action(connection, str(run_id), action) > number for action in (PURGE, REMOVE)
        ):
            return
        (head,) = connection.execute(
            "SELECT coalesce(max(commit_no), -1) FROM commits WHERE run_id = ?", (run_id,)
        ).fetchone()
        self._catch_up(connection, str(run_id), number, head)

    def _last_commit(self) -> tuple[int, int, str | None, int]:
        """Where the file's last commit begins and ends, its run and its number; of an empty file, no run."""
        found: tuple[int, str, int] | None = None
        for start, line in self._backwards():
            link = _link_of(line)
            if link is not None and found is not None:
                return start + len(line), *found
            if link is not None:
                found = start + len(line), str(link["run_id"]), int(link["commit_no"])
        return (0, *found) if found is not None else (0, 0, None, -1)

    # -- the tables --------------------------------------------------------------------------------------------

    def _catch_up(self, connection: Connection, run_id: str, last: int, head: int) -> None:
        for first in range(last + 1, head + 1, WINDOW):
            for commit in self._from_tables(connection, run_id, first, min(first + WINDOW - 1, head)):
                self._write(commit)

    def _from_tables(self, connection: Connection, run_id: str, first: int, upto: int) -> Iterator[bytes]:
        """Some commits of a run as they are written into the file, one after the other."""
        found: Commits = {number: [] for number in range(first, upto + 1)}
        low = self._first_row(connection, run_id, first)
        for table in FIXED:
            self._read(connection, run_id, table, first, upto, low, found)
        for link in connection.execute(
            f"SELECT {', '.join(CHAIN['commits'])} FROM commits WHERE run_id = ? AND commit_no BETWEEN ? AND ?"
            " ORDER BY commit_no",
            (run_id, first, upto),
        ):
            yield b"".join(found[link[0]]) + _link(run_id, link)

    def _first_row(self, connection: Connection, run_id: str, first: int) -> str:
        """From where on in the key order of rows there can be records of this commit and later ones."""
        newest = connection.execute(
            "SELECT message, checkpoint_id FROM checkpoints"
            " WHERE checkpoint_id > ? AND checkpoint_id < ? AND commit_no < ? ORDER BY checkpoint_id DESC LIMIT 1",
            (f"{run_id}#", f"{run_id}$", first),
        ).fetchone()
        checkpoint = read_checkpoint(*newest) if newest else None
        # A stage that keeps tokens waiting writes about earlier rows, too.
        rows = 0 if checkpoint is None or checkpoint.stage_states else checkpoint.row_count
        return ids.row_id(run_id, rows)

    def _read(
        self, connection: Connection, run_id: str, table: str, first: int, upto: int, low: str, found: Commits
    ) -> None:
        columns = COLUMNS.get(table) or FIXED[table]
        key = columns[0]
        where, values = "run_id = ?", [run_id]
        if table in RANGED:
            about_rows = table not in ("artifacts", "supervision_events", "checkpoints", "operator_actions")
            where, values = f"{key} >= ? AND {key} < ?", [low if about_rows else run_id, run_id + "~"]
        selected = ", ".join(f'"{column}"' for column in columns)
        for row in connection.execute(
            f"SELECT {selected}, commit_no FROM {table} WHERE {where} AND commit_no BETWEEN ? AND ?"
            f" ORDER BY {', '.join(key_columns(table))}",
            (*values, first, upto),
        ):
            found[row[-1]].append(_lines(table, run_id, [row[:-1]], row[-1]))

    # -- the file ----------------------------------------------------------------------------------------------

    def _mend(self) -> int:
        """Cut off what somebody who died left of a commit; answers the last commit of this run in the file, or -1."""
        whole = None
        for start, line in self._backwards():
            link = _link_of(line)
            if link is None:
                continue
            if whole is None:
                whole = start + len(line)
                self._cut(whole)
            if link["run_id"] == self._run_id:
                return int(link["commit_no"])
        if whole is None:
            self._cut(0)
        return -1

    def _cut(self, size: int) -> None:
        if self._size() > size:  # a whole file is not touched, not even its time stamp
            os.ftruncate(self._fd, size)

    def _backwards(self) -> Iterator[tuple[int, bytes]]:
        """The lines of the file with their places, last one first."""
        at, rest = self._size(), b""
        while at > 0:
            size = min(BLOCK, at)
            at -= size
            rest = os.pread(self._fd, size, at) + rest
            parts = rest.splitlines(keepends=True) if at == 0 else rest.split(b"\n", 1)
            if at > 0:
                if len(parts) < 2:
                    continue
                rest, whole = parts[0] + b"\n", parts[1]
                place = at + len(rest)
                parts = whole.splitlines(keepends=True)
            else:
                place = 0
            offsets = []
            for part in parts:
                offsets.append((place, part))
                place += len(part)
            yield from reversed(offsets)

    def _write(self, data: bytes) -> None:
        crash_point("audit.before_journal")
        end = self._size()
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, end)
            end += written
            view = view[written:]
        os.fdatasync(self._fd)
        self._end = end
        crash_point("audit.after_journal")

    def _size(self) -> int:
        return os.fstat(self._fd).st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._worded():
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Temporary(
                f"the journal {self._path} cannot be written: {error.strerror or error}",
                details=["the audit database has everything; the journal is caught up when the run goes on"],
                next_step=f"mend it, then: elspeth resume {self._run_id}",
            ) from error


def _link_of(line: bytes) -> dict[str, Any] | None:
    """What the line says that ends a commit; None of any other line, and of one that was not written to its end."""
    if not (line.startswith(_END) and line.endswith(b"\n")):
        return None
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def _batch_lines(batch: PreparedCommit, number: int) -> Iterator[bytes]:
    for table in FIXED:
        if table in batch.records:
            for records in batch.records[table].in_order():
                yield _lines(table, batch.run_id, records, number)


def _lines(table: str, run_id: str, records: list[Any], number: int) -> bytes:
    columns = COLUMNS.get(table) or FIXED[table]
    return lines(
        {"table": table, "run_id": run_id, **dict(zip(columns, record, strict=True)), "commit_no": number}
        for record in records
    )


def _link(run_id: str, link: tuple[Any, ...]) -> bytes:
    return lines([{"table": "commits", "run_id": run_id, **dict(zip(CHAIN["commits"], link, strict=True))}])
