"""A release with a column more in every audited table brings what there is forward, and all of it holds as before."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.store import schema
from tests.kit.fixtures import unpack as kept
from tests.kit.fixtures.tampering import tampering
from tests.kit.fixtures.unpack import KEY, layouts, results, run_ids, unpack
from tests.kit.processes.running import elspeth

ROOT = Path(__file__).parents[4]
NEXT = os.pathsep.join([str(Path(kept.__file__).with_name("next_layout")), str(ROOT)])


def next_release(*words: str, cwd: Path, key: str = "") -> subprocess.CompletedProcess[str]:
    """The command as the next release has it."""
    return elspeth(*words, cwd=cwd, PYTHONPATH=NEXT, ELSPETH_SIGNING_KEY=key)


def kinds(folder: Path, run: str, key: str = "") -> set[str]:
    """What the next release finds wrong with a run."""
    done = next_release("verify", run, "--json", cwd=folder, key=key)
    assert done.stdout, done.stderr
    return {finding["kind"] for finding in json.loads(done.stdout)["findings"]}


def ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("name", ["completed", "signed", "purged", "every_table"])
def test_what_is_brought_forward_holds_with_and_without_the_key(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    key = KEY if name in ("signed", "every_table") else ""
    runs = run_ids(folder)
    before = {run: (kinds(folder, run), kinds(folder, run, key)) for run in runs}
    done = next_release("doctor", "--fix", cwd=folder, key=key)
    assert f"from version {layout} to {NEWEST.number + 1}" in done.stdout + done.stderr
    assert {run: (kinds(folder, run), kinds(folder, run, key)) for run in runs if run != runs[-1]} == {
        run: found for run, found in before.items() if run != runs[-1]
    }
    # The references of `every_table` into the payload store are made up; a run that was killed has no end.
    assert kinds(folder, runs[-1], key) <= {"payload", "unfinished"}
    for table in NEWEST.columns:
        assert "of_the_next" in [row[1] for row in ask(folder, f"PRAGMA table_info({table})")]
        if table not in ("operator_actions", "supervision_events"):  # what the doctor did is in these
            assert ask(folder, f"SELECT count(*) FROM {table} WHERE of_the_next IS NOT NULL") == [(0,)]
    assert ask(folder, "SELECT of_the_next FROM operator_actions WHERE action = 'migrate'") == [("of_the_next",)]


@pytest.mark.parametrize("layout", layouts())
def test_a_run_begun_before_is_finished_after_and_its_export_and_journal_hold(layout: int, tmp_path: Path) -> None:
    whole = unpack("completed", tmp_path / "completed", layout=layout)
    folder = unpack("interrupted", tmp_path / "interrupted", layout=layout)
    (run,) = run_ids(folder)
    journal = f"runs/audit.{run}.jsonl"
    assert next_release("verify", journal, cwd=folder).returncode == 0
    done = next_release("resume", run, "--working-directory", ".", "--accept-changed-code", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"from version {layout} to {NEWEST.number + 1}" in done.stderr
    assert results(folder) == results(whole)
    assert kinds(folder, run) == set()
    named = {named for (named,) in ask(folder, "SELECT DISTINCT layout FROM commits")}
    assert named == {None if layout == 1 else layout, NEWEST.number + 1}
    assert ask(folder, "SELECT count(*) FROM rows WHERE of_the_next IS NOT NULL")[0][0] > 0
    done = next_release("verify", journal, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert next_release("export", run, "-o", "export", cwd=folder).returncode == 0
    done = next_release("verify", "export/", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert next_release("purge", "--run", run, cwd=folder).returncode == 0
    assert kinds(folder, run) == set()
    shutil.rmtree(folder / "export")
    assert next_release("export", run, "-o", "export", cwd=folder).returncode == 0
    assert next_release("verify", "export/", cwd=folder).returncode == 0


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("name", ["completed", "signed"])
def test_an_export_made_before_holds_after(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    done = next_release("verify", "export/", cwd=folder, key=KEY if name == "signed" else "")
    assert done.returncode == 0, done.stdout


def test_what_the_next_release_wrote_is_left_to_it(tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "interrupted")
    (run,) = run_ids(folder)
    next_release("doctor", "--fix", cwd=folder)
    assert next_release("export", run, "-o", "export", cwd=folder).returncode == 0
    before = (folder / "runs" / "audit.db").read_bytes()
    for words in (
        ("verify", run),
        ("explain", "--run", run, "--row", "1"),
        ("resume", run, "--working-directory", "."),
        ("run", "--settings", "pipeline.yaml", "--execute"),
        ("purge", "--run", run),
        ("export", run, "-o", "other"),
        ("verify", "export/"),
    ):
        done = elspeth(*words, cwd=folder)
        assert done.returncode == 13, (words, done.stdout, done.stderr)
        assert "newer Elspeth" in done.stdout + done.stderr
    assert (folder / "runs" / "audit.db").read_bytes() == before
    assert NEWEST.number == schema.VERSION


def test_settings_that_a_newer_release_stored_are_left_to_it(tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "interrupted")
    (run,) = run_ids(folder)
    with tampering(folder / "runs" / "audit.db") as database:
        (text,) = database.execute("SELECT settings_json FROM runs").fetchone()
        newer = json.dumps(json.loads(text) | {"settings_format": 99})
        database.execute("UPDATE runs SET settings_json = ?, working_directory = ?", (newer, str(folder)))
    for words in (
        ("resume", run, "--working-directory", "."),
        ("run", "--settings", "pipeline.yaml", "--execute", "--auto-resume"),
    ):
        done = elspeth(*words, cwd=folder)
        assert done.returncode == 13, (words, done.stdout, done.stderr)
        assert "the settings stored with this run have format 99" in done.stderr
    doctor = elspeth("doctor", "--patience", "0", cwd=folder)
    assert doctor.returncode == 1
    assert "the settings stored with this run have format 99" in doctor.stdout
    assert elspeth("status", run, cwd=folder).returncode == 0
