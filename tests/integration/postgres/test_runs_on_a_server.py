"""Runs whose audit database is on a PostgreSQL server: killed, taken over, resumed, and asked about."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import elspeth
from elspeth.audit.store.place import place_of
from elspeth.runs.lifecycle import resume
from elspeth.runs.views.ui.looks import RUNS, Looker
from tests.kit.pipelines.trial import lay, settings
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import OnServer
from tests.kit.processes.tree import COMMAND, Tree, descendants_of, outputs, state_of
from tests.kit.processes.waiting import wait_until

ROWS, SHORT = 300, 60


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    """The outputs with a file for a database."""
    return outputs_of(ROWS)


@pytest.fixture(scope="module")
def short(outputs_of: OutputsOf) -> dict[str, str]:
    """The same, for a short input."""
    return outputs_of(SHORT)


@pytest.fixture
def here(postgres: Database, tmp_path: Path) -> OnServer:
    slow = settings(delay=0.01, watchdog_seconds=100, max_restarts=0, poison_attempts=1000)
    return OnServer(postgres, lay(tmp_path / "run", ROWS, slow))


def killed(run: OnServer) -> str:
    """A run whose main process was killed after some commits; its id."""
    with run.run() as tree:
        wait_until(lambda: not tree.running or run.committed() > 20, "rows were committed")
        assert tree.running, tree.log
        children = tree.children()
        tree.strike("main")
        tree.wait()
        wait_until(lambda: not any(state_of(pid) not in ("", "Z") for pid in children.values()), "its children ended")
    return run.latest()[0]


def test_a_run_writes_what_it_writes_with_a_file(here: OnServer, undisturbed: dict[str, str]) -> None:
    with here.run() as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed
    run_id = here.latest()[0]
    assert here.latest()[1:] == ("completed", 1)
    here.elspeth("verify", run_id, "--outputs")
    assert not list((here.folder / "state" / "locks").rglob("*.lock"))
    assert not list(here.folder.rglob("*.db"))


def test_a_killed_run_is_found_and_finished(here: OnServer, undisturbed: dict[str, str]) -> None:
    run_id = killed(here)
    assert here.latest() == (run_id, "running", 1)
    report = here.json("doctor", code=1)
    (found,) = report["runs"]
    assert (found["state"], found["next_command"]) == ("orphaned", f"elspeth resume {run_id}")
    assert found["evidence"].startswith("lock free and pid")
    assert [finding for finding in found["findings"] if finding["level"] == "wrong"] == []
    here.elspeth("run", "--settings", "pipeline.yaml", "--execute", code=3)
    with here.resume() as tree:
        assert tree.wait() == 0, tree.log
    assert here.latest() == (run_id, "completed", 2)
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", run_id, "--outputs")
    here.elspeth("doctor")


@pytest.mark.parametrize(
    "point",
    ["main.lock_taken", "main.after_lock", "audit.in_start", "audit.after_begin", "audit.in_transaction",
     "audit.after_commit", "main.before_shutdown", "main.lock_discarded"],
)  # fmt: skip
def test_whatever_dies_the_same_command_finishes_it(
    postgres: Database, tmp_path: Path, short: dict[str, str], point: str
) -> None:
    """All of its processes die there, in the first attempt and in the next one."""
    here = OnServer(postgres, lay(tmp_path / "run", SHORT, settings(poison_attempts=1000)))
    ends = []
    for attempt in range(4):
        here.environ |= {"CRASH_POINT": f"{point}:1:{tmp_path / f'mark{min(attempt, 1)}'}", "CRASH_GROUP": "1"}
        words = ("run", "--settings", "pipeline.yaml", "--execute", "--auto-resume")
        with Tree(here.folder, *words, environ=here.environ, before=os.setsid) as tree:
            ends.append(tree.wait())
        if ends[-1] == 0:
            break
    assert (ends[0], ends[-1]) == (-signal.SIGKILL, 0), tree.log
    assert outputs(here.folder) == short
    assert here.database.ask("SELECT DISTINCT status FROM runs") == [("completed",)]
    here.elspeth("verify", here.latest()[0], "--outputs")


def test_a_killed_run_is_finished_in_another_folder(
    here: OnServer, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine that has inputs and outputs, and nothing of the state folder."""
    monkeypatch.chdir(here.folder)
    place = place_of(here.database.url)
    run_id = killed(here)
    assert not resume.prepare(place, run_id, resume.ResumeOptions()).calls_elsewhere
    moved = tmp_path / "elsewhere"
    shutil.copytree(here.folder, moved, ignore=shutil.ignore_patterns("state"))
    shutil.rmtree(here.folder)
    there = OnServer(here.database, moved)
    there.elspeth("resume", run_id, code=1)
    # What it may have asked of services is in a journal that is not here.
    assert resume.prepare(place, run_id, resume.ResumeOptions(working_directory=moved)).calls_elsewhere
    with there.resume("--working-directory", str(moved)) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(moved) == undisturbed
    there.elspeth("verify", run_id)


def test_of_two_resumes_at_once_one_wins(here: OnServer, undisturbed: dict[str, str]) -> None:
    run_id = killed(here)
    for pair in range(3):
        with here.resume() as one, here.resume() as other:
            wait_until(lambda one=one, other=other: not (one.running and other.running), "one was refused")
            loser, winner = (one, other) if not one.running else (other, one)
            assert loser.wait() == 3, loser.log
            assert "Run already in progress" in loser.log
            wait_until(lambda pair=pair: here.latest()[2] == pair + 2, "the other has begun")
            winner.strike("main")
            assert winner.wait() == -signal.SIGKILL, winner.log
    with here.resume() as last:
        assert last.wait() == 0, last.log
    assert here.latest() == (run_id, "completed", 5)
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", run_id, "--outputs")


@pytest.mark.parametrize("woken", ["when the other has finished", "while the other is at work"])
def test_a_stopped_tree_that_wakes_after_a_take_over_changes_nothing(
    here: OnServer, undisturbed: dict[str, str], woken: str
) -> None:
    with here.run() as old:
        wait_until(lambda: not old.running or here.committed() > 20, "rows were committed")
        stopped = [old.pid, *old.children().values()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in stopped), "all of it stands still")
        run_id = here.latest()[0]
        with here.resume() as plain:
            assert plain.wait() == 3, plain.log
        assert f"pid {old.pid} is stopped" in plain.log
        with here.resume("--take-over") as new:
            if woken == "while the other is at work":
                wait_until(lambda: here.latest()[2] == 2 and here.committed() > 60, "the other is at work")
                os.kill(old.pid, signal.SIGCONT)
                assert old.wait() == 9, old.log
            assert new.wait() == 0, new.log
        if woken == "when the other has finished":
            before = here.database.ask("SELECT * FROM commits ORDER BY 1, 2"), outputs(here.folder)
            os.kill(old.pid, signal.SIGCONT)
            assert old.wait() == 9, old.log
            assert (here.database.ask("SELECT * FROM commits ORDER BY 1, 2"), outputs(here.folder)) == before
        assert "was taken over by attempt 2" in old.log
        assert not old.survivors()
    assert here.latest() == (run_id, "completed", 2)
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", run_id, "--outputs")


def test_standard_input_is_kept_until_the_run_is_complete(here: OnServer, undisturbed: dict[str, str]) -> None:
    rows = (here.folder / "input.csv").read_bytes()
    settings_file = here.folder / "pipeline.yaml"
    settings_file.write_text(settings_file.read_text().replace("path: input.csv", "path: '-'"))
    words = [COMMAND, "run", "--settings", "pipeline.yaml", "--execute"]
    environ = {**os.environ, **here.environ}
    with subprocess.Popen(words, cwd=here.folder, env=environ, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdin is not None
        run.stdin.write(rows)
        run.stdin.close()
        wait_until(lambda: run.poll() is not None or here.committed() > 20, "rows were committed")
        children = descendants_of(run.pid)
        run.kill()
    wait_until(lambda: not any(state_of(pid) not in ("", "Z") for pid in children), "its children ended")
    kept = here.folder / "state" / "stdin" / here.latest()[0]
    assert kept.read_bytes() == rows
    stranger = kept.with_name("mf3k2a9x")
    stranger.write_bytes(b"of a run of another database")
    with here.resume() as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed
    assert not kept.exists()
    assert stranger.exists()


def test_a_run_that_is_given_up_makes_room_for_another(here: OnServer, undisturbed: dict[str, str]) -> None:
    run_id = killed(here)
    with here.run("--force-new") as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed
    found = here.database.ask("SELECT status, superseded_by FROM runs WHERE run_id = %s", run_id)
    assert found == [("failed", here.latest()[0])]
    assert not list((here.folder / "state" / "locks").rglob("*.lock"))


def test_several_runs_share_a_database(here: OnServer, undisturbed: dict[str, str], tmp_path: Path) -> None:
    value = settings(delay=0.005, workers=1)
    runs = [OnServer(here.database, lay(tmp_path / f"run{number}", ROWS, value)) for number in range(3)]
    trees = [run.run() for run in runs]
    try:
        for tree in trees:
            assert tree.wait() == 0, tree.log
    finally:
        for tree in trees:
            tree.__exit__()
    assert all(outputs(run.folder) == undisturbed for run in runs)
    assert here.database.ask("SELECT count(*) FROM runs WHERE status = 'completed'") == [(3,)]
    for (run_id,) in here.database.ask("SELECT run_id FROM runs"):
        here.elspeth("verify", str(run_id))


def test_a_server_that_is_started_again_is_waited_for_or_the_run_can_be_resumed(
    here: OnServer, undisturbed: dict[str, str]
) -> None:
    with here.run() as tree:
        wait_until(lambda: not tree.running or here.committed() > 20, "rows were committed")
        here.database.server.restart("immediate")
        code = tree.wait()
    assert code in (0, 75), tree.log
    if code == 75:
        assert "elspeth resume" in tree.log
        with here.resume() as tree:
            assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", here.latest()[0], "--outputs")


def test_a_server_that_stays_away_ends_the_run_with_75_and_it_can_be_resumed(
    here: OnServer, undisturbed: dict[str, str]
) -> None:
    with here.run() as tree:
        wait_until(lambda: not tree.running or here.committed() > 20, "rows were committed")
        here.database.server.stop()
        assert tree.wait() == 75, tree.log
        assert here.database.role + "-secret" not in tree.log
    gone = here.elspeth("status", "latest", code=75)
    assert "is not reachable" in gone.stderr
    here.elspeth("doctor", code=1)
    here.database.server.start()
    with here.resume() as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed


def test_python_and_the_page_are_answered(here: OnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.folder)
    done = elspeth.run("pipeline.yaml", database=here.database.url, set={"transforms.0.options.delay": 0})
    assert elspeth.resume("latest", database=here.database.url).already
    (run,) = elspeth.open(here.database.url).runs()
    assert (run.run_id, len(list(run.rows()))) == (done.run_id, ROWS)
    secret = f"{here.database.role}-secret"
    assert secret not in repr(run) + repr(elspeth.open(here.database.url))
    looker = Looker(place_of(here.database.url))
    assert done.run_id.encode() in looker.look(RUNS, None, patient=False).message
    seen = looker.look("latest", None, patient=False)
    assert looker.look("latest", seen, patient=False) is seen
    assert secret.encode() not in seen.message


@pytest.mark.parametrize(
    ("change", "code"), [("port", 75), ("host", 75), ("password", 2), ("database", 2), ("role", 2)]
)  # fmt: skip
@pytest.mark.parametrize("words", [("run", "--settings", "pipeline.yaml", "--execute"), ("runs",), ("health",)])
def test_a_wrong_address_is_said_in_a_sentence(here: OnServer, words: tuple[str, ...], change: str, code: int) -> None:
    database, url = here.database, here.database.url
    wrong = {
        "port": url.replace(f":{database.server.port}/", ":1/"),
        "host": url.replace("@127.0.0.1:", "@nowhere.invalid:"),
        "password": url.replace("-secret@", "-guess@"),
        "database": url.replace(f"/{database.name}?", "/nothing?"),
        "role": url.replace(f"//{database.role}:", "//nobody:"),
    }[change]
    assert wrong != url
    here.environ["ELSPETH_LANDSCAPE__URL"] = wrong
    said = here.elspeth(*words, code=1 if words == ("health",) else code)
    text = said.stdout + said.stderr
    assert "postgresql://" in text
    assert "-secret" not in text
    assert "-guess" not in text
    assert "Traceback" not in text
    assert not (here.folder / "output").exists()


def test_commands_answer_about_a_run_on_a_server(here: OnServer, tmp_path: Path) -> None:
    with here.run() as tree:
        assert tree.wait() == 0, tree.log
    run_id = here.latest()[0]
    assert [run["run_id"] for run in here.json("runs")["runs"]] == [run_id]
    assert here.json("status", run_id)["balance"]["open"] == 0
    assert here.json("explain", "--run", run_id, "--row", "7")["row"]
    here.elspeth("health")
    here.elspeth("graph", run_id)
    here.elspeth("report", run_id, "-o", str(tmp_path / "report.html"))
    here.elspeth("export", run_id, "-o", str(tmp_path / "evidence"))
    here.elspeth("verify", str(tmp_path / "evidence"))
    here.elspeth("replay", run_id)
    already = here.elspeth("run", "--settings", "pipeline.yaml", "--execute", "--auto-resume")
    assert "was completed" in already.stdout + already.stderr
    purged = here.json("purge", "--run", run_id, "--reason", "a test")
    assert purged["runs"][0]["rows"] == ROWS
    assert here.json("explain", "--run", run_id, "--row", "7")["row"]
    here.elspeth("verify", run_id)
    here.elspeth("purge", "--run", run_id, "--whole")
    here.elspeth("verify", run_id)
