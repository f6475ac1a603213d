"""The page on evidence is true: its settings make the copies that it names, and its commands do what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.command import run
from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, text_of

PAGE = ROOT / "ops" / "docs" / "reference" / "evidence.md"
SETTINGS = next(block.text for block in blocks(text_of(PAGE)) if block.language == "yaml")
COMMANDS = re.findall(r"`(elspeth [^`]+)`", re.search(r"(?:^\|.*\n)+", text_of(PAGE), re.M)[0])  # type: ignore[index]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "ops" / "examples" / "threshold" / "input.csv", tmp_path)
    text = text_of(ROOT / "ops" / "examples" / "threshold" / "pipeline.yaml")
    sink = SETTINGS.partition("sinks:\n")[2]
    (tmp_path / "pipeline.yaml").write_text(
        text.replace("sinks:\n", f"sinks:\n{sink}") + SETTINGS.partition("sinks:\n")[0]
    )
    return tmp_path


def test_the_page_has_commands() -> None:
    assert [command.split()[1] for command in COMMANDS] == [
        "explain",
        "replay",
        "verify",
        "export",
        "verify",
        "copy",
        "purge",
    ]


def test_a_completed_run_that_is_resumed_makes_the_copies_that_are_missing_and_nothing_else(folder: Path) -> None:
    key = "export ELSPETH_SIGNING_KEY=secret;"
    begun = run(f"{key} elspeth run --settings pipeline.yaml --execute", folder)
    assert begun.returncode == 0, begun.stdout
    (journal,) = (folder / "runs").glob("audit.*.jsonl")
    export = folder / "output" / "audit.jsonl"
    before = {path: path.read_bytes() for path in (journal, export, folder / "runs" / "audit.db")}
    journal.unlink()
    export.unlink()
    again = run(f"{key} elspeth resume latest", folder)
    assert again.returncode == 0, again.stdout
    assert {path: path.read_bytes() for path in before} == before
    verified = run(f"{key} elspeth verify latest --outputs", folder)
    assert "signed, and checked" in verified.stdout
    for command in COMMANDS:
        typed = command.replace("RUN_ID", "latest").replace(" N", " 3").replace("FOLDER", "evidence")
        done = run(f"{key} {typed}", folder)
        assert done.returncode == 0, done.stdout
