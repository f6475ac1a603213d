"""An audit database that is damaged, deleted, copied with its folder, or written by two that start at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.kit.fixtures.unpack import unpack
from tests.kit.processes.running import begin, elspeth, environment, pausing, tree, wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[Path, subprocess.Popen[str], str]:
    """A run that waits at row 5; the folder, the process, and what must come out."""
    folder = tmp_path / "waiting"
    folder.mkdir()
    expected = pausing(folder, 50)
    process = begin(*RUN, "--json", cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    return folder, process, expected


def runs(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "runs/audit.db")) as connection:
        return connection.execute("SELECT run_id, status FROM runs ORDER BY run_id").fetchall()


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
def test_a_run_whose_database_goes_does_not_complete(
    waiting: tuple[Path, subprocess.Popen[str], str], what: str
) -> None:
    folder, process, expected = waiting
    database = folder / "runs/audit.db"
    if what == "deleted":
        database.unlink()
    elif what == "moved":
        (folder / "runs").rename(folder / "elsewhere")
    else:
        shutil.copy(database, folder / "copy.db")
        (folder / "copy.db").rename(database)
    (folder / "go").touch()
    printed, said = process.communicate()
    assert process.returncode == 75, said
    assert "while it was written to" in said
    assert json.loads(printed)["status"] != "completed"
    if what == "moved":
        (folder / "elsewhere").rename(folder / "runs")
        done = elspeth("resume", "latest", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert (folder / "output/out.csv").read_text() == expected


def damage(database: Path) -> None:
    """Zeros in place of a page that holds records: most of the database can still be read."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'token_outcomes'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "latest", "--working-directory", "."),
        ("doctor", "--patience", "0"),
        (*RUN, "--force-new"),
        (*RUN, "--auto-resume"),
        RUN,
        ("status", "latest"),
        ("verify", "latest"),
        ("report", "latest", "-o", "run.html"),
    ],
    ids=" ".join,
)
def test_a_damaged_database_is_named_and_nothing_is_added_to_it(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "damaged")
    damage(folder / "runs/audit.db")
    before = tree(folder)
    done = elspeth(*words, cwd=folder)
    printed = done.stdout + done.stderr
    assert done.returncode not in (0, 2), printed
    assert "damaged" in printed
    assert "Traceback" not in printed
    assert "bug in Elspeth" not in printed
    assert tree(folder) == before


def test_a_copied_folder_is_not_resumed_on_the_files_of_the_original(
    waiting: tuple[Path, subprocess.Popen[str], str], tmp_path: Path
) -> None:
    folder, process, expected = waiting
    process.kill()
    process.communicate()
    (folder / "go").touch()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = tree(folder / "output"), tree(copy / "output")
    for place, more in ((copy, ()), (tmp_path, ("--database", "copy/runs/audit.db"))):
        refused = elspeth("resume", "latest", *more, cwd=place)
        assert refused.returncode == 2, refused.stderr
        assert f"--database {copy}/runs/audit.db --working-directory {copy}" in refused.stderr
        assert f"--database {folder}/runs/audit.db" in refused.stderr
    assert (tree(folder / "output"), tree(copy / "output")) == before
    looked = elspeth("doctor", "--patience", "0", cwd=copy)
    assert looked.returncode == 1
    assert "is in a copy of that folder" in looked.stdout
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "output/out.csv").read_text() == expected


SECOND = """
import sys
from pathlib import Path
from elspeth.errors import ElspethError
from elspeth.runs.lifecycle import start
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.runs.lifecycle.start_policy import choose

chosen = choose(load_pipeline(Path("pipeline.yaml")))
Path("chosen").touch()
sys.stdin.readline()
ended = start.execute(chosen)
print(type(ended.error).__name__, ended.error)
"""


def test_of_two_starts_at_once_the_second_leaves_no_run_and_touches_no_output(tmp_path: Path) -> None:
    expected = pausing(tmp_path, 50)
    second = subprocess.Popen(
        [sys.executable, "-c", SECOND], cwd=tmp_path, env=environment(), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until(lambda: (tmp_path / "chosen").exists(), second)
    first = begin(*RUN, cwd=tmp_path)
    wait_until(lambda: (tmp_path / "reached").exists(), first)
    printed, said = second.communicate("go\n")
    assert printed.startswith("RunInProgress Run already in progress"), said
    (tmp_path / "go").touch()
    _, said = first.communicate()
    assert first.returncode == 0, said
    assert [status for _, status in runs(tmp_path)] == ["completed"]
    assert (tmp_path / "output/out.csv").read_text() == expected


def append(source: Path) -> None:
    source.write_text(source.read_text() + "9001,Zed,2500,new\n")


def edit(source: Path) -> None:
    text = source.read_text()
    source.write_text(text.replace("1", "2", 1) if text.count("1") else text[:-2] + "x\n")


def replace(source: Path) -> None:
    text = source.read_text()
    source.rename(source.with_suffix(".old"))
    source.write_text(text.rstrip("\n"))


@pytest.mark.parametrize("change", [append, edit, replace], ids=lambda change: change.__name__)
def test_auto_resume_of_a_completed_run_starts_anew_when_the_source_has_changed(change, tmp_path: Path) -> None:
    pausing(tmp_path, 8)
    (tmp_path / "go").touch()
    assert elspeth(*RUN, "--auto-resume", cwd=tmp_path).returncode == 0
    again = elspeth(*RUN, "--auto-resume", cwd=tmp_path)
    assert "Nothing was done." in again.stdout
    assert len(runs(tmp_path)) == 1
    change(tmp_path / "input.csv")
    done = elspeth(*RUN, "--auto-resume", cwd=tmp_path)
    assert "Nothing was done." not in done.stdout
    assert done.returncode == 0, done.stderr
    assert [status for _, status in runs(tmp_path)] == ["completed", "completed"]


FEED = """
from elspeth.plugins.contract import Source

class Feed(Source):
    '''Three rows out of nowhere: nothing tells whether it has more today.'''

    name = "feed"

    def read(self, cursor):
        for row in range(cursor or 0, 3):
            yield {"id": row}, row + 1
"""
FED = """
plugins: [./feed.py]
source: {plugin: feed}
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
landscape: {url: "sqlite:///./runs/audit.db"}
"""


def test_auto_resume_starts_anew_where_a_source_cannot_prove_that_it_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "feed.py").write_text(FEED)
    (tmp_path / "pipeline.yaml").write_text(FED)
    for _ in range(2):
        done = elspeth(*RUN, "--auto-resume", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Nothing was done." not in done.stdout
    assert [status for _, status in runs(tmp_path)] == ["completed", "completed"]


def test_auto_resume_knows_a_run_whose_settings_were_stored_without_defaults(tmp_path: Path) -> None:
    folder = unpack("completed", tmp_path / "completed")
    with closing(sqlite3.connect(folder / "runs/audit.db")) as connection, connection:
        connection.execute("UPDATE runs SET working_directory = ?", (str(folder),))
        connection.execute("UPDATE artifacts SET path = replace(path, '/srv/pipeline/completed', ?)", (str(folder),))
    done = elspeth(*RUN, "--auto-resume", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Nothing was done." in done.stdout or "completed at" in done.stdout
    assert len(runs(folder)) == 1


def test_a_run_that_is_refused_its_outputs_is_closed_and_stands_in_nobody_s_way(
    waiting: tuple[Path, subprocess.Popen[str], str],
) -> None:
    folder, process, expected = waiting
    other = ("--set", "landscape.url=sqlite:///other/audit.db")
    refused = elspeth(*RUN, *other, cwd=folder)
    assert refused.returncode == 3, refused.stderr
    assert "another process is writing" in refused.stderr
    assert "elspeth resume" not in refused.stderr.partition("another process is writing")[2]
    (folder / "go").touch()
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert (folder / "output/out.csv").read_text() == expected
    told = json.loads(elspeth("runs", "--database", "other/audit.db", "--json", cwd=folder).stdout)
    assert [(run["status"], run["resumable"]) for run in told["runs"]] == [("failed", False)]
    resumed = elspeth("resume", "latest", "--database", "other/audit.db", cwd=folder)
    assert resumed.returncode == 1
    assert "was marked failed" in resumed.stderr
    assert (folder / "output/out.csv").read_text() == expected
    again = elspeth(*RUN, *other, cwd=folder)
    assert again.returncode == 0, again.stderr


def child_of(process: subprocess.Popen[str], name: str) -> int:
    """The pid of a child of this run by its name."""
    children = psutil.Process(process.pid).children(recursive=True)
    (found,) = [child.pid for child in children if " ".join(child.cmdline()).split()[-1:] == [name]]
    return found


def nothing(folder: Path) -> None:
    shutil.rmtree(folder / "runs")


def moved(folder: Path) -> None:
    (folder / "runs").rename(folder / "elsewhere")


def moved_alone(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    for path in (folder / "runs").glob("audit.db*"):
        path.rename(folder / "elsewhere" / path.name)


def an_empty_file(folder: Path) -> None:
    moved_alone(folder)
    (folder / "runs/audit.db").touch()


def a_database_of_other_runs(folder: Path) -> None:
    moved_alone(folder)
    kept = unpack("completed", folder / "kept")
    (kept / "runs/audit.db").rename(folder / "runs/audit.db")


def without_marks(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, but for the marks of rows in hand: a worker sets them until it is told to stop."""
    return {name: data for name, data in tree(folder).items() if not name.endswith(".row")}


@pytest.mark.parametrize("resumed", [False, True], ids=["run", "resume"])
@pytest.mark.parametrize(
    "place", [nothing, moved, moved_alone, an_empty_file, a_database_of_other_runs], ids=lambda place: place.__name__
)
def test_an_audit_process_that_comes_back_to_an_empty_place_ends_the_run_and_writes_nothing_there(
    place: Callable[[Path], None], resumed: bool, waiting: tuple[Path, subprocess.Popen[str], str]
) -> None:
    folder, process, expected = waiting

    if resumed:
        process.kill()
        process.communicate()
        (folder / "reached").unlink()
        process = begin("resume", "latest", "--json", cwd=folder)
        wait_until(lambda: (folder / "reached").exists(), process)
    pid = child_of(process, "audit")
    os.kill(pid, signal.SIGSTOP)  # it writes nothing while the place is changed
    place(folder)
    before = without_marks(folder / "runs")
    os.kill(pid, signal.SIGKILL)
    (folder / "go").touch()
    printed, said = process.communicate()
    assert process.returncode == 75, said
    assert "Error: the audit database" in said  # gone, or just going when the sinks asked who owns the run
    assert json.loads(printed)["status"] != "completed"
    assert without_marks(folder / "runs") == before
    if place is moved:
        (folder / "elsewhere").rename(folder / "runs")
        done = elspeth("resume", "latest", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert (folder / "output/out.csv").read_text() == expected
