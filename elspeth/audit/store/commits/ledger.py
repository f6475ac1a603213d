"""One transaction at a time: inserts a commit's records, links it to the chain, keeps projections in step.

The lower half of the audit writer; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from elspeth import ids
from elspeth.audit.chain import digests, signing
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.connection import Connection, Cursor, Lost, OutcomeUnknown
from elspeth.audit.dialect import is_duplicate, is_refusal
from elspeth.audit.mapping.names import Names
from elspeth.audit.mapping.stored_frames import Numbers, stored_records
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.store import database
from elspeth.audit.store.attempts import state_events
from elspeth.audit.store.commits.commit_records import PreparedCommit, key_columns
from elspeth.audit.store.commits.inserts import inserts_of
from elspeth.audit.store.commits.order_of_runs import places
from elspeth.audit.store.place import Place
from elspeth.errors import DuplicateRow, ElspethError

_RECORDED = {"state_records": "node_states record", "outcome_records": "token_outcomes record"}


class Ledger:
    """The connection of the one writer. Everything but `transaction` is called inside of one."""

    def __init__(self, place: Place, connection: Connection, signing_key: bytes | None) -> None:
        self.place = place
        self.connection = connection
        self._inserts = inserts_of(connection)
        self._key = signing_key
        self.appended: tuple[PreparedCommit, tuple[Any, ...]] | None = None
        self._file = database.identity(place)
        self._acknowledged: dict[str, int] = {}  # the last commit of each run that is known to be there
        self._appended_heads: dict[str, tuple[int, str]] = {}  # number and digest of those of the transaction
        self._names: Names | None = None  # as they are on record, and those of the transaction that is open

    @contextmanager
    def transaction(self, *, alone: bool = True) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile. Raises `Temporary` where that cannot be had; if it is
        `Lost`, the same may be tried once more. Not `alone`: a server lets others write until `dialect.write_alone`."""
        with database.translated_errors(self.place):
            self.connection.execute("BEGIN IMMEDIATE" if alone else "BEGIN DEFERRED")
            self._appended_heads.clear()
            try:
                self._require_in_place()
                yield
                self.connection.execute("COMMIT")
            except OutcomeUnknown as unknown:
                self._names = None
                self._settle(unknown)
            except BaseException:
                self._names = None  # what was added is not there
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            self._acknowledged.update((run_id, number) for run_id, (number, _) in self._appended_heads.items())
        self._require_in_place()

    def _settle(self, unknown: OutcomeUnknown) -> None:
        """Whether a transaction was committed whose answer was lost. Raises `Lost` if not, or where nothing tells."""
        # Whoever still commits it holds the lock of writers.
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            done = bool(self._appended_heads) and all(
                self.connection.execute(
                    "SELECT 1 FROM commits WHERE run_id = ? AND commit_no = ? AND digest = ?", (run_id, number, digest)
                ).fetchone()
                for run_id, (number, digest) in self._appended_heads.items()
            )
        finally:
            self.connection.execute("ROLLBACK")
        if not done:
            raise Lost(
                f"the connection to the audit database {self.place} was lost",
                details=[str(unknown)],
                next_step="see that the server can be reached, then resume",
            )

    def _require_in_place(self) -> None:
        """A file that nobody can open by its name any more keeps nothing, whatever is committed to it."""
        found = database.identity(self.place)
        if found != self._file:
            raise database.out_of_place(self.place, "what is in the file that was opened")

    def append(self, batch: PreparedCommit, attempt: int, at: str, head: tuple[int, str]) -> int:
        """Insert a batch as the commit after `head`, a pair of number and digest, signed with the key if there is one.

        Answers its number.
        """
        number = head[0] + 1
        run_id = batch.run_id
        if head[0] < self._acknowledged.get(run_id, -1):
            raise database.out_of_place(self.place, f"commit {self._acknowledged[run_id]} of run {run_id}")
        for table, records in batch.records.items():
            if table in HELD_IN:
                continue
            try:
                self._inserts.plain(batch, table, number)
            except Exception as error:
                self._require_refusal(error)
                keys = (record[: len(key_columns(table))] for piece in records.pieces() for record in piece)
                raise self._rejected(table, keys, run_id, number, error) from error
        for table, frames in batch.stored.items():
            try:
                self._inserts.stored(batch, table, frames, number, self._numbers(run_id))
            except Exception as error:
                self._require_refusal(error)
                found = (record[:1] for frame in frames for record in stored_records(table, frame, _unnumbered))
                raise self._rejected(table, found, run_id, number, error) from error
        digest = digests.digest_commit(head[1], run_id, attempt, number, at, batch.digests)
        count = sum(part.record_count for part in batch.digests)
        signature = signing.signature(self._key, run_id, number, digest) if self._key else None
        self.connection.execute(
            "INSERT INTO commits (run_id, commit_no, attempt, previous_digest, digest, record_count, committed_at,"
            " signature, layout) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (run_id, number, attempt, head[1], digest, count, at, signature, NEWEST.number),
        )
        self.connection.executemany(
            "INSERT INTO commit_tables (run_id, commit_no, table_name, record_count, digest, marks, purgeable_digest,"
            " purgeable_marks) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (run_id, number, part.table, part.record_count, part.digest, part.marks, part.purgeable_digest,
                 part.purgeable_marks)
                for part in sorted(batch.digests, key=lambda part: part.table)
            ],
        )  # fmt: skip
        self._appended_heads[run_id] = number, digest
        self.appended = batch, (number, attempt, head[1], digest, count, at, signature, NEWEST.number)
        return number

    def _numbers(self, run_id: str) -> Numbers:
        if self._names is None or self._names.run_id != run_id:
            self._names = Names(self.connection, run_id)
        return self._names.numbers

    def _require_refusal(self, error: Exception) -> None:
        """Raise the error again unless it is one of a record; then what is there can be asked."""
        if not is_refusal(self.connection, error):
            raise error
        self._inserts.undo()

    def forget_names(self) -> None:
        """Look up anew which names there are: some were taken away."""
        self._names = None

    def head(self, run_id: str) -> tuple[int, str]:
        """Number and digest of the run's last commit."""
        row = self.connection.execute(
            "SELECT commit_no, digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1", (run_id,)
        ).fetchone()
        if row is None:
            raise ElspethError(
                f"run {run_id} has no commits: its chain was removed", next_step=f"elspeth verify {run_id}"
            )
        return row[0], row[1]

    def last_head(self, besides: str | None = None) -> str:
        """The digest that a new run follows: the head of the run that began last, `besides` the new one."""
        last = self.last_run(besides)
        return digests.GENESIS if last is None else self.head(last)[1]

    def last_run(self, besides: str | None = None) -> str | None:
        """The run that began last or was copied here last, None without any. Nobody asks about the run `besides`.

        That is the one which no other run follows. Ids do not tell, since a clock may be set back; they did in layout
        1, so that of its runs there may be several which nobody follows.
        """
        known = [place for place in places(self.connection) if place.run_id != besides]
        known.sort(key=lambda place: (place.layout is not None, place.run_id), reverse=True)
        followed = {place.follows for place in known}
        runs = [place.run_id for place in known]
        return next((run_id for run_id in runs if not self._is_followed(run_id, followed)), runs[0] if runs else None)

    @property
    def signs(self) -> bool:
        """Whether there is a key, and commits are signed."""
        return self._key is not None

    def is_signed(self, run_id: str) -> bool:
        """Whether the run's last commit is signed."""
        query = "SELECT signature FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1"
        row = self.connection.execute(query, (run_id,)).fetchone()
        return row is not None and row[0] is not None

    def _is_followed(self, run_id: str, followed: set[str]) -> bool:
        query = "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC"
        return any(digest in followed for (digest,) in self.connection.execute(query, (run_id,)))

    def latest_checkpoint(self, run_id: str) -> dict[str, Any] | None:
        """The row of the run's last checkpoint, None without one."""
        return as_dict(
            self.connection.execute(
                "SELECT checkpoint_id, attempt, sequence_number, row_id, token_id, message, created_at, commit_no"
                " FROM checkpoints WHERE checkpoint_id >= ? AND checkpoint_id < ? AND run_id = ?"
                " ORDER BY checkpoint_id DESC LIMIT 1",
                (run_id, run_id + "~", run_id),
            )
        )

    def project(self, run_id: str, changes: state_events.StateChanges) -> None:
        """Carry a chained event's changes out on the mutable columns of `runs` and `run_attempts`."""
        for number, columns in changes.get("attempts", {}).items():
            self._update(
                "run_attempts", columns, state_events.ATTEMPT_STATE, {"run_id": run_id, "attempt": int(number)}
            )
        if changes.get("runs"):
            self._update("runs", changes["runs"], state_events.RUN_STATE, {"run_id": run_id})

    def _update(self, table: str, columns: Mapping[str, Any], allowed: Iterable[str], key: Mapping[str, Any]) -> None:
        foreign = set(columns) - set(allowed)
        if foreign:
            raise ElspethError(f"{table}.{min(foreign)} never changes once it is written")
        assign = ", ".join(f"{column} = ?" for column in columns)
        where = " AND ".join(f"{column} = ?" for column in key)
        self.connection.execute(f"UPDATE {table} SET {assign} WHERE {where}", (*columns.values(), *key.values()))

    def insert_columns(self, table: str, columns: Mapping[str, Any]) -> None:
        """Insert one row given by column names."""
        quoted = ", ".join(f'"{column}"' for column in columns)
        self.connection.execute(
            f"INSERT INTO {table} ({quoted}) VALUES ({', '.join('?' * len(columns))})", tuple(columns.values())
        )

    def _rejected(
        self, table: str, held: Iterable[tuple[Any, ...]], run_id: str, number: int, error: Exception
    ) -> ElspethError:
        if not is_duplicate(error):
            return ElspethError(f"an audit record does not fit table {table}: {error}")
        keys = key_columns(table)
        where = " AND ".join(f"{column} = ?" for column in keys)
        # Some of the batch may be inserted by now: what earlier commits hold is what was there before.
        run = "" if table in STORED else f"run_id = '{run_id}' AND "
        query = f"SELECT 1 FROM {table} WHERE {run}{where} AND commit_no < ?"
        seen: set[tuple[Any, ...]] = set()
        for key in held:
            if key in seen or self.connection.execute(query, (*key, number)).fetchone():
                break
            seen.add(key)
        else:
            key = ()
        name = " ".join(map(str, key))
        return DuplicateRow(
            f"Duplicate row_id: {_kind(table, name)} {name} is recorded already",
            details=["the source may have changed since, or the checkpoint does not fit the records"],
            next_step=f"elspeth verify {run_id}",
        )


def _kind(table: str, name: str) -> str:
    if table in STORED and table not in _RECORDED:
        return "row" if name == ids.row_of(name) else "token"
    return _RECORDED.get(table, f"{table} record")


def _unnumbered(texts: list[str], purgeable: bool) -> list[int | str]:
    return list(texts)


def as_dict(cursor: Cursor) -> dict[str, Any] | None:
    """The next row by column names, None if there is none."""
    row = cursor.fetchone()
    if row is None:
        return None
    return dict(zip((column[0] for column in cursor.description), row, strict=True))
