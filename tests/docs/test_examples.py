"""Every example under ops/examples runs as its folder stands, and gives what `expected/` says."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.docs.command import run
from tests.docs.repository import ROOT, text_of
from tests.kit.oracle.checker import CannotRecompute, check

EXAMPLES = ROOT / "ops" / "examples"
NAMES = sorted(folder.parent.name for folder in EXAMPLES.glob("*/expected"))


def a_copy(name: str, folder: Path) -> Path:
    left_out = shutil.ignore_patterns("output", "runs", "state", "__pycache__")
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=left_out))


@pytest.mark.parametrize("name", NAMES)
def test_the_example_gives_exactly_what_is_expected(name: str, tmp_path: Path) -> None:
    example = a_copy(name, tmp_path)
    done = run(f"{beside(example)}elspeth run --settings pipeline.yaml --execute", example)
    assert done.returncode == 0, done.stdout
    expected = {file.name: file.read_bytes() for file in (example / "expected").iterdir()}
    output = {file.name: file.read_bytes() for file in (example / "output").iterdir()}
    assert output == expected
    assert violations(example) == []


def beside(example: Path) -> str:
    """What runs a command with the service beside it that the example asks, if it asks one."""
    return "python with_model.py " if (example / "with_model.py").exists() else ""


def violations(example: Path) -> list[str]:
    """What the invariant checker has to say: about everything it can work out, else about the records alone."""
    database = example / "runs" / "audit.db"
    db = sqlite3.connect(database)
    (run_id,) = db.execute("SELECT run_id FROM runs").fetchone()
    db.close()
    settings = example / "pipeline.yaml"
    try:
        return check(settings, database, run_id, working_directory=example)
    except CannotRecompute:
        return check(settings, database, run_id, working_directory=example, recompute=False)


def test_every_example_is_in_the_list_and_has_a_comment() -> None:
    listed = text_of(EXAMPLES / "README.md")
    for pipeline in EXAMPLES.glob("*/pipeline.yaml"):
        name = pipeline.parent.name
        assert f"]({name}/" in listed, f"{name} is not in the list of examples"
        assert text_of(pipeline).startswith("# "), f"{name} does not say what it shows"


@pytest.mark.parametrize("name", NAMES)
def test_without_execute_nothing_is_written(name: str, tmp_path: Path) -> None:
    example = a_copy(name, tmp_path)
    before = sorted(example.rglob("*"))
    done = run("elspeth run --settings pipeline.yaml", example)
    assert done.returncode == 0, done.stdout
    assert sorted(example.rglob("*")) == before
