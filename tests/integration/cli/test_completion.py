"""What a shell offers while a command is typed: runs, plugins, sinks; without writing, waiting or complaining."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.settings.compare import CHANGEABLE
from tests.kit.processes.held import killed_run, make
from tests.kit.processes.running import ELSPETH, elspeth, environment
from tests.kit.processes.waiting import PATIENCE_SECONDS

HEAVY = ("pykka", "rich", "elspeth.roles.audit", "elspeth.coordinator.coordinator", "elspeth.runs.lifecycle.drive")


def offered(folder: Path, typed: str, **variables: str) -> list[str]:
    """What bash is offered for the last word of what was typed; nothing may be said."""
    words = typed.split(" ")
    done = subprocess.run(
        [ELSPETH], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env=environment(
            _ELSPETH_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1), **variables
        ),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")  # holds the readers' marks, and is made by its writer
    }


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with a run that was killed, and one that is complete, later; both ids."""
    folder = tmp_path_factory.mktemp("runs")
    killed = killed_run(make(folder))
    make(folder, name="other")
    (folder / "go").touch()
    done = elspeth("run", "other.yaml", "--execute", cwd=folder)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(f"file:{folder / 'runs' / 'audit.db'}?mode=ro", uri=True)) as connection:
        ((complete,),) = connection.execute("SELECT run_id FROM runs WHERE status = 'completed'").fetchall()
    return folder, killed, complete


@pytest.mark.parametrize("command", ["status", "verify", "export", "graph", "explain --run", "purge --run"])
def test_ids_of_runs_are_offered_latest_first(two_runs: tuple[Path, str, str], command: str) -> None:
    folder, killed, complete = two_runs
    assert offered(folder, f"elspeth {command} ") == ["latest", complete, killed]
    assert offered(folder, f"elspeth {command} {killed[:-1]}") == [killed]


@pytest.mark.parametrize("command", ["resume", "doctor --mark-failed"])
def test_only_what_is_unfinished_is_offered_to_be_resumed_or_given_up(
    two_runs: tuple[Path, str, str], command: str
) -> None:
    folder, killed, _ = two_runs
    assert offered(folder, f"elspeth {command} ") == ["latest", killed]


def test_the_database_that_was_named_is_asked(two_runs: tuple[Path, str, str], tmp_path: Path) -> None:
    folder, _, complete = two_runs
    database = folder / "runs" / "audit.db"
    assert offered(tmp_path, f"elspeth status --database {database} {complete}") == [complete]
    assert offered(tmp_path, f"elspeth status {complete}", ELSPETH_LANDSCAPE__URL=f"sqlite:///{database}") == [complete]


def test_a_completion_writes_nothing(two_runs: tuple[Path, str, str], tmp_path: Path) -> None:
    folder, killed, _ = two_runs
    shutil.copytree(folder, tmp_path / "live")
    killed_run(make(tmp_path / "killed"))
    for place, run in ((tmp_path / "live", killed), (tmp_path / "killed", "latest")):
        before = contents(place), sorted(place.rglob("*"))
        assert run in offered(place, "elspeth status ")
        assert (contents(place), sorted(place.rglob("*"))) == before
    (tmp_path / "killed" / "runs" / "audit.db-shm").unlink()  # SQLite would make it again to read what was last
    before = contents(tmp_path / "killed"), sorted((tmp_path / "killed").rglob("*"))
    assert offered(tmp_path / "killed", "elspeth status ") == []
    assert (contents(tmp_path / "killed"), sorted((tmp_path / "killed").rglob("*"))) == before


@pytest.mark.parametrize("damage", ["nothing there", "no database", "a folder", "another database", "locked"])
def test_where_nothing_can_be_offered_nothing_is_said(tmp_path: Path, damage: str) -> None:
    (tmp_path / "runs").mkdir()
    database = tmp_path / "runs" / "audit.db"
    other = sqlite3.connect(":memory:")
    match damage:
        case "no database":
            database.write_bytes(b"\0not a database" * 1000)
        case "a folder":
            database.mkdir()
        case "another database" | "locked":
            other = sqlite3.connect(database)
            other.execute("CREATE TABLE things (name TEXT)")
            other.commit()
            other.execute("BEGIN EXCLUSIVE" if damage == "locked" else "SELECT 1")
    with closing(other):
        assert offered(tmp_path, "elspeth resume ") == []


def test_names_of_plugins_are_offered(tmp_path: Path) -> None:
    assert {"csv", "batch_stats", "passthrough"} <= set(offered(tmp_path, "elspeth plugins inspect "))
    assert offered(tmp_path, "elspeth plugins inspect field_") == ["field_mapper"]
    assert "batch_stats" not in offered(tmp_path, "elspeth plugins inspect --kind sink ")


def test_sinks_of_the_pipeline_are_offered_where_they_are_set(tmp_path: Path) -> None:
    make(tmp_path, name="pipeline")
    for command in ("run", "validate", "run pipeline.yaml", "run --settings pipeline.yaml"):
        assert offered(tmp_path, f"elspeth {command} --set sinks.o") == ["sinks.output.options."]
        assert offered(tmp_path, f"elspeth {command} --set default_s") == ["default_sink.", "default_sink=output"]
    assert "concurrency." in offered(tmp_path, "elspeth run --set ")


def test_what_a_resume_may_set_is_offered_and_nothing_else(two_runs: tuple[Path, str, str]) -> None:
    folder, killed, _ = two_runs
    assert offered(folder, f"elspeth resume {killed} --set concurrency.") == ["concurrency.max_workers="]
    found = offered(folder, f"elspeth resume {killed} --set ")
    assert {word.partition(".")[0] for word in found} <= set(CHANGEABLE)
    assert {"supervisor.hang_timeout_seconds=", "checkpoint.max_rows=", "retry.max_attempts="} <= set(found)


@pytest.mark.parametrize("text", ["sinks: [", "sinks: 3\n", "a: &a [*a]\n", "[" * 100_000, "sinks: {x: 3}\n", "\x00"])
def test_a_pipeline_that_cannot_be_read_offers_no_sink_and_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "pipeline.yaml").write_text(text)
    assert offered(tmp_path, "elspeth run --set sinks.o") == []


def test_a_completion_imports_nothing_that_drives_a_run(two_runs: tuple[Path, str, str]) -> None:
    script = (
        "import sys\nfrom elspeth.cli import app\n"
        "try:\n    app.cli.main([], prog_name='elspeth', complete_var='_ELSPETH_COMPLETE')\n"
        "except SystemExit:\n    pass\n"
        f"print(sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=two_runs[0], capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env=environment(_ELSPETH_COMPLETE="bash_complete", COMP_WORDS="elspeth status ", COMP_CWORD="2"),
    )  # fmt: skip
    assert "latest" in done.stdout
    assert done.stderr.strip() == "[]"
