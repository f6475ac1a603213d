from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.processes.running import begin, elspeth, pausing, tree, wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")


@pytest.fixture
def completed(threshold: Path) -> str:
    done = elspeth(*RUN, cwd=threshold)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(threshold / "runs/audit.db")) as db:
        (run_id,) = db.execute("SELECT run_id FROM runs").fetchone()
    return str(run_id)


def test_a_complete_run_is_left_alone(threshold: Path, completed: str) -> None:
    before = tree(threshold)
    for reference in (completed, completed[:6], "latest"):
        done = elspeth("resume", reference, cwd=threshold)
        assert done.returncode == 0, done.stderr
        assert f"Run {completed} was completed at " in done.stdout
        assert "Nothing was done." in done.stdout
        # Whoever killed a run and means that one is not told of an earlier one without a word.
        assert ("A run that was stopped later had not begun" in done.stderr) == (reference == "latest")
    assert tree(threshold) == before


def test_a_complete_run_is_told_to_programs_with_its_counts(threshold: Path, completed: str) -> None:
    told = json.loads(elspeth("resume", completed, "--json", cwd=threshold).stdout)
    assert (told["status"], told["run_id"], told["rows"], told["exit_code"]) == ("completed", completed, 8, 0)
    assert told["outcomes"] == {"completed": 4, "routed": 3, "quarantined": 1}


def test_an_unknown_run_is_exit_4_with_the_runs_that_exist(threshold: Path, completed: str) -> None:
    done = elspeth("resume", "zzzzzzzz", cwd=threshold)
    assert done.returncode == 4
    assert "Run not found" in done.stderr
    assert completed in done.stderr


def test_a_wrong_database_never_creates_a_file(threshold: Path) -> None:
    before = tree(threshold)
    done = elspeth("resume", "latest", "--database", "nowhere/audit.db", cwd=threshold)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert tree(threshold) == before


def test_without_a_database_it_says_where_it_looked(tmp_path: Path) -> None:
    done = elspeth("resume", "latest", cwd=tmp_path)
    assert done.returncode == 1
    assert "runs/audit.db does not exist" in done.stderr
    assert "state/audit.db does not exist" in done.stderr


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, str]:
    """A run that was killed when its first rows were durable; the folder, and what must come out."""
    folder = tmp_path / "killed"
    folder.mkdir()
    expected = pausing(folder, 50)
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists() and _durable(folder) > 0, process)
    process.kill()
    process.communicate()
    (folder / "go").touch()
    return folder, expected


def _durable(folder: Path) -> int:
    connection = sqlite3.connect(f"file:{folder}/runs/audit.db?mode=ro", uri=True)
    try:
        (rows,) = connection.execute("SELECT count(*) FROM rows").fetchone()
        return int(rows)
    finally:
        connection.close()


def test_resume_finishes_a_killed_run_with_what_may_be_set_anew(killed: tuple[Path, str]) -> None:
    folder, expected = killed
    done = elspeth("resume", "latest", "--set", "concurrency.max_workers=2", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["attempt"], told["rows"]) == ("completed", 2, 50)
    assert (folder / "output/out.csv").read_text() == expected


def _change_settings(folder: Path) -> None:
    settings = folder / "pipeline.yaml"
    settings.write_text(settings.read_text().replace("output/out.csv", "output/other.csv"))


def _change_source(folder: Path) -> None:
    source = folder / "input.csv"
    source.write_text(source.read_text().replace("0\n", "7\n", 1))


def _shorten_output(folder: Path) -> None:
    (folder / "output/out.csv").write_text("")


@pytest.mark.parametrize(
    ("change", "more", "code", "words"),
    [
        (_change_settings, ("--settings", "pipeline.yaml"), 6, "Configuration mismatch"),
        (_change_source, (), 7, "input.csv"),
        (_shorten_output, (), 8, "out.csv"),
        (lambda folder: None, ("--set", "sinks.out.options.path=x.csv"), 2, "cannot be set on a run that was started"),
    ],
)
def test_a_resume_that_could_not_be_right_is_refused_and_nothing_is_written(
    killed: tuple[Path, str], change: Callable[[Path], None], more: tuple[str, ...], code: int, words: str
) -> None:
    folder, _ = killed
    change(folder)
    elspeth("graph", "latest", cwd=folder)  # whoever reads first tidies up what the killed writer left beside the file
    before = tree(folder)
    done = elspeth("resume", "latest", "--json", *more, cwd=folder)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "internal error" not in done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["exit_code"]) == ("refused", code)
    assert {name: data for name, data in tree(folder).items() if "audit.db-" not in name} == {
        name: data for name, data in before.items() if "audit.db-" not in name
    }


def test_problems_of_the_file_to_compare_with_end_in_the_command_that_checks_it(killed: tuple[Path, str]) -> None:
    folder, _ = killed
    (folder / "bad.yaml").write_text("sauce: {}\n")
    done = elspeth("resume", "latest", "--settings", "bad.yaml", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.endswith(f"elspeth validate --settings {folder}/bad.yaml\n")


def test_a_run_whose_folder_was_moved_is_resumed_where_it_is_now(killed: tuple[Path, str], tmp_path: Path) -> None:
    folder, expected = killed
    moved = folder.rename(tmp_path / "moved")
    refused = elspeth("resume", "latest", cwd=moved)
    assert refused.returncode == 1
    assert "--working-directory DIR" in refused.stderr
    done = elspeth("resume", "latest", "--working-directory", ".", cwd=moved)
    assert done.returncode == 0, done.stderr
    assert (moved / "output/out.csv").read_text() == expected


def test_copies_that_a_complete_run_misses_are_made_from_the_folder_that_is_named(threshold: Path) -> None:
    with (threshold / "pipeline.yaml").open("a") as settings:
        settings.write("landscape: {dump_to_jsonl: true, dump_to_jsonl_path: copies/journal.jsonl}\n")
    assert elspeth(*RUN, cwd=threshold).returncode == 0
    journal = (threshold / "copies/journal.jsonl").read_bytes()
    (threshold / "copies/journal.jsonl").unlink()
    moved = threshold.rename(threshold.with_name("moved"))
    refused = elspeth("resume", "latest", cwd=moved)
    assert "--working-directory DIR" in refused.stderr
    done = elspeth("resume", "latest", "--working-directory", ".", cwd=moved)
    assert done.returncode == 0, done.stderr
    assert (moved / "copies/journal.jsonl").read_bytes() == journal


def test_a_checkpoint_of_a_newer_elspeth_is_exit_13_and_nothing_is_touched(threshold: Path, completed: str) -> None:
    with closing(sqlite3.connect(threshold / "runs/audit.db")) as db, db:
        db.execute("UPDATE runs SET status = 'interrupted', completed_at = NULL")
        db.execute("UPDATE checkpoints SET message = replace(message, '\"version\":3', '\"version\":4')")
    before = tree(threshold)
    for words in (["resume", completed], [*RUN, "--auto-resume"], ["status", completed]):
        done = elspeth(*words, cwd=threshold)
        assert done.returncode == 13, (words, done.stderr)
        assert "is of version 4: this Elspeth reads up to version 3" in done.stderr
        assert "continue the run with the Elspeth that wrote it" in done.stderr
    found = elspeth("doctor", "--json", cwd=threshold)
    (run,) = json.loads(found.stdout)["runs"]
    assert (found.returncode, run["checkpoint"]["rows"]) == (1, None)
    assert ["is of version 4" in finding["message"] for finding in run["findings"] if finding["level"] == "wrong"] == [
        True
    ]
    assert tree(threshold) == before
