"""What commands ask of the audit database: read only, as frozen values, disturbing nobody who writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from elspeth import ids
from elspeth.audit.query.values import (
    Artifact,
    Attempt,
    CheckpointRecord,
    CommitRecord,
    EdgeRecord,
    EventRecord,
    NodeRecord,
    OperatorAction,
    Run,
)
from elspeth.audit.store import database, schema
from elspeth.audit.store.place import Place
from elspeth.audit.store.tallies import with_tally
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.errors import RunNotFound

LATEST = "latest"

_SHOWN = 20  # run ids named in an error

V = TypeVar("V")


class AuditReader:
    """An open audit database. Every question is one statement on its own snapshot; `with` closes it.

    Opening raises `ElspethError` where there is no audit database of a version that this program reads, and every
    question `Temporary` where it cannot be read now.
    """

    def __init__(self, place: Place) -> None:
        self.path = place
        self.connection = database.open_reader(place)
        try:
            with database.translated_errors(place):
                schema.check_readable(self.connection, place)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def __enter__(self) -> AuditReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def runs(self, limit: int | None = None) -> list[Run]:
        """The runs, latest first."""
        return self._all(Run, "runs", "1 = 1", (), "started_at DESC, run_id DESC", limit)

    def run(self, reference: str) -> Run:
        """The run with this id, with the one id that begins so, or the latest one (`latest`).

        Raises `RunNotFound`, naming the ids that do exist.
        """
        if reference == LATEST:
            latest = self.runs(1)
            if latest:
                return latest[0]
            raise RunNotFound(f"Run not found: {self.path} holds no runs", next_step="start one with elspeth run")
        found = (
            self._all(Run, "runs", "substr(run_id, 1, ?) = ?", (len(reference), reference), "run_id")
            if reference
            else []
        )
        exact = [run for run in found if run.run_id == reference]
        if exact or len(found) == 1:
            return (exact or found)[0]
        if found:
            ids = ", ".join(run.run_id for run in found[:_SHOWN])
            raise RunNotFound(f"Run not found: several ids begin with {reference!r}", details=[f"these: {ids}"])
        raise RunNotFound(
            f"Run not found: {reference!r} is not in {self.path}", details=[self._existing()], next_step="elspeth runs"
        )

    def unfinished(self) -> list[Run]:
        """The runs that did not complete and that no later run replaced, latest first."""
        return [run for run in self.runs() if not run.finished]

    def attempts(self, run_id: str) -> list[Attempt]:
        """The attempts to drive a run, first one first."""
        return self._all(Attempt, "run_attempts", "run_id = ?", (run_id,), "attempt")

    def heartbeat(self, run_id: str, attempt: int) -> int:
        """The heartbeat number of an attempt, to be watched for a change."""
        row = self._one("SELECT heartbeat_number FROM run_attempts WHERE run_id = ? AND attempt = ?", (run_id, attempt))
        return int(row[0]) if row else 0

    def heartbeats(self) -> dict[str, int]:
        """The heartbeat number of the latest attempt of every run, to be watched for a change."""
        with database.translated_errors(self.path):
            found = self.connection.execute("SELECT run_id, heartbeat_number FROM run_attempts ORDER BY attempt")
            return {run_id: int(number) for run_id, number in found}

    def checkpoint(self, run_id: str) -> CheckpointRecord | None:
        """The latest checkpoint of a run, None without one."""
        found = self.checkpoints(run_id, 1)
        return found[0] if found else None

    def latest(self, run_id: str) -> Checkpoint | None:
        """What the latest checkpoint says, with its tally; None without one. Takes no longer for many rows.

        But that of a run which no Elspeth with tallies has driven: there it is counted. Raises as `checkpoint` does.
        """
        with self.snapshot():
            held = self.checkpoint(run_id)
            return None if held is None else with_tally(self.connection, held.message, held.checkpoint_id)

    def checkpoints(self, run_id: str, limit: int | None = None) -> list[CheckpointRecord]:
        """The checkpoints of a run, latest first."""
        return self._all(CheckpointRecord, "checkpoints", *_of(run_id, "checkpoint_id"), "checkpoint_id DESC", limit)

    def nodes(self, run_id: str) -> list[NodeRecord]:
        """The nodes of a run's graph, in topological order."""
        return self._all(NodeRecord, "nodes", "run_id = ?", (run_id,), "sequence, node_id")

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """The edges of a run's graph."""
        return self._all(EdgeRecord, "edges", "run_id = ?", (run_id,), "edge_id")

    def artifacts(self, run_id: str) -> list[Artifact]:
        """The recorded inputs and outputs of a run."""
        return self._all(Artifact, "artifacts", *_of(run_id, "artifact_id"), "artifact_id")

    def events(self, run_id: str) -> list[EventRecord]:
        """What happened to the run and its processes, in the order in which it was recorded."""
        return self._all(EventRecord, "supervision_events", *_of(run_id, "event_id"), "commit_no, at, event_id")

    def own_events(self, run_id: str, what: str) -> dict[int, str | None]:
        """The details (JSON) of an event that the run itself has at most once in an attempt, by attempt."""
        found = (
            (one.attempt, self._one("SELECT detail FROM supervision_events WHERE event_id = ?",
                                    (ids.event_id(run_id, one.attempt, what),)))
            for one in self.attempts(run_id)
        )  # fmt: skip
        return {attempt: row[0] for attempt, row in found if row is not None}

    def operator_actions(self, run_id: str) -> list[OperatorAction]:
        """What was done to the run from outside it, in order."""
        return self._all(OperatorAction, "operator_actions", *_of(run_id, "action_id"), "commit_no")

    def commits(self, run_id: str, limit: int | None = None) -> list[CommitRecord]:
        """The run's commits, latest first."""
        return self._all(CommitRecord, "commits", "run_id = ?", (run_id,), "commit_no DESC", limit)

    def row_count(self, run_id: str) -> int:
        """How many source rows of a run are recorded."""
        where, values = _of(run_id, "row_id")
        row = self._one(f"SELECT count(*) FROM rows WHERE {where}", values)
        return int(row[0]) if row else 0

    def refusal_count(self, run_id: str) -> int:
        """How many reasons why a source refused a row are recorded."""
        where, values = _of(run_id, "error_id")
        row = self._one(f"SELECT count(error) FROM validation_errors WHERE {where}", values)
        return int(row[0]) if row else 0

    def token_count(self, run_id: str) -> int:
        """How many tokens of a run are recorded."""
        where, values = _of(run_id, "token_id")
        row = self._one(f"SELECT count(*) FROM tokens WHERE {where}", values)
        return int(row[0]) if row else 0

    def state_counts(self, run_id: str) -> dict[tuple[str, str], int]:
        """How many states of tokens are recorded, by node and status."""
        where, values = _of(run_id, "state_id")
        with database.translated_errors(self.path):
            found = self.connection.execute(
                f"SELECT node_id, status, count(*) FROM node_states WHERE {where} GROUP BY 1, 2 ORDER BY 1, 2", values
            )
            return {(node, status): count for node, status, count in found}

    def source_counts(self, run_id: str) -> dict[str, int]:
        """How many rows are recorded, by the source they came from."""
        where, values = _of(run_id, "row_id")
        with database.translated_errors(self.path):
            found = self.connection.execute(
                f"SELECT source_node_id, count(*) FROM rows WHERE {where} GROUP BY 1 ORDER BY 1", values
            )
            return dict(found.fetchall())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all questions inside see the database as it is at the first of them."""
        if self.connection.in_transaction:  # of a snapshot around this one
            yield
            return
        with database.translated_errors(self.path):
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    def outcome_counts(self, run_id: str) -> dict[str, int]:
        """How many tokens ended in which way (`buffered`: wait), by outcome."""
        return self._counts(run_id, "outcome", "1 = 1")

    def sink_counts(self, run_id: str) -> dict[str, int]:
        """How many tokens were written, by sink."""
        return self._counts(run_id, "sink_name", "sink_row IS NOT NULL")

    def _counts(self, run_id: str, column: str, condition: str) -> dict[str, int]:
        where, values = _of(run_id, "outcome_id")
        with database.translated_errors(self.path):
            found = self.connection.execute(
                f"SELECT {column}, count(*) FROM token_outcomes WHERE {where} AND {condition}"
                f" GROUP BY {column} ORDER BY {column}",
                values,
            )
            return dict(found.fetchall())

    def _existing(self) -> str:
        runs = self.runs(_SHOWN + 1)
        if not runs:
            return "it holds no runs"
        more = " and more" if len(runs) > _SHOWN else ""
        return f"these exist: {', '.join(str(run.run_id) for run in runs[:_SHOWN])}{more}"

    def _all(
        self, kind: type[V], table: str, where: str, values: tuple[Any, ...], order: str, limit: int | None = None
    ) -> list[V]:
        columns = ", ".join(f'"{field.name}"' for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        end = "" if limit is None else f" LIMIT {int(limit)}"
        with database.translated_errors(self.path):
            found = self.connection.execute(
                f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}{end}", values
            )
            return [kind(*row) for row in found]

    def _one(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with database.translated_errors(self.path):
            row: tuple[Any, ...] | None = self.connection.execute(query, values).fetchone()
            return row


def _of(run_id: str, key: str) -> tuple[str, tuple[str, str]]:
    """The condition that selects a run's records by the range of their keys, which needs no second index."""
    return f"{key} >= ? AND {key} < ?", (run_id, run_id + "~")
