"""The benchmark's comparison is an honest one: it leaves the records that a run leaves, and the same outputs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain.digests import GENESIS
from ops.bench import bare, bare_texts, same, trial

ROWS = 2_345  # two whole commits and a part of one

Left = tuple[dict[str, list[tuple[Any, ...]]], dict[str, bytes]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Left, Left]:
    """What a run and the comparison program left of the same input: records, and outputs."""
    folder = tmp_path_factory.mktemp("bench")
    source = trial.Workspace(folder).input(ROWS)
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    trial.run(ours, trial.threshold(source, "every_n"))
    bare.main(source, theirs / "output", theirs / "audit.db")
    return (
        (same.records(ours / "runs" / "audit.db"), _outputs(ours)),
        (same.records(theirs / "audit.db"), _outputs(theirs)),
    )


def _outputs(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "output").iterdir()}


@pytest.mark.parametrize("table", same.TABLES)
def test_a_table_about_rows_holds_the_same_but_for_times_and_the_runs_id(left: tuple[Left, Left], table: str) -> None:
    (ours, _), (theirs, _) = left
    assert theirs[table] == ours[table]


def test_there_are_records_to_compare(left: tuple[Left, Left]) -> None:
    (ours, _), _ = left
    full = {table for table, records in ours.items() if len(records) == ROWS}
    assert full == {"rows", "tokens", "node_states", "routing_events", "token_outcomes"}


def test_the_outputs_are_the_same(left: tuple[Left, Left]) -> None:
    (_, ours), (_, theirs) = left
    assert theirs == ours


@pytest.fixture(scope="module")
def texts(left: tuple[Left, Left], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the comparison with the former records ran."""
    folder = tmp_path_factory.mktemp("texts")
    bare.main(trial.Workspace(folder).input(ROWS), folder / "output", folder / "audit.db", bare_texts.Texts)
    return folder


def test_with_texts_the_records_and_outputs_are_the_same(left: tuple[Left, Left], texts: Path) -> None:
    ours, outputs = left[0]
    assert same.records(texts / "audit.db") == ours
    assert _outputs(texts) == outputs


def test_with_texts_every_record_is_stored_as_it_is_read(texts: Path) -> None:
    with closing(sqlite3.connect(texts / "audit.db")) as connection:
        kinds = dict(connection.execute("SELECT name, type FROM sqlite_master WHERE sql IS NOT NULL"))
        assert {kinds[table] for table in same.TABLES} == {"table"}
        assert "state_records" not in kinds


def test_plain_writes_the_same_outputs_without_an_audit(left: tuple[Left, Left], tmp_path: Path) -> None:
    source = trial.Workspace(tmp_path).input(ROWS)
    subprocess.run(trial.python("plain", source, tmp_path / "output"), cwd=trial.ROOT, check=True)
    (_, ours), _ = left
    assert _outputs(tmp_path) == ours


def test_without_the_chain_a_run_leaves_the_same_and_no_digests(left: tuple[Left, Left], tmp_path: Path) -> None:
    source = trial.Workspace(tmp_path).input(ROWS)
    folder = tmp_path / "unchained"
    folder.mkdir()
    command = (sys.executable, trial.HERE / "unchained.py")
    trial.run(folder, trial.threshold(source, "every_n"), command=command)
    (ours, _), _ = left
    assert same.records(folder / "runs" / "audit.db") == ours
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection:
        assert set(connection.execute("SELECT digest, marks FROM commit_tables")) == {(GENESIS, b"")}
