"""A verification that several processes share finds what one finds, word by word, or says that it found nothing out."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.export.folder import export_run
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify import partner, parts, shared
from elspeth.audit.verify.exported import verify_export
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.run import findings, verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.fixtures.tampering import raw, rebuild, tampering

Tamper = Callable[[sqlite3.Connection], Any]


class ByMessages(shared.Alone):
    """Looks at all parts beforehand, the last one first, and takes each answer through a message, as other processes
    would."""

    def __init__(self, connection: Any, task: shared.Task) -> None:
        super().__init__(connection, task)
        self.planned: dict[parts.Part, bytes] = {}
        self.asked: list[parts.Part] = []

    def plan(self, planned: list[parts.Part]) -> None:
        for part in reversed(planned):
            answer = partner.Answer(found=partner.as_plain(super().__call__(part)))
            self.planned[part] = msgspec.msgpack.encode(answer)

    def __call__(self, part: parts.Part) -> parts.Found:
        self.asked.append(part)
        if part not in self.planned:
            return super().__call__(part)
        answer = msgspec.msgpack.decode(self.planned[part], type=partner.Answer)
        assert answer.found is not None
        return partner.from_plain(part.about, answer.found)


def compared(path: Path, key: bytes | None = KEY) -> list[Discrepancy]:
    """What is found about the run by one process, which is what is found by messages."""
    with AuditReader(path) as reader, reader.snapshot():
        alone = list(findings(reader.connection, RUN, key))
        look = ByMessages(reader.connection, shared.Task(RUN, key))
        assert list(findings(reader.connection, RUN, key, look)) == alone
        if look.planned:
            assert set(look.asked) == set(look.planned)
    return alone


def set_last(table: str, column: str, value: object) -> Tamper:
    """Another value in the last record of a table."""

    def tamper(database: sqlite3.Connection) -> None:
        key = COLUMNS.get(table, ("attempt",))[0]
        database.execute(f'UPDATE {table} SET "{column}" = ? WHERE {key} = (SELECT max({key}) FROM {table})', (value,))

    return tamper


def said(*statements: str) -> Tamper:
    """Statements, and digests that fit what they leave."""

    def tamper(database: sqlite3.Connection) -> None:
        for statement in statements:
            database.execute(statement)
        rebuild(database, RUN)

    return tamper


def every_table(statement: str) -> Tamper:
    def tamper(database: sqlite3.Connection) -> None:
        for table, (key, *_) in COLUMNS.items():
            first, last = (f"(SELECT {which}({key}) FROM {table})" for which in ("min", "max"))
            database.execute(statement.format(table=table, key=key, first=first, last=last))

    return tamper


KINDS: dict[str, Tamper] = {
    "nothing": lambda database: None,
    "a value in a row": set_last("rows", "source_data", '{"id":9}'),
    "a value of a state": set_last("node_states", "output_data", "no json"),
    "a value of a foreign type": set_last("calls", "request_data", b"\xff\x00"),
    "a number where a name was": set_last("node_states", "node_id", 7),
    "the number of a commit": lambda database: database.execute("UPDATE rows SET commit_no = 'x' WHERE row_index = 1"),
    "a record of each table": every_table("UPDATE {table} SET commit_no = commit_no + 1 WHERE {key} = {last}"),
    "everything removed": every_table("DELETE FROM {table}"),
    "the first of each table removed": every_table("DELETE FROM {table} WHERE {key} = {first}"),
    "a commit": lambda database: database.execute("DELETE FROM commits WHERE commit_no = 1"),
    "marks": lambda database: database.execute("UPDATE commit_tables SET marks = x'00' WHERE table_name <> 'runs'"),
    "a count": lambda database: database.execute("UPDATE commits SET record_count = 'many'"),
    "the state of the run": lambda database: database.execute("UPDATE runs SET status = 'failed', attempt = 7"),
    "hashes, and the chain": said("UPDATE rows SET source_data = '{}'", "UPDATE node_states SET output_data = '[1]'"),
    "outcomes, and the chain": said("DELETE FROM token_outcomes"),
    "names, and the chain": said("UPDATE node_states SET node_id = 'no'", "UPDATE routing_events SET edge_id = 'no'"),
    "nodes, and the chain": said("DELETE FROM nodes", "DELETE FROM edges"),
    "tokens, and the chain": said("DELETE FROM tokens"),
    "an index": lambda database: database.execute("CREATE INDEX more ON checkpoints (message)"),
    "a view": lambda database: database.execute("DROP VIEW rows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [KEY, None])
def test_what_was_tampered_with_is_said_alike(kind: str, key: bytes | None, copy: Path) -> None:
    with (raw if kind in ("an index", "a view") else tampering)(copy) as database:
        KINDS[kind](database)
    found = compared(copy, key)
    assert bool(found) == (kind != "nothing")


@pytest.mark.parametrize("table", COLUMNS)
def test_any_table_is_said_alike(table: str, copy: Path) -> None:
    for column in COLUMNS[table][1:]:
        with tampering(copy) as database:
            set_last(table, column, "x")(database)
    assert compared(copy)


@pytest.mark.parametrize(
    "kind",
    ["nothing", "a record of each table", "the first of each table removed", "hashes, and the chain",
     "names, and the chain"],
)  # fmt: skip
def test_processes_find_what_one_finds(kind: str, copy: Path) -> None:
    with tampering(copy) as database:
        KINDS[kind](database)
    with AuditReader(copy) as reader:
        alone = verify_run(reader, RUN, KEY, processes=1)
        assert verify_run(reader, RUN, KEY, processes=3) == alone
        assert not reader.connection.in_transaction
    assert bool(alone) == (kind != "nothing")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started."""
    pids: list[int] = []
    real = shared.Partner.__init__

    def begin(self: shared.Partner, order: partner.Order) -> None:
        real(self, order)
        pids.append(self.pid)

    monkeypatch.setattr(shared.Partner, "__init__", begin)
    return pids


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("when", ["before it was asked", "while it was asked"])
def test_a_process_that_is_killed_is_no_verdict(
    when: str, finished: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = "plan" if when == "before it was asked" else "_give"
    real = getattr(shared.Shared, moment)

    def killing(self: shared.Shared, what: Any) -> None:
        if moment == "plan":
            os.kill(started[1], signal.SIGKILL)
        real(self, what)
        os.kill(started[0], signal.SIGKILL)

    monkeypatch.setattr(shared.Shared, moment, killing)
    with AuditReader(finished) as reader:
        with pytest.raises(Temporary, match=r"has no result: process \d+, .* was killed by SIGKILL") as refused:
            verify_run(reader, RUN, KEY, processes=2)
        assert "one processor" in refused.value.next_step
        assert refused.value.exit_code == 75
        assert gone(started)
        monkeypatch.setattr(shared.Shared, moment, real)
        assert verify_run(reader, RUN, KEY, processes=2) == []


def test_what_a_process_meets_is_said_as_by_one(copy: Path, started: list[int]) -> None:
    with raw(copy) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'outcome_records'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(copy.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 60] = b"\xff" * 60
    copy.write_bytes(content)
    with AuditReader(copy) as reader:
        with pytest.raises(ElspethError) as alone:
            verify_run(reader, RUN, KEY, processes=1)
        with pytest.raises(ElspethError) as several:
            verify_run(reader, RUN, KEY, processes=2)
    assert several.value.to_value() == alone.value.to_value()
    assert gone(started)


def test_a_run_that_is_not_large_starts_no_process(finished: Path, started: list[int]) -> None:
    with AuditReader(finished) as reader:
        assert verify_run(reader, RUN, KEY) == []
    assert not started


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_a_large_run_is_shared_by_as_many_as_there_are_processors(
    processors: int, finished: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "LARGE", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)))
    with AuditReader(finished) as reader:
        assert verify_run(reader, RUN, KEY) == []
    assert len(started) == {1: 0, 2: 2, 64: shared.MOST}[processors]
    assert gone(started)


def test_an_export_is_shared_too(
    finished: Path, started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "LARGE", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    with AuditReader(finished) as reader:
        export_run(reader, RUN, tmp_path / "evidence", KEY)
    verdict = verify_export(tmp_path / "evidence", KEY)
    assert {finding.kind for finding in verdict.findings} == {"payload"}  # the sample names some that never were
    assert len(started) == 2


def test_where_no_process_can_be_started_one_does_it(
    finished: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: shared.Partner, order: partner.Order) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(shared.Partner, "__init__", refuse)
    with AuditReader(finished) as reader:
        assert verify_run(reader, RUN, KEY, processes=2) == []


@pytest.mark.parametrize("how_often", [1, shared.TRIES])
def test_all_see_the_same_moment_though_somebody_writes(
    how_often: int, copy: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the snapshots a run ends; each snapshot alone would be right."""
    begun: list[int] = []
    real = shared._begin
    writer = AuditWriter(copy, signing_key=KEY)
    other = "mf3k2b00"
    graph = {table: held for table, held in beginning().items() if table != "checkpoints"}
    writer.create_run({**RUN_COLUMNS, "run_id": other}, ATTEMPT, graph)

    def begin(partners: list[shared.Partner], snapshot: str | None) -> None:
        if len(begun) < how_often:
            writer.commit(other, 1, rows(len(begun), len(begun) + 1, number=1 + len(begun), run=other))
        begun.append(1)
        real(partners, snapshot)

    monkeypatch.setattr(shared, "_begin", begin)
    with AuditReader(copy) as reader:
        assert verify_run(reader, other, None, processes=2) == []
    writer.close()
    assert len(begun) == min(how_often + 1, shared.TRIES)
    assert gone(started)
