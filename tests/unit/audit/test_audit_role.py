"""The audit role says that something is on record when it is, and never before."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from elspeth.audit.store.attempts.starts import AttemptStart, RunStart
from elspeth.audit.store.commits.record_frames import encode
from elspeth.audit.writer import AuditWriter
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import Checkpoint, start_checkpoint
from elspeth.coordinator.tally import Tally
from elspeth.payloads import PayloadStore
from elspeth.roles.audit import AuditRole
from elspeth.roles.plan import AuditPlan, encode_plan
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.processes.disk import Disk

QUESTIONS: dict[type[m.Message], str] = {
    m.Owned: "SELECT 'attempt ' || attempt FROM runs",
    m.Noted: "SELECT event || ' ' || detail FROM supervision_events WHERE event = 'suspect'",
    m.Durable: "SELECT message FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1",
    m.AttemptEnded: "SELECT status FROM runs",
}
"""What another process must find in the database at the moment at which each of these is said."""


CHECKPOINT = Checkpoint(
    micro_batch=3, row_count=0, source_positions={}, sink_positions={"out": {"n": 5}}, stage_states={}
)


class Port:
    """What is said to the parent, and what the database held at that moment."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.said: list[tuple[Any, Any]] = []

    def beat(self) -> None:
        pass

    def send(self, *parts: bytes) -> None:
        message = m.decode(parts[0])
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as reader:
            self.said.append((message, reader.execute(QUESTIONS[type(message)]).fetchone()))


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path / "audit.db")


@pytest.fixture
def role(tmp_path: Path, port: Port) -> Iterator[AuditRole]:
    here = Path.cwd()
    records = {table: rows for table, rows in beginning().items() if table != "checkpoints"}
    plan = AuditPlan(
        run_id=RUN, database=str(tmp_path / "audit.db"), attempt=1, begins=AttemptStart(**ATTEMPT),
        run=RunStart(**RUN_COLUMNS),
        records=records, checkpoint=start_checkpoint({"out": {"n": 0}}), working_directory=str(tmp_path),
    )  # fmt: skip
    role = AuditRole(port, encode_plan(plan))  # type: ignore[arg-type]
    role.failed = False
    role.begin()
    yield role
    os.chdir(here)
    if not role._over:
        role._leave()


def suspicion(number: int, token: int | None) -> m.RecordEvent:
    event = m.SupervisionEvent(number, "workers", "suspect", None, {"row_index": number, "deaths": 0}, NOW)
    return m.RecordEvent(event, token)


def test_the_attempt_is_on_record_when_it_is_said_to_own_the_run(role: AuditRole, port: Port) -> None:
    [(owned, found)] = port.said
    assert found == ("attempt 1",)
    assert owned.checkpoint == structs.replace(start_checkpoint({"out": {"n": 0}}), tally=Tally())


def test_a_suspicion_is_committed_when_it_is_acknowledged(role: AuditRole, port: Port) -> None:
    role.take(suspicion(1, 7), [])
    noted, found = port.said[-1]
    assert noted == m.Noted(7)
    assert found == ('suspect {"row_index":1,"deaths":0}',)


def test_what_was_told_before_a_suspicion_is_committed_with_it_and_once(role: AuditRole, port: Port) -> None:
    role.take(suspicion(1, None), [])
    role.take(suspicion(2, 7), [])
    role.take(suspicion(1, None), [])  # sent again, after a restart
    role.take(suspicion(2, 7), [])
    assert [message for message, _ in port.said[1:]] == [m.Noted(7), m.Noted(7)]
    with closing(sqlite3.connect(port._database)) as reader:
        (count,) = reader.execute("SELECT count(*) FROM supervision_events WHERE event = 'suspect'").fetchone()
    assert count == 2


def test_a_commit_is_in_the_database_when_it_is_said_to_be_durable(role: AuditRole, port: Port) -> None:
    role.take(m.Commit(CHECKPOINT), [])
    assert port.said[-1] == (m.Durable(3), (CHECKPOINT.to_json(),))


def test_what_was_committed_is_let_go_of_where_no_journal_wants_it(role: AuditRole, port: Port) -> None:
    records = {"token_parents": [(f"{RUN}-000000000+m", f"{RUN}-000000000.a", 0)]}
    role.take(m.MicroBatchRecords(3), [encode(records)])
    role.take(m.Commit(CHECKPOINT), [])
    assert port.said[-1][0] == m.Durable(3)
    assert role._writer._ledger.appended is None
    assert role._micro_batches == {}


def test_payloads_have_their_names_on_disk_before_the_commit_that_mentions_them(
    role: AuditRole, port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path)
    workers = [PayloadStore(tmp_path / "state/payloads") for _ in range(2)]
    references = [worker.put(bytes([number])) for number in range(20) for worker in workers]
    for worker in workers:
        worker.write_out()
    in_a_row, in_a_state = references[:20], references[20:]
    for number in (1, 2):
        records = rows(number * 10 - 10, number * 10)
        records["rows"] = [(*row[:4], None, in_a_row.pop(), *row[6:]) for row in records["rows"]]
        records["node_states"] = [(*state[:8], None, in_a_state.pop(), *state[10:]) for state in records["node_states"]]
        del records["checkpoints"]
        role.take(m.MicroBatchRecords(number), [encode(records)])
    folders = {str(workers[0].path(reference).parent) for reference in references}
    assert folders <= set(disk.unsynced())
    relied_on = []
    real = AuditWriter.commit

    def commit(*arguments: Any, **options: Any) -> int:
        relied_on.append(disk.unsynced())
        return real(*arguments, **options)

    monkeypatch.setattr(AuditWriter, "commit", commit)
    disk_before = len(disk.calls)
    role.take(m.Commit(CHECKPOINT), [])
    assert port.said[-1][0] == m.Durable(3)
    assert relied_on == [[]]
    synced = [path for what, path in disk.calls[disk_before:] if what == "sync" and path in folders]
    assert sorted(synced) == sorted(folders)


def test_the_end_of_an_attempt_is_in_the_database_when_it_is_said(role: AuditRole, port: Port) -> None:
    role.take(m.EndAttempt("failed", "restart intensity exceeded", failure="restart intensity exceeded"), [])
    assert port.said[-1] == (m.AttemptEnded(), ("failed",))
    with closing(sqlite3.connect(port._database)) as reader:
        ends = reader.execute("SELECT failure, end_reason FROM runs JOIN run_attempts USING (run_id)").fetchall()
    assert ends == [("restart intensity exceeded", "restart intensity exceeded")]
