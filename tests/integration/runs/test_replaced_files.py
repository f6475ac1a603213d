"""A file that no recorded run wrote is kept before an output takes its place; what a run wrote is overwritten."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes.running import ELSPETH, elspeth, environment

PIPELINE = """
source: {plugin: csv, options: {path: in.csv}, on_validation_failure: discard}
sinks: {out: {plugin: PLUGIN, options: {path: out.FORM}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"EXPORT}
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
LETTER = "what I wrote myself\n" * 200
CRASHES = ("sink.before_copy_named", "sink.after_copy_named", "sink.before_cut", "sink.after_cut")


def lay(folder: Path, plugin: str = "csv", form: str = "csv", export: str = "") -> Path:
    text = PIPELINE.replace("PLUGIN", plugin).replace("FORM", form).replace("EXPORT", export)
    (folder / "pipeline.yaml").write_text(text)
    (folder / "in.csv").write_text("id\n1\n2\n")
    return folder / f"out.{form}"


def run(folder: Path, *words: str, **variables: str) -> Any:
    return elspeth(*(words or RUN), cwd=folder, **variables)


def killed(folder: Path, *words: str, point: str, mark: Path) -> int:
    """Run it until it and all of its children die at this crash point; answers the exit code."""
    variables = environment(CRASH_POINT=f"{point}:1:{mark}", CRASH_GROUP="1")
    process = subprocess.Popen(
        [ELSPETH, *words], cwd=folder, env=variables, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return process.wait(timeout=120)


def kept(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "state" / "cut").glob("*"))]


@pytest.mark.parametrize(("plugin", "form"), [("csv", "csv"), ("json", "jsonl"), ("text", "txt")])
def test_a_file_of_nobody_on_record_is_kept_and_said(tmp_path: Path, plugin: str, form: str) -> None:
    out = lay(tmp_path, plugin, form)
    out.write_text(LETTER)
    out.chmod(0o640)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == [LETTER]
    assert f"out.{form} was there, and no run on record here wrote it" in done.stderr.replace("\n", " ")
    assert (out.read_text(), out.stat().st_mode & 0o777) != (LETTER, 0o600)
    with sqlite3.connect(tmp_path / "audit.db") as database:
        ((detail,),) = database.execute("SELECT detail FROM supervision_events WHERE event = 'cut'").fetchall()
    cut = json.loads(detail)
    assert (cut["replaced"], cut["size_bytes"]) == (True, len(LETTER))
    assert (tmp_path / cut["copy"]).read_text() == LETTER
    assert run(tmp_path, "verify", "latest", "--outputs", "--database", "audit.db").returncode == 0


def test_what_a_recorded_run_wrote_is_overwritten(tmp_path: Path) -> None:
    out = lay(tmp_path)
    for _ in range(3):
        assert run(tmp_path).returncode == 0
        assert out.read_text() == "id\n1\n2\n"
    assert kept(tmp_path) == []


def test_what_a_recorded_run_wrote_and_somebody_changed_is_kept(tmp_path: Path) -> None:
    out = lay(tmp_path)
    assert run(tmp_path).returncode == 0
    out.write_text("id\n1\n3\n")  # of the same size
    assert run(tmp_path).returncode == 0
    assert kept(tmp_path) == ["id\n1\n3\n"]
    with (tmp_path / "out.csv").open("a") as file:
        file.write("a remark\n")
    assert run(tmp_path).returncode == 0
    assert sorted(kept(tmp_path)) == ["id\n1\n2\na remark\n", "id\n1\n3\n"]


def test_what_a_run_in_another_database_wrote_is_kept_and_an_empty_file_is_not(tmp_path: Path) -> None:
    out = lay(tmp_path)
    out.touch()
    assert run(tmp_path).returncode == 0
    assert kept(tmp_path) == []
    (tmp_path / "audit.db").unlink()
    assert run(tmp_path).returncode == 0
    assert kept(tmp_path) == ["id\n1\n2\n"]


def no_byte(folder: Path) -> None:
    (folder / "audit.db").touch()


def no_table(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "audit.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    assert (folder / "audit.db").stat().st_size


def a_death_over_its_creation(folder: Path) -> None:
    mark = folder / "mark"
    assert killed(folder, *RUN, point="audit.after_in_use", mark=mark) == -9
    assert mark.exists()


@pytest.mark.parametrize("left", [no_byte, no_table, a_death_over_its_creation])
@pytest.mark.parametrize("words", [RUN, (*RUN, "--auto-resume"), (*RUN, "--force-new")])
def test_a_database_without_anything_in_it_stands_in_no_runs_way(
    left: Callable[[Path], None], words: tuple[str, ...], tmp_path: Path
) -> None:
    out = lay(tmp_path)
    out.write_text(LETTER)
    left(tmp_path)
    plan = run(tmp_path, "run", "--settings", "pipeline.yaml")
    assert plan.returncode == 0, plan.stderr
    assert "audit.db: is empty and will be filled" in " ".join(plan.stdout.split())
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert (kept(tmp_path), out.read_text()) == ([LETTER], "id\n1\n2\n")


def test_what_a_run_that_was_given_up_had_committed_is_overwritten(tmp_path: Path) -> None:
    out = lay(tmp_path)
    text = (tmp_path / "pipeline.yaml").read_text() + "checkpoint: {frequency: every_n, checkpoint_interval: 40}\n"
    (tmp_path / "pipeline.yaml").write_text(text)
    (tmp_path / "in.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(20_000)))
    done = run(tmp_path, CRASH_POINT=f"main.after_durable:3:{tmp_path / 'mark'}")
    assert done.returncode == -9
    with sqlite3.connect(tmp_path / "audit.db") as database:
        texts = [json.loads(text) for (text,) in database.execute("SELECT message FROM checkpoints")]
    assert any(text["sinks"]["out"]["position"]["size"] for text in texts), "something was committed"
    (tmp_path / "in.csv").write_text("id\n1\n2\n")
    assert run(tmp_path, *RUN, "--force-new").returncode == 0
    assert kept(tmp_path) == []
    assert out.read_text() == "id\n1\n2\n"


@pytest.mark.parametrize("point", CRASHES)
def test_whenever_it_dies_the_file_is_kept_once_and_the_output_is_whole(tmp_path: Path, point: str) -> None:
    out = lay(tmp_path)
    out.write_text(LETTER)
    for number, words in enumerate([RUN, ("resume", "latest", "--database", "audit.db")]):
        mark = tmp_path / f"mark{number}"
        if killed(tmp_path, *words, point=point, mark=mark) == 0:
            break
        assert mark.exists()
        assert LETTER in [out.read_text(), *kept(tmp_path)], "in one of two places at any time"
    done = run(tmp_path, "resume", "latest", "--database", "audit.db")
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == [LETTER]
    assert out.read_text() == "id\n1\n2\n"


def test_a_purge_of_the_run_leaves_the_users_file(tmp_path: Path) -> None:
    lay(tmp_path).write_text(LETTER)
    assert run(tmp_path).returncode == 0
    assert run(tmp_path, "purge", "--run", "latest", "--whole", "--database", "audit.db").returncode == 0
    assert kept(tmp_path) == [LETTER]


def test_an_export_keeps_what_is_no_export(tmp_path: Path) -> None:
    lay(tmp_path, export=", export: {enabled: true, sink: evidence}")
    text = (tmp_path / "pipeline.yaml").read_text()
    sink = "sinks: {evidence: {plugin: json, options: {path: evidence.jsonl}}, "
    (tmp_path / "pipeline.yaml").write_text(text.replace("sinks: {", sink))
    (tmp_path / "evidence.jsonl").write_text(LETTER)
    for _ in range(2):
        done = run(tmp_path)
        assert done.returncode == 0, done.stderr
        assert kept(tmp_path) == [LETTER]
        assert (tmp_path / "evidence.jsonl").read_text() != LETTER
