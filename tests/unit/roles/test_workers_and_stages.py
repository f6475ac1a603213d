"""The roles that decide rows, without a process: what they answer to which message, and what they say they touch."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit.store.commits import record_frames
from elspeth.coordinator import protocol as m
from elspeth.coordinator.blame import Conviction
from elspeth.errors import ElspethError
from elspeth.execution import codec
from elspeth.roles import logs, worker
from elspeth.roles.flush_mark import Flushes
from elspeth.roles.plan import Plan, WorkerPlace, encode_plan
from elspeth.roles.pool import Hand
from elspeth.roles.stage import StageRole
from elspeth.roles.worker import WorkerRole
from elspeth.runs.lifecycle.pipeline import load_pipeline
from tests.kit.processes.waiting import PATIENCE_SECONDS
from tests.unit.roles.in_process import Port, role_of

RUN = "mf3k2a9x"
PIPELINE = """
source: {plugin: csv, options: {path: in.csv}, on_validation_failure: discard}
transforms: [{plugin: field_mapper, name: t, options: {mapping: {n: m}}, on_error: discard, pool_size: %d}]
aggregations:
  - {name: b, plugin: batch_replicate, trigger: {count: 3}, output_mode: passthrough, on_error: discard,
     options: {include_copy_index: false}}
gates: [{name: g, condition: "row['m'] != '1'", routes: {"true": continue, "false": out}}]
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
"""
VERDICT = Conviction(reason="SIGSEGV", attempts=3)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[..., Plan]]:
    here = Path.cwd()
    os.chdir(tmp_path)
    Path("in.csv").write_text("n\n1\n")

    def planned(pool_size: int = 1, **more: Any) -> Plan:
        Path("pipeline.yaml").write_text(PIPELINE % pool_size)
        graph = load_pipeline(Path("pipeline.yaml"), environ={}, dotenv=False).graph
        return Plan(run_id=RUN, attempt=1, graph=graph, working_directory=str(tmp_path), state_directory="state",
                    database=str(tmp_path / "audit.db"), **more)  # fmt: skip

    yield planned
    os.chdir(here)


def begun(cls: Any, plan: Plan) -> tuple[Any, Port]:
    role, port = role_of(cls, plan)
    if cls is WorkerRole:
        role.begin()
        assert [message for message, _ in port.take()] == [m.Ready()]
    return role, port


def chunk(*numbers: int, split_points: tuple[int, ...] = ()) -> memoryview:
    rows: list[codec.Row | None] = [{"n": str(number)} for number in numbers]
    return memoryview(codec.encode_rows(codec.RowBatch("source", 10, "T", rows, {}, None, list(split_points))))


def items(*numbers: int, target: str) -> memoryview:
    made = [codec.StageItem(target, f"{RUN}-{n:09d}", f"{RUN}-{n:09d}", n, (), 1, {"m": str(n)}) for n in numbers]
    return memoryview(codec.encode_items(made))


def records(body: bytes) -> dict[str, list[Any]]:
    return {table: found for table, found in record_frames.records_in(body).items() if found}


def test_a_slice_is_decided_row_by_row_and_answered_with_what_leaves(plan: Callable[..., Plan]) -> None:
    role, port = begun(WorkerRole, plan())
    role.take(m.Work(4, 1, 3), [chunk(0, 1, 2, 3)])
    [(told, [leaving, audit])] = port.take()
    assert (told.seq, told.start, told.stop, told.leaving, told.outcomes) == (4, 1, 3, 2, {})
    assert [(item.target, item.row_index, item.data) for item in codec.decode_items(leaving)] == [
        ("b", 11, {"m": "1"}), ("b", 12, {"m": "2"}),
    ]  # fmt: skip
    found = records(audit)
    assert len(found["rows"]) == len(found["node_states"]) == 2
    assert told.tally.tokens == 2
    assert [place for place, _ in port.places] == [11, 11, 12, 12, -1]
    role.take(m.Work(5, 0, 1), [chunk(7)])  # nothing of the last one is left
    [(told, [_, audit])] = port.take()
    assert (told.leaving, told.tally.tokens, len(records(audit)["rows"])) == (1, 1, 1)


@pytest.mark.parametrize(
    ("slow", "answers"), [(True, [(0, 2), (2, 4)]), (False, [(0, 4)])], ids=["slow", "fast"]
)  # fmt: skip
def test_a_slice_that_takes_long_is_answered_in_parts(
    slow: bool, answers: list[tuple[int, int]], plan: Callable[..., Plan]
) -> None:
    role, port = begun(WorkerRole, plan())
    role._slice_seconds = -1.0 if slow else float("inf")
    role.take(m.Work(0, 0, 4), [chunk(0, 1, 2, 3, split_points=(2, 4))])
    told = port.take()
    assert [(message.start, message.stop) for message, _ in told] == answers
    assert [message.leaving for message, _ in told] == [stop - start for start, stop in answers]


def test_a_row_that_killed_its_workers_is_set_aside(plan: Callable[..., Plan]) -> None:
    role, port = begun(WorkerRole, plan())
    role.take(m.Work(0, 1, 2, VERDICT), [chunk(0, 1, 2)])
    [(told, [leaving, audit])] = port.take()
    assert (told.leaving, told.outcomes) == (0, {"discarded": 1})
    assert codec.decode_items(leaving) == []
    [error] = records(audit)["transform_errors"]
    assert json.loads(error[3])["reason"].startswith("killed the process that touched it: SIGSEGV")


def test_what_is_before_a_later_stage_goes_through_it_and_each_item_is_said_to_be_touched(
    plan: Callable[..., Plan],
) -> None:
    role, port = begun(WorkerRole, plan())
    last = len(role._plan.graph.stateful) - 1
    role.take(m.StageWork(8, last, 0.0, poison={1: VERDICT}), [items(0, 1, 2, target="g")])
    [(told, [out, audit])] = port.take()
    assert (told.no, told.stage, told.leaving) == (8, last, 0)
    assert codec.decode_sinks(out)["out"].tokens == [f"{RUN}-{n:09d}" for n in (0, 2)]
    assert told.outcomes == {"quarantined": 1}
    assert len(records(audit)["node_states"]) == 3
    assert [place for place, _ in port.places if place >= 0][-1] == 2
    assert port.places[-1] == (-1, 0)


def test_a_token_with_which_attempts_died_is_marked_or_set_aside(plan: Callable[..., Plan], tmp_path: Path) -> None:
    convicted, suspect = f"{RUN}-{1:09d}", f"{RUN}-{2:09d}"
    marks = tmp_path / "marks"
    marks.write_bytes(b"\0" * 4096 * 8)
    flushes = Flushes(str(marks), tokens=frozenset({convicted}), suspects={suspect: 1}, convicted={convicted: VERDICT})
    role, port = begun(WorkerRole, plan(flushes=flushes))
    last = len(role._plan.graph.stateful) - 1
    assert [role._goes_alone(item) for item in codec.decode_items(items(0, 1, 2, target="g"))] == [False, True, True]
    role.take(m.StageWork(8, last, 0.0), [items(0, 1, 2, target="g")])
    [(told, [out, _])] = port.take()
    assert told.outcomes == {"quarantined": 1}
    assert codec.decode_sinks(out)["out"].tokens == [f"{RUN}-{n:09d}" for n in (0, 2)]
    assert suspect.encode() in marks.read_bytes()


def test_rows_of_a_pool_are_answered_together_in_their_order(plan: Callable[..., Plan]) -> None:
    role, port = begun(WorkerRole, plan(2))
    role.take(m.Work(4, 0, 3), [chunk(0, 1, 2)])
    assert role.busy
    role.waits.get(timeout=PATIENCE_SECONDS)()
    assert not role.busy
    [(told, [leaving, _])] = port.take()
    assert (told.start, told.stop, told.leaving, told.tally.tokens) == (0, 3, 3, 3)
    assert [item.data for item in codec.decode_items(leaving)] == [{"m": str(n)} for n in range(3)]


def test_what_breaks_in_a_pool_ends_the_worker_in_order_and_blames_no_row(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(batch: Any, place: int, slot: Any) -> None:
        raise KeyError("gone")

    role, port = begun(WorkerRole, plan(2))
    monkeypatch.setattr(worker, "_decide", broken)
    role.take(m.Work(4, 0, 2), [chunk(0, 1)])
    role.waits.get(timeout=PATIENCE_SECONDS)()
    [(failed, _)] = port.take()
    assert "internal error, which is no row's fault" in failed.error["message"]
    assert role.failed
    role.guarded(lambda: port.send(b""))  # who has failed does nothing any more
    assert port.take() == []


def test_the_row_in_hand_is_named_where_it_is_the_only_one() -> None:
    port = Port()
    hand = Hand(port)  # type: ignore[arg-type]
    hand.begin("a", 5)
    hand.touch(3)
    hand.begin("b", 6)
    hand.touch(4)
    hand.end("a")
    hand.end("b")
    assert port.places == [(5, 0), (5, 3), (-1, 0), (-1, 4), (6, 0), (-1, 0)]
    assert port.beats == 2


def test_a_chunk_that_was_given_to_a_slice_before_is_dropped_with_its_last_row(plan: Callable[..., Plan]) -> None:
    role, _ = begun(WorkerRole, plan())
    role.take(m.Work(4, 0, 2), [chunk(0, 1, 2)])
    assert role._chunk is not None
    role.take(m.Work(4, 2, 3), [chunk(0, 1, 2)])
    assert role._chunk is None


def stage(plan: Plan, state: Any = None) -> tuple[Any, Port]:
    role, port = begun(StageRole, plan)
    number = plan.graph.stateful.index(True)
    role.take(m.RestoreStage(number, state), [])
    assert [message for message, _ in port.take()] == [m.StageReady(number, None)]
    role._archive = SimpleNamespace(close=lambda: None)
    return role, port


def test_a_stage_holds_rows_until_its_batch_is_full_and_says_what_it_remembers(plan: Callable[..., Plan]) -> None:
    planned = plan()
    role, port = stage(planned)
    number = planned.graph.stateful.index(True)
    role.take(m.StageWork(1, number, 0.5), [items(0, 1, target="b")])
    [(told, [leaving, _])] = port.take()
    assert (told.no, told.stage, told.leaving, told.flushed, told.outcomes) == (1, number, 0, False, {"buffered": 2})
    assert told.first_row == 0
    assert codec.decode_items(leaving) == []
    role.take(m.Flush(1), [])
    [(answer, _)] = port.take()
    assert (answer.no, answer.stage, answer.state["b"]["count"]) == (1, number, 2)
    role.take(m.StageWork(2, number, 0.5), [items(2, target="b")])
    [(told, [leaving, _])] = port.take()
    assert (told.no, told.leaving, told.flushed) == (2, 3, True)
    assert [item.row_index for item in codec.decode_items(leaving)] == [0, 1, 2]
    role.take(m.Flush(2), [])
    [(answer, _)] = port.take()
    assert answer.state == {}
    assert port.places[-1] == (-1, 0)
    assert (2, 2) not in port.places  # the only item of the second micro-batch is its first
    assert (0, 2) in port.places


def test_the_end_of_the_input_closes_what_is_open_and_nothing_counts_where_nothing_came(
    plan: Callable[..., Plan],
) -> None:
    planned = plan()
    role, port = stage(planned)
    number = planned.graph.stateful.index(True)
    role.take(m.StageWork(1, number, 0.0), [items(4, target="b")])
    port.take()
    role.take(m.StageWork(2, number, 0.0, end=True), [])
    [(told, _)] = port.take()
    assert (told.leaving, told.flushed) == (1, True)
    role.take(m.StageWork(3, number, 0.0, end=True), [])
    [(told, _)] = port.take()
    assert (told.leaving, told.flushed, told.first_row) == (0, False, None)


def test_a_batch_with_which_attempts_died_is_marked_or_fails(plan: Callable[..., Plan], tmp_path: Path) -> None:
    batch = f"{RUN}-{0:09d}@b"
    marks = tmp_path / "marks"
    for convicted, outcome in (({}, False), ({batch: VERDICT}, True)):
        marks.write_bytes(b"\0" * 4096 * 8)
        planned = plan(flushes=Flushes(str(marks), suspects={batch: 1}, convicted=convicted))
        role, port = stage(planned)
        number = planned.graph.stateful.index(True)
        role.take(m.StageWork(1, number, 0.0), [items(0, 1, 2, target="b")])
        [(told, _)] = port.take()
        assert told.outcomes.get("discarded", 0) == (3 if outcome else 0)
        assert (batch.encode() in marks.read_bytes()) != outcome


def test_an_error_that_a_restart_would_not_cure_is_told_once(plan: Callable[..., Plan]) -> None:
    role, port = begun(WorkerRole, plan())

    def act() -> None:
        raise ElspethError("it cannot go on")

    role.guarded(act)
    role.guarded(act)
    [(failed, _)] = port.take()
    assert failed.error["message"] == "it cannot go on"

    def greedy() -> None:
        raise MemoryError

    role.failed = False
    with pytest.raises(MemoryError):
        role.guarded(greedy)


def test_who_shares_a_pool_takes_its_share_of_it(plan: Callable[..., Plan]) -> None:
    widths = []
    for number in range(3):
        role, _ = begun(WorkerRole, plan(4, worker=WorkerPlace(number, 3)))
        widths.append(role._pools[0].width if 0 in role._pools else 1)
    assert sorted(widths) == [1, 1, 2]


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level, shown = list(root.handlers), root.level, warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers[:], root.level = before, level


@pytest.mark.usefixtures("logging_as_before")
def test_a_child_logs_as_its_plan_says(capsys: pytest.CaptureFixture[str], plan: Callable[..., Plan]) -> None:
    logs.configure(encode_plan(plan()))
    logging.getLogger("mine").warning("so it is")
    logging.getLogger("mine").info("not asked for")
    assert capsys.readouterr().err == "warning mine: so it is\n"
    for _ in range(2):  # a second time adds no second line
        logs.configure(encode_plan(plan(log_format="json", log_level="INFO")))
    logging.getLogger("mine").info("so it\nis")
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("info", "mine", "so it\nis")
    assert len(told["at"]) == len("2026-01-01T00:00:00.000Z")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    assert "old" in json.loads(capsys.readouterr().err)["message"]
