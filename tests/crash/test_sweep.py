"""Whatever dies at whatever named moment: the run ends as if nothing had died."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from elspeth.audit.chain.layouts import NEWEST
from tests.kit.fixtures.unpack import results, run_ids, unpack
from tests.kit.oracle.checker import check
from tests.kit.pipelines.crash_pipelines import (
    BATCHING,
    CALLING,
    DECIDING,
    FROM_STDIN,
    KEEPING,
    PACKED,
    PAYING,
    lay_out,
)
from tests.kit.processes.program import ELSEWHERE as WORKERS_ELSEWHERE
from tests.kit.processes.program import ROOT, Program, Programs, programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id

OF_OPERATORS = ("operator.", "audit.before_purge", "audit.in_purge")
OF_MIGRATIONS = ("audit.in_migration", "audit.after_migration")
OF_COPIES = ("audit.in_copy", "audit.before_copied", "audit.after_copied")
OF_AGENTS = ("agent.",)  # there are some where workers are elsewhere: see `test_agents.py`
NOT_OF_RUNS = (*OF_OPERATORS, *OF_MIGRATIONS, *OF_COPIES, *OF_AGENTS)
ELSEWHERE = ("main.", "supervisor.", "stdin.", *NOT_OF_RUNS)  # no child of a run
ONLY_IN_A_RESUME = {"main.before_resume_lock", "main.after_resume_lock", "main.before_row_mark", "audit.in_take_over",
                    "sink.before_copy_named", "sink.after_copy_named"}  # fmt: skip
ONLY_AFTER_TWO_DEATHS = {"main.row_marked", "stage.flush_marked", "worker.item_marked", "sink.output_marked"}
WITH_PAYLOADS = "payloads."
FOR_WORKERS_ELSEWHERE = ("main.before_kept", "main.after_kept")
WITH_COMPRESSION = ("sink.before_member_end", "sink.after_member_end")
ONLY_IN_BATCHES = ("stage.", "worker.before_micro_batch", "worker.after_micro_batch", "worker.item_marked",
                   "sink.output_marked")  # fmt: skip

# Where a moment comes again and again: at which of its passings the process dies. The others come once or twice. A slow
# machine commits more rows at a time: of 400 rows, of which 200 may wait, there are three commits at least.
IN_MIDSTREAM = {
    "audit.before_commit": 3, "audit.in_transaction": 3, "audit.after_commit": 3, "audit.before_durable": 3,
    "audit.after_durable": 3, "audit.before_record": 6, "main.before_durable": 3, "main.after_durable": 3,
    "sink.before_write": 6, "sink.after_write": 6, "sink.after_send": 6, "sink.before_flush": 3,
    "sink.after_flush": 3, "sink.after_flushed": 3, "sink.before_fsync": 7, "sink.after_fsync": 7,
    "source.before_read": 6, "source.after_read": 190, "source.before_send": 6, "source.after_send": 6,
    "stage.before_micro_batch": 6, "stage.before_send": 6, "stage.after_send": 6, "stage.before_flush": 3,
    "stage.after_flush": 3, "worker.before_row": 90, "worker.after_row": 90, "worker.before_send": 3,
    "worker.after_send": 3, "worker.before_micro_batch": 3, "worker.after_micro_batch": 3, "supervisor.before_start": 3,
    "supervisor.after_start": 3, "payloads.after_put": 200, "payloads.before_named": 3, "payloads.before_names": 3,
    "payloads.after_names": 3, "fork_server.before_fork": 3, "fork_server.after_fork": 3,
    "fork_server.after_answer": 3,
    "sink.before_member_end": 7, "sink.after_member_end": 7,
    "calls.before_intent": 60, "calls.after_intent": 60, "calls.before_answer": 60, "calls.after_answer": 60,
    "main.before_kept": 60, "main.after_kept": 30,
}  # fmt: skip


def points() -> list[str]:
    """Every crash point there is, from the source."""
    found = set()
    for package in ("actors", "elspeth"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "crash_points.py":
                found |= set(re.findall(r'crash_point\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return sorted(found)


POINTS = points()


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves behind when nothing dies."""

    outputs: dict[str, str]
    comparable_records: dict[str, list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    found = {}
    with programs() as started:
        all_settings = {
            "deciding": DECIDING, "batching": BATCHING, "paying": PAYING, "packed": PACKED, "calling": CALLING,
            "from_stdin": FROM_STDIN, "keeping": KEEPING,
        }  # fmt: skip
        for name, settings in all_settings.items():
            folder = lay_out(tmp_path_factory.mktemp("undisturbed") / name, settings)
            started.call(folder, "run", "--settings", "pipeline.yaml", "--execute")
            assert violations(folder, settings) == []
            found[settings] = Undisturbed(outputs(folder), comparable(folder / "runs/audit.db"))
    return found


def violations(folder: Path, settings: str) -> list[str]:
    database = folder / "runs/audit.db"
    return check(
        folder / "pipeline.yaml",
        database,
        run_id(database),
        working_directory=folder,
        recompute=settings not in (BATCHING, CALLING, FROM_STDIN, KEEPING),
    )


def settings_for(point: str) -> str:
    if point in FOR_WORKERS_ELSEWHERE:
        return KEEPING
    if point.startswith(WITH_PAYLOADS):
        return PAYING
    if point.startswith(WITH_COMPRESSION):
        return PACKED
    if point.startswith("calls."):
        return CALLING
    if point.startswith("stdin."):
        return FROM_STDIN
    return BATCHING if point.startswith(ONLY_IN_BATCHES) else DECIDING


def armed(point: str, passing: int, mark: Path, *, whole_tree: bool) -> dict[str, str]:
    return {"CRASH_POINT": f"{point}:{passing}:{mark}", "CRASH_GROUP": str(int(whole_tree))}


def run_words() -> tuple[str, ...]:
    return "run", "--settings", "pipeline.yaml", "--execute"


def recorded(folder: Path) -> bool:
    """Whether the run is on record: checkpoint 0 is committed."""
    database = folder / "runs/audit.db"
    if not database.exists() or not database.stat().st_size:
        return False
    tables = query(database, "SELECT count(*) FROM sqlite_master WHERE name = 'runs'")[0][0]
    return bool(tables and query(database, "SELECT count(*) FROM runs")[0][0])


def go_on(programs: Programs, folder: Path, **environment: str) -> Program:
    """What an operator does after a death: resume, or start again if nothing had begun."""
    if recorded(folder):
        return programs.start(folder, "resume", run_id(folder / "runs/audit.db"), **environment)
    assert not outputs(folder), "an output was touched before the run was on record"
    return programs.start(folder, *run_words(), **environment)


def assert_as_if_nothing_had_died(folder: Path, settings: str, undisturbed: dict[str, Undisturbed]) -> None:
    expected = undisturbed[settings]
    assert violations(folder, settings) == []
    assert outputs(folder) == expected.outputs
    database = folder / "runs/audit.db"
    assert differences(comparable(database), expected.comparable_records) == []
    if settings is CALLING:
        paid = Counter((folder / "paid.log").read_text().splitlines())
        [(unknown,)] = query(database, "SELECT count(*) FROM calls WHERE status = 'unknown'")
        assert sum(paid.values()) - len(paid) <= unknown
        assert not list((folder / "state").rglob("*.calls"))


def comparable(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """The records without those of calls: who died in a call has one more."""
    return {**comparable_records(database, run_id(database)), "calls": []}


def dies_twice_at_one_place(programs: Programs, folder: Path, *, in_later_stage: bool) -> None:
    """Let attempts die until two have with as many rows committed: rows that were given out then go alone.

    Before a later stage begins an attempt may commit rows of an earlier one, or die before it does. What enters one is
    in hand once a batch is full: what travels there before is empty, and nothing of it is to be marked.
    """
    point = "stage.before_flush" if in_later_stage else "worker.before_row"
    committed: list[int] = []
    while len(committed) < 2 or committed[-1] != committed[-2]:
        arms = armed(point, 1, folder.with_name(f"death {len(committed)}"), whole_tree=True)
        begun = go_on(programs, folder, **arms) if committed else programs.start(folder, *run_words(), **arms)
        begun.ends_with(-9)
        committed.append(query(folder / "runs/audit.db", "SELECT count(*) FROM rows")[0][0])


def passings(point: str) -> list[int]:
    return sorted({1, IN_MIDSTREAM.get(point, 1)})


def test_the_points_are_found() -> None:
    assert len(POINTS) > 40
    assert set(IN_MIDSTREAM) <= set(POINTS)
    assert set(POINTS) >= ONLY_IN_A_RESUME | ONLY_AFTER_TWO_DEATHS


OF_RUNS = [point for point in POINTS if not point.startswith(NOT_OF_RUNS)]


@pytest.mark.parametrize("point", OF_RUNS)
def test_a_run_whose_every_process_dies_is_resumed(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    settings, mark = settings_for(point), tmp_path / "mark"
    folder = lay_out(tmp_path / "run", settings)
    where = WORKERS_ELSEWHERE if point in FOR_WORKERS_ELSEWHERE else {}
    if point in ONLY_AFTER_TWO_DEATHS:
        dies_twice_at_one_place(programs, folder, in_later_stage=point == "worker.item_marked")
        go_on(programs, folder, **armed(point, passings(point)[-1], mark, whole_tree=True)).ends_with(-9)
    elif point in ONLY_IN_A_RESUME:
        first = tmp_path / "first"
        # What was flushed and not committed is the tail that a resume copies and cuts off.
        death = "sink.after_flush" if point.startswith("sink.") else "sink.after_write"
        programs.start(folder, *run_words(), **armed(death, 4, first, whole_tree=True)).ends_with(-9)
        go_on(programs, folder, **armed(point, 1, mark, whole_tree=True)).ends_with(-9)
    else:
        arms = armed(point, passings(point)[-1], mark, whole_tree=True)
        programs.start(folder, *run_words(), **arms, **where).ends_with(-9)
    assert mark.exists(), "the point did not fire"
    go_on(programs, folder, **where).ends_with(0)
    assert_as_if_nothing_had_died(folder, settings, undisturbed)


def one_of_each_role() -> list[tuple[str, ...]]:
    """The points of child processes in groups, none with two of the same role: a process counts from its own start."""
    roles: dict[tuple[str, str], list[str]] = {}
    for point in POINTS:
        if not point.startswith(ELSEWHERE) and point not in ONLY_IN_A_RESUME | ONLY_AFTER_TWO_DEATHS:
            roles.setdefault((settings_for(point), point.split(".")[0]), []).append(point)
    groups = []
    for settings in (DECIDING, BATCHING, PAYING, PACKED, CALLING):
        columns = zip_longest(*(points for (of, _), points in roles.items() if of is settings))
        groups += [tuple(point for point in column if point) for column in columns]
    return groups


@pytest.mark.parametrize("group", one_of_each_role(), ids=" ".join)
def test_a_run_some_processes_of_which_die_goes_on(
    group: tuple[str, ...], tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    settings = settings_for(group[0])
    folder = lay_out(tmp_path / "run", settings + "supervisor: {max_restarts: 6}\n")
    arms = [f"{point}:{passings(point)[-1]}:{tmp_path / point}" for point in group]
    programs.start(folder, *run_words(), CRASH_POINT=",".join(arms)).ends_with(0)
    assert [point for point in group if not (tmp_path / point).exists()] == [], "did not fire"
    assert_as_if_nothing_had_died(folder, settings, undisturbed)


def test_a_resume_whose_audit_process_dies_while_it_takes_over_goes_on(
    tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    folder, mark = lay_out(tmp_path / "run", DECIDING), tmp_path / "mark"
    first = armed("sink.after_write", 4, tmp_path / "first", whole_tree=True)
    programs.start(folder, *run_words(), **first).ends_with(-9)
    go_on(programs, folder, **armed("audit.in_take_over", 1, mark, whole_tree=False)).ends_with(0)
    assert mark.exists(), "the point did not fire"
    assert_as_if_nothing_had_died(folder, DECIDING, undisturbed)


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith(OF_OPERATORS)])
def test_a_purge_that_dies_can_be_repeated(point: str, tmp_path: Path, programs: Programs) -> None:
    folder, mark = lay_out(tmp_path / "run", DECIDING), tmp_path / "mark"
    programs.call(folder, *run_words())
    words = ("purge", "--run", run_id(folder / "runs/audit.db"))
    died = programs.start(folder, *words, **armed(point, 1, mark, whole_tree=False)).ends_with(1)
    assert mark.exists(), "the point did not fire"
    assert "SIGKILL" in died.said
    if point != "audit.in_purge":  # in between, marks and contents do not fit together
        programs.call(folder, "verify", words[-1])
    programs.call(folder, *words)
    programs.call(folder, "verify", words[-1])
    assert query(folder / "runs/audit.db", "SELECT count(*) FROM rows WHERE source_data IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("point", OF_MIGRATIONS)
@pytest.mark.parametrize("whole_tree", [True, False], ids=["all", "one"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_migration_that_dies_leaves_all_as_it_was_or_all_done(
    point: str, whole_tree: bool, times: int, tmp_path: Path, programs: Programs
) -> None:
    whole, folder = unpack("completed", tmp_path / "whole"), unpack("interrupted", tmp_path / "run")
    (run,) = run_ids(folder)
    again = ("resume", run, "--working-directory", ".", "--accept-changed-code")
    for time in range(times):
        mark = tmp_path / f"mark{time}"
        died = programs.start(folder, *again, **armed(point, 1, mark, whole_tree=whole_tree))
        if time and point == "audit.after_migration":
            died.ends_with(0)  # the first time did it
            return
        died.ends_with(-9 if whole_tree else 75)
        assert mark.exists(), "the point did not fire"
        assert query(folder / "runs/audit.db", "PRAGMA user_version") == [(1 if "in_" in point else NEWEST.number,)]
        programs.call(folder, "verify", run)
    programs.call(folder, *again)
    programs.call(folder, "verify", run)
    assert results(folder) == results(whole)


TWICE = [
    ("audit.before_commit", "audit.before_commit"),
    ("audit.after_commit", "sink.before_cut"),
    ("sink.after_flush", "sink.after_cut"),
    ("source.after_send", "audit.after_begin"),
    ("stage.after_send", "stage.after_restore"),
    ("sink.after_finish", "main.after_resume_lock"),
    ("sink.after_write", "sink.after_closing"),
    ("sink.after_member_end", "sink.before_member_end"),
]


@pytest.mark.parametrize(("first", "second"), TWICE)
def test_a_run_that_dies_and_dies_again_in_its_resume_is_resumed(
    first: str, second: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    settings = settings_for(first)
    folder = lay_out(tmp_path / "run", settings)
    marks = tmp_path / "first", tmp_path / "second"
    arms = armed(first, passings(first)[-1], marks[0], whole_tree=True)
    programs.start(folder, *run_words(), **arms).ends_with(-9)
    go_on(programs, folder, **armed(second, 1, marks[1], whole_tree=True)).ends_with(-9)
    assert all(mark.exists() for mark in marks), "a point did not fire"
    go_on(programs, folder).ends_with(0)
    assert_as_if_nothing_had_died(folder, settings, undisturbed)


def dies_at(point: str, programs: Programs, folder: Path) -> None:
    """A run every process of which dies at this point."""
    mark = folder.with_name("mark")
    arms = armed(point, passings(point)[-1], mark, whole_tree=True)
    programs.start(folder, *run_words(), **arms).ends_with(-9)
    assert mark.exists(), "the point did not fire"


IN_MANY_FILES = [
    "source.after_send", "source.after_read", "source.before_restore", "source.before_end", "source.after_end",
    "audit.after_commit", "sink.after_flush", "sink.before_closing",
]  # fmt: skip


@pytest.mark.parametrize("point", IN_MANY_FILES)
def test_a_run_over_many_compressed_files_is_resumed(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    folder = lay_out(tmp_path / "run", PACKED)
    dies_at(point, programs, folder)
    if recorded(folder):
        (folder / "parts" / "9.csv.gz").write_bytes(b"appeared since, and is not looked at")
    again = go_on(programs, folder).ends_with(0)
    (folder / "parts" / "9.csv.gz").unlink(missing_ok=True)
    assert "9.csv.gz" in again.said or point in ("source.before_end", "source.after_end", "sink.before_closing")
    assert_as_if_nothing_had_died(folder, PACKED, undisturbed)


FROM_WHAT_WAS_KEPT = [
    "source.before_restore", "source.after_send", "source.after_read", "source.after_end", "audit.after_commit",
    "sink.after_flush", "main.after_durable", "stdin.before_forgotten",
]  # fmt: skip


@pytest.mark.parametrize("point", FROM_WHAT_WAS_KEPT)
def test_a_run_over_standard_input_is_resumed_without_it(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    folder = lay_out(tmp_path / "run", FROM_STDIN)
    dies_at(point, programs, folder)
    assert recorded(folder)
    assert [path.name for path in (folder / "state/stdin").iterdir()] == [run_id(folder / "runs/audit.db")]
    (folder / "stdin").write_text("id,amount,note\n1,1,another input that comes by standard input now\n")
    go_on(programs, folder).ends_with(0)
    (folder / "stdin").write_bytes((folder / "input.csv").read_bytes())
    assert_as_if_nothing_had_died(folder, FROM_STDIN, undisturbed)
    assert undisturbed[FROM_STDIN].outputs == undisturbed[DECIDING].outputs
    if point != "stdin.before_forgotten":  # that run was complete: the next one that is takes it away
        assert list((folder / "state/stdin").iterdir()) == []


@pytest.mark.parametrize("point", [point for point in POINTS if point.startswith("stdin.")])
def test_what_was_kept_of_standard_input_goes_with_the_next_run(point: str, tmp_path: Path, programs: Programs) -> None:
    folder, mark = lay_out(tmp_path / "run", FROM_STDIN), tmp_path / "mark"
    programs.start(folder, *run_words(), **armed(point, 1, mark, whole_tree=True)).ends_with(-9)
    assert mark.exists(), "the point did not fire"
    programs.call(folder, *run_words())
    assert list((folder / "state/stdin").iterdir()) == []
    if point != "stdin.before_created":  # a lock alone is what any death before the first record leaves
        assert list((folder / "runs/locks").iterdir()) == []


@pytest.mark.parametrize("point", ["audit.before_commit", "sink.after_write", "source.after_send", "worker.after_send"])
def test_a_run_that_gives_up_on_a_process_is_resumed(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    folder, mark = lay_out(tmp_path / "run", DECIDING + "supervisor: {max_restarts: 0}\n"), tmp_path / "mark"
    arms = armed(point, passings(point)[-1], mark, whole_tree=False)
    gave_up = programs.start(folder, *run_words(), **arms).ends_with(1)
    assert mark.exists(), "the point did not fire"
    assert "restart intensity exceeded" in gave_up.said
    run = run_id(folder / "runs/audit.db")
    assert f"elspeth resume {run}" in gave_up.said
    assert query(folder / "runs/audit.db", "SELECT status, completed_at FROM runs") == [("failed", None)]
    programs.call(folder, "resume", run)
    assert_as_if_nothing_had_died(folder, DECIDING, undisturbed)
