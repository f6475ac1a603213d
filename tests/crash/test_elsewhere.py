"""What dies of a run whose workers are elsewhere, and a full disk: nothing that was paid is silent, nothing is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.pipelines.calling import KEY, lay
from tests.kit.pipelines.crash_pipelines import KEEPING, PAYING, lay_out
from tests.kit.processes.mounts import Mount
from tests.kit.processes.program import ELSEWHERE, SEED, Program, Programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id
from tests.kit.processes.tree import descendants_of, title_of
from tests.kit.processes.waiting import wait_until
from tests.kit.provider.server import FakeProvider

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
UNKNOWN = "SELECT s.token_id FROM calls AS c JOIN node_states AS s USING (state_id) WHERE c.status = 'unknown'"
ALONE = "concurrency: {max_workers: 1}\n"
PATIENT = "concurrency: {max_workers: 2}\nsupervisor: {max_restarts: 1000, poison_attempts: 1000}\n"
CALLING = {"CALLS_KEY": KEY, **ELSEWHERE}


def workers_of(program: Program) -> list[int]:
    """The workers that there are, by their number."""
    found = {title_of(pid): pid for pid in descendants_of(program.pid)}
    return [pid for title, pid in sorted(found.items()) if title.rpartition(" ")[2].startswith("worker-")]


def agent_of(worker: int) -> int:
    """The agent beside a worker: what began what forked it."""
    return parent_of(parent_of(worker))


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def assert_paid(provider: FakeProvider, folder: Path, rows: int, *, pool: int) -> None:
    """What was paid twice is on record as unknown."""
    paid = Counter(provider.paid)
    assert paid.keys() == {f"about {row}" for row in range(rows)}
    assert max(paid.values()) <= 2
    twice = [question for question, times in paid.items() if times > 1]
    unknown = query(folder / "runs/audit.db", UNKNOWN)
    assert len(twice) <= len(unknown) <= pool
    assert len((folder / "output/out.csv").read_text().splitlines()) == rows + 1
    assert not list((folder / "state").rglob("*.calls"))


@pytest.mark.parametrize("victim", [lambda worker: worker, agent_of], ids=["worker", "agent"])
def test_who_dies_in_a_call_leaves_it_on_record_as_unknown(
    victim: Callable[[int], int], tmp_path: Path, programs: Programs
) -> None:
    with FakeProvider(key=KEY, seconds=0.3) as provider:
        folder = lay(tmp_path / "run", provider.url, 60, pool=8, more=PATIENT)
        program = programs.start(folder, *RUN, **CALLING)
        wait_until(lambda: len(provider.seen) >= 20 or program.popen.poll() is not None)
        with suppress(ProcessLookupError):
            os.kill(victim(workers_of(program)[0]), signal.SIGKILL)
        program.ends_with(0)
        assert_paid(provider, folder, 60, pool=8)
    programs.call(folder, "verify", run_id(folder / "runs/audit.db"))


MOMENTS = {
    "calls.before_intent": 12, "calls.after_intent": 5, "calls.before_answer": 9, "calls.after_answer": 7,
    "worker.before_row": 15, "worker.after_row": 11, "worker.before_send": 2, "worker.after_send": 2,
}  # fmt: skip


def test_a_run_goes_on_whose_workers_die_at_each_moment_of_theirs(tmp_path: Path, programs: Programs) -> None:
    settings = KEEPING + "supervisor: {max_restarts: 20, poison_attempts: 20}\n"
    undisturbed, folder = lay_out(tmp_path / "undisturbed", settings), lay_out(tmp_path / "run", settings)
    programs.start(undisturbed, *RUN).ends_with(0)
    arms = [f"{point}:{passing}:{tmp_path / point}" for point, passing in MOMENTS.items()]
    programs.start(folder, *RUN, CRASH_POINT=",".join(arms), **ELSEWHERE).ends_with(0)
    assert [point for point in MOMENTS if not (tmp_path / point).exists()] == [], "did not fire"
    database = folder / "runs/audit.db"
    run = run_id(database)
    assert check(folder / "pipeline.yaml", database, run, working_directory=folder, recompute=False) == []
    assert outputs(folder) == outputs(undisturbed)
    found = [
        comparable_records(each / "runs/audit.db", run_id(each / "runs/audit.db")) for each in (folder, undisturbed)
    ]
    for records in found:
        del records["calls"]  # who died in a call has one more
    assert differences(*found) == []


def test_a_main_process_that_dies_in_calls_finds_them_in_its_journals_and_asks_none_twice_that_is_answered(
    tmp_path: Path, programs: Programs
) -> None:
    with FakeProvider(key=KEY, seconds=0.3) as provider:
        folder = lay(tmp_path / "run", provider.url, 30, pool=8, more=ALONE)
        program = programs.start(folder, *RUN, **CALLING)
        wait_until(lambda: len(provider.seen) >= 12 or program.popen.poll() is not None)
        program.kill()
        assert list((folder / "state").rglob("*.calls"))
        programs.start(folder, "resume", "latest", **CALLING).ends_with(0)
        assert_paid(provider, folder, 30, pool=8)


def test_who_is_told_to_stop_twice_in_calls_has_their_answers_on_record(tmp_path: Path, programs: Programs) -> None:
    with FakeProvider(key=KEY, seconds=0.4) as provider:
        folder = lay(tmp_path / "run", provider.url, 30, pool=8, more=ALONE)
        program = programs.start(folder, *RUN, **CALLING)
        wait_until(lambda: len(provider.seen) >= 12 or program.popen.poll() is not None)
        for _ in range(2):
            program.popen.send_signal(signal.SIGINT)
        assert program.wait() == 130
        programs.start(folder, "resume", "latest", **CALLING).ends_with(0)
        assert provider.paid_twice() == []
    assert query(folder / "runs/audit.db", UNKNOWN) == []


def test_one_limit_holds_for_all_workers_however_late_their_words_come(tmp_path: Path, programs: Programs) -> None:
    limit = "rate_limit: {main: {max_concurrent: 3}}\n"
    with FakeProvider(key=KEY, seconds=0.05) as provider:
        folder = lay(tmp_path / "run", provider.url, 60, pool=16, more=PATIENT + limit)
        program = programs.start(folder, *RUN, **CALLING, **{SEED: "7"})
        wait_until(lambda: len(provider.seen) >= 20 or program.popen.poll() is not None)
        assert 1 < provider.most_at_once <= 3
        with suppress(ProcessLookupError):
            os.kill(workers_of(program)[0], signal.SIGKILL)  # what it was given leave for is given back
        program.ends_with(0)
        assert provider.most_at_once <= 2 * 3  # the service goes on with what it was asked by the dead one
        assert_paid(provider, folder, 60, pool=3)


def test_a_journal_that_cannot_grow_stops_the_run_and_no_call_that_was_sent_is_forgotten(
    tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    with FakeProvider(key=KEY, seconds=0.05, answer=lambda asked: asked.question * 400) as provider:
        folder = lay(tmp_path / "run", provider.url, 100, pool=8, more=ALONE)
        mount(folder / "state/calls", "size=64k")
        said = programs.start(folder, *RUN, **CALLING).ends_with(75).said
        assert f"the journal of calls in {folder}/state/calls/" in said.replace("\n", "")
        assert "cannot be written: the disk is full" in said
        assert "Traceback" not in said
        assert 0 < len(provider.paid) < 100
        mount(folder / "state/calls", "size=10m")
        programs.start(folder, "resume", "latest", **CALLING).ends_with(0)
        assert_paid(provider, folder, 100, pool=8)


def test_a_payload_store_that_cannot_grow_stops_the_run_and_it_is_resumed_when_there_is_room(
    tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    folder = lay_out(tmp_path / "run", PAYING.replace("max_workers: 2", "max_workers: 1"))
    mount(folder / "state/payloads", "size=800k")
    said = programs.start(folder, *RUN, **ELSEWHERE).ends_with(75).said
    assert "the disk is full" in said
    assert "Traceback" not in said
    database = folder / "runs/audit.db"
    assert query(database, "SELECT count(*) FROM rows")[0][0] < 400
    mount(folder / "state/payloads", "size=100m")
    programs.start(folder, "resume", run_id(database), **ELSEWHERE).ends_with(0)
    assert check(folder / "pipeline.yaml", database, run_id(database), working_directory=folder) == []
