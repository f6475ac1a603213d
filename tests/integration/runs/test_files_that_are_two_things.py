"""No output, and no journal, is written over a file that is something else, whatever it is called there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from elspeth.plugins import registry
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from tests.kit.processes.running import begin, elspeth, tree, wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")

PLUGIN = """\
import time
from pathlib import Path
from typing import Any
from elspeth.plugins.contract import Transform


class Listed(Transform):
    name = "listed"

    def reference_files(self):
        return (Path("words.txt"),)

    def process(self, row, ctx):
        if row["id"] == int(Path("wait").read_text() if Path("wait").exists() else 0):
            Path("reached").touch()
            while Path("wait").exists():
                time.sleep(0.02)
        return row
"""

PIPELINE = """\
plugins: [listed.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
transforms:
  - {name: listed, plugin: listed}
sinks:
  out: {plugin: text, options: {path: "OUTPUT", column: id}}
default_sink: out
landscape: {JOURNAL}
"""


def lay_out(folder: Path, output: str = "output/out.txt", journal: str = "") -> Path:
    (folder / "listed.py").write_text(PLUGIN)
    (folder / "words.txt").write_text("a\nb\n")
    (folder / "input.csv").write_text("id\n1\n2\n3\n")
    (folder / ".env").write_text("WORD=x\n")
    landscape = f"dump_to_jsonl: true, dump_to_jsonl_path: '{journal}'" if journal else ""
    text = PIPELINE.replace("OUTPUT", output).replace("JOURNAL", landscape)
    (folder / "pipeline.yaml").write_text(text.replace("column: id", "column: id, collision_policy: overwrite"))
    return folder


def problems(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    try:
        with registry.apart():
            load_pipeline(Path("pipeline.yaml"), environ={}, dotenv=False)
    except SettingsProblems as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("runs/audit.db", "the audit database"),
        ("runs/../runs/audit.db-wal", "the audit database's wal file"),
        ("runs/audit.db-journal", "the audit database's journal file"),
        ("pipeline.yaml", "the settings file"),
        (".env", "the file of variables"),
        ("listed.py", "the plugin file listed.py"),
        ("words.txt", "the reference file words.txt"),
        ("input.csv", "source"),
    ],
)
@pytest.mark.parametrize("how", ["name", "symbolic link", "hard link"])
def test_an_output_that_is_something_else_is_a_problem_of_the_settings(
    output: str, what: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path, output if how == "name" else "alias")
    if how == "symbolic link":
        (folder / "alias").symlink_to(output)
    elif how == "hard link":
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
        (folder / output).touch()
        os.link(folder / output, folder / "alias")
    found = problems(folder, monkeypatch)
    assert len(found) == 1, found
    assert what in found[0]
    assert "sinks.out.options.path" in found[0]


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("runs/locks/mf3k2a9x.1.lock", "out lies in the folder of locks"),
        ("state/payloads/ab/abcd", "out lies in the payload store"),
        ("state/cut/out.csv-0", "out lies in the folder of cut tails"),
        ("state/exports/mf3k2a9x.json", "out lies in the folder of notes on exports"),
    ],
)
@pytest.mark.parametrize("link", [False, True])
def test_an_output_in_a_folder_of_elspeth_s_own_is_a_problem_of_the_settings(
    output: str, what: str, link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path, f"alias/{Path(output).name}" if link else output)
    if link:
        (folder / "alias").symlink_to(Path(output).parent)
    found = problems(folder, monkeypatch)
    assert len(found) == 1, found
    assert what in found[0]


@pytest.mark.parametrize(
    ("journal", "what"),
    [
        ("input.csv", "source"),
        ("output/out.txt", "out"),
        ("runs/audit.db", "the audit database"),
        ("pipeline.yaml", "the settings file"),
        ("listed.py", "the plugin file"),
        ("words.txt", "the reference file"),
        ("notes.txt", "holds something else"),
        ("state", "is not a file"),
        ("runs/locks/x.jsonl", "lies in the folder of locks"),
    ],
)
def test_a_journal_that_is_something_else_is_a_problem_of_the_settings(
    journal: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path, journal=journal)
    (folder / "notes.txt").write_text("what I must not forget\n")
    (folder / "state").mkdir()
    found = problems(folder, monkeypatch)
    assert len(found) == 1, found
    assert what in found[0]
    assert "landscape.dump_to_jsonl_path" in found[0] or "sinks.out" in found[0]


def test_what_is_refused_by_the_command_is_as_it_was(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "words.txt", "input.csv")
    before = tree(folder)
    for words in (RUN, (*RUN, "--force-new"), ("validate", "--settings", "pipeline.yaml")):
        done = elspeth(*words, cwd=folder)
        assert done.returncode == 2, done.stderr
        assert "use the same file" in done.stdout + done.stderr
    assert tree(folder) == before


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run that was killed while it waited, with a journal."""
    folder = lay_out(tmp_path, journal="journal.jsonl")
    (folder / "wait").write_text("2")
    process: subprocess.Popen[str] = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    process.kill()
    process.communicate()
    (folder / "wait").unlink()
    return folder


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_that_is_laid_during_a_run_is_not_followed_by_a_sink_that_starts_again(link, tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    (folder / "wait").write_text("1")
    process = begin(*RUN, cwd=folder)
    output = folder / "output/out.txt"
    wait_until(lambda: (folder / "reached").exists() and output.exists(), process)
    output.unlink()
    link(folder / "words.txt", output)
    (sinks,) = [
        child for child in psutil.Process(process.pid).children(recursive=True) if child.cmdline()[0].endswith(" sinks")
    ]
    sinks.kill()
    _, said = process.communicate()
    assert process.returncode == 2, said
    assert "is the reference file words.txt, so nothing is written to it" in said
    assert (folder / "words.txt").read_text() == "a\nb\n"


def test_a_journal_in_whose_place_something_else_lies_now_is_left_as_it_is(killed: Path) -> None:
    journal = killed / "journal.jsonl"
    assert all(json.loads(line)["table"] for line in journal.read_text().splitlines())
    journal.rename(killed / "away.jsonl")
    journal.write_text("what I must not forget\n")
    refused = elspeth("resume", "latest", cwd=killed)
    assert refused.returncode == 2, refused.stderr
    assert "holds something else" in refused.stderr
    assert journal.read_text() == "what I must not forget\n"
    (killed / "away.jsonl").rename(journal)
    done = elspeth("resume", "latest", cwd=killed)
    assert done.returncode == 0, done.stderr
    assert (killed / "output/out.txt").read_text() == "1\n2\n3\n"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("output/out.txt", 75),
        ("runs/audit.db", 75),
        ("runs", 75),
        ("words.txt", 2),
        ("listed.py", 2),
        ("input.csv", 2),
        ("pipeline.yaml", 2),
    ],
)
def test_a_link_that_leads_in_a_circle_is_named(name: str, code: int, tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to((folder / name).name)
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == code, done.stderr
    assert "bug in Elspeth" not in done.stderr
    assert name in done.stderr


@pytest.mark.parametrize("what", [None, os.mkfifo, os.mkdir], ids=["missing", "pipe", "folder"])
def test_a_reference_file_that_cannot_be_read_is_named_by_run_resume_and_doctor(what: Any, tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    (folder / "wait").write_text("2")
    process = begin(*RUN, cwd=folder)
    wait_until(lambda: (folder / "reached").exists(), process)
    process.kill()
    process.communicate()
    (folder / "words.txt").unlink()
    if what is not None:
        what(folder / "words.txt")
    for words, code in ((("resume", "latest"), 75), ((*RUN, "--force-new"), 2), (("doctor",), 1)):
        done = elspeth(*words, cwd=folder)
        printed = done.stdout + done.stderr
        assert "the reference file words.txt of a plugin cannot be read" in printed
        assert done.returncode == code
        assert "bug in Elspeth" not in printed
