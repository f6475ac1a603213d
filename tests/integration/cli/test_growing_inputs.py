"""What was added to an input while it was read: an error behind a line without its end, else said when all is done."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.kit.processes.running import PAUSING, begin, elspeth, wait_until

PIPELINE = """
plugins: [./pausing.py]
source: {plugin: PLUGIN, options: {path: INPUTOPTIONS}, on_validation_failure: discard}
transforms: [{plugin: pausing, on_error: discard}]
sinks: {out: {plugin: json, options: {path: out.jsonl}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute", "--json")
TEXT = PAUSING.replace('row["id"] == 5', 'str(row.get("id", row.get("text"))) == "5"')
CSV = "id\n" + "".join(f"{n}\n" for n in range(6))
LINES = "".join(f'{{"id": {n}}}\n' for n in range(6))
ARRAY = "[" + ", ".join(f'{{"id": {n}}}' for n in range(6)) + "]\n"


def lay(folder: Path, name: str, content: str, plugin: str, options: str = "") -> None:
    text = PIPELINE.replace("PLUGIN", plugin).replace("INPUT", name).replace("OPTIONS", options)
    (folder / "pipeline.yaml").write_text(text)
    (folder / "pausing.py").write_text(TEXT)
    (folder / name).write_text(content)


def grown_meanwhile(folder: Path, name: str, added: str) -> tuple[int, dict[str, object], str]:
    """Append to the input when it has been read and its rows are not done yet; answers code, result, stderr."""
    process = begin(*RUN, cwd=folder)
    wait_until((folder / "reached").exists, process)
    with (folder / name).open("a") as file:
        file.write(added)
    (folder / "go").touch()
    printed, said = process.communicate(timeout=120)
    return process.returncode, json.loads(printed), said


@pytest.mark.parametrize(
    ("name", "content", "plugin", "options", "added"),
    [
        ("in.csv", CSV, "csv", "", "6\n"),
        ("in.csv", CSV, "csv", "", "\n\n6"),
        ("in.jsonl", LINES, "json", "", '{"id": 6}\n'),
        ("in.txt", CSV, "text", "", "6\n"),
        ("in.txt", CSV, "text", ", skip_blank_lines: true", "\n6\n"),
        ("in.json", ARRAY, "json", "", ', {"id": 6}]\n'),
    ],
)
def test_what_came_behind_a_finished_end_is_said_in_the_closing_summary(
    tmp_path: Path, name: str, content: str, plugin: str, options: str, added: str
) -> None:
    lay(tmp_path, name, content, plugin, options)
    code, result, said = grown_meanwhile(tmp_path, name, added)
    assert code == 0, said
    (note,) = result["notes"]  # type: ignore[misc]
    assert f"Source file {name} has grown by" in note
    assert "they are not looked at" in note
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert 6 not in [row.get("id", row.get("text")) for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "plugin", "options", "added"),
    [
        ("in.csv", CSV + "\n\r\n", "csv", "", ""),
        ("in.csv", CSV, "csv", "", "\n"),
        ("in.jsonl", LINES + "\n", "json", "", "  \n"),
        ("in.json", "  " + ARRAY + "\n\n", "json", "", "\n"),
        ("in.json", '{"rows": ' + ARRAY + ', "more": [1, 2]}', "json", ", data_key: rows", ""),
        ("in.txt", CSV + "  \n", "text", ", skip_blank_lines: true", " \n"),
    ],
)
def test_what_holds_no_row_is_not_said(
    tmp_path: Path, name: str, content: str, plugin: str, options: str, added: str
) -> None:
    lay(tmp_path, name, content, plugin, options)
    code, result, said = grown_meanwhile(tmp_path, name, added)
    assert (code, result["notes"]) == (0, []), said


@pytest.mark.parametrize(
    ("name", "content", "plugin", "options"),
    [
        ("in.csv", CSV + "7", "csv", ""),
        ("in.jsonl", LINES + '{"id": 7}', "json", ""),
        ("in.txt", CSV + "7", "text", ""),
        ("in.json", ARRAY.removesuffix("]\n"), "json", ""),
    ],
)
def test_a_run_whose_last_line_went_on_is_not_complete(
    tmp_path: Path, name: str, content: str, plugin: str, options: str
) -> None:
    lay(tmp_path, name, content, plugin, options)
    code, result, said = grown_meanwhile(tmp_path, name, "8\n")
    assert (code, result["status"]) == (7, "failed"), said
    with sqlite3.connect(tmp_path / "audit.db") as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("failed",)]
    (tmp_path / name).write_text(content)
    done = elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


TWO = """
plugins: [./pausing.py]
sources:
  first: {plugin: csv, options: {path: head.csv}, on_validation_failure: discard}
  second: {plugin: csv, options: {path: in.csv}, on_validation_failure: discard}
"""


def test_a_header_that_went_on_is_no_header(tmp_path: Path) -> None:
    """Of two inputs the first is a header without its end, which grows while rows of the second are at work."""
    lay(tmp_path, "in.csv", CSV, "csv")
    text = (tmp_path / "pipeline.yaml").read_text()
    (tmp_path / "pipeline.yaml").write_text(TWO + text[text.index("transforms:") :])
    (tmp_path / "head.csv").write_text("id,v")
    code, result, said = grown_meanwhile(tmp_path, "head.csv", "alue\n1,2\n")
    assert (code, result["status"]) == (7, "failed"), said
    assert "head.csv has grown, but its last line had no line end" in said
    (tmp_path / "head.csv").write_text("id,v")
    assert elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path).returncode == 0


def ended(database: Path, source: str) -> bool:
    """Whether a commit says that this source was read to its end."""
    with sqlite3.connect(database) as connection:
        texts = connection.execute("SELECT message FROM checkpoints").fetchall()
    return any(json.loads(text)["sources"].get(source, {}).get("ended") for (text,) in texts)


def test_an_input_that_grew_after_its_end_was_committed_is_said_by_the_attempt_that_completes(tmp_path: Path) -> None:
    lay(tmp_path, "in.csv", CSV, "csv")
    text = (tmp_path / "pipeline.yaml").read_text()
    first = TWO.replace("head.csv", "done.csv") + text[text.index("transforms:") :]
    (tmp_path / "pipeline.yaml").write_text(first)
    (tmp_path / "done.csv").write_text("id\n70\n71\n")
    process = begin(*RUN, cwd=tmp_path)
    wait_until(lambda: (tmp_path / "reached").exists() and ended(tmp_path / "audit.db", "first"), process)
    with (tmp_path / "done.csv").open("a") as file:
        file.write("72\n")
    process.terminate()
    process.communicate(timeout=120)
    (tmp_path / "go").touch()
    done = elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "72" not in rows
    assert "Source file done.csv has grown by 3 bytes since its end was read" in done.stdout
    assert "processed like the rest" not in done.stdout + done.stderr
