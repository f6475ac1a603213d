"""Every example gives what its folder says must come out, and its audit trail holds together."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.processes import program

EXAMPLES = program.ROOT / "ops" / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/expected"))


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    with program.programs() as started:
        yield started


@pytest.mark.parametrize("name", NAMES)
def test_an_example_gives_what_it_promises(name: str, tmp_path: Path, programs: program.Programs) -> None:
    folder = tmp_path / name
    made = shutil.ignore_patterns("output", "runs", "state", "__pycache__")
    shutil.copytree(EXAMPLES / name, folder, ignore=made)
    programs.call(folder, "run", "--settings", "pipeline.yaml", "--execute")
    for expected in (folder / "expected").iterdir():
        assert (folder / "output" / expected.name).read_bytes() == expected.read_bytes(), expected.name
    database = folder / "runs" / "audit.db"
    with closing(sqlite3.connect(database)) as db:
        [(run_id,)] = db.execute("SELECT run_id FROM runs").fetchall()
    found = check(folder / "pipeline.yaml", database, run_id, working_directory=folder, recompute=False)
    assert found == []
