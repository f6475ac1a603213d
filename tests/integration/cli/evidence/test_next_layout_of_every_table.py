"""A column more in each audited table: database, export and journal hold before and after, with and without the key."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.chain.layouts import NEWEST
from tests.integration.cli.evidence.test_next_layout import NEXT, next_release
from tests.kit.fixtures.sample_run import RUN, write_run
from tests.kit.fixtures.unpack import KEY, layouts, unpack
from tests.kit.processes.running import environment

COLUMN = "of_the_next"
JOURNAL = """
import sys
from pathlib import Path
from elspeth.audit.export.journal import Journal
from elspeth.audit.query.reader import AuditReader

database, run, place = sys.argv[1:]
journal = Journal(Path(place), run)
with AuditReader(Path(database)) as reader:
    journal.catch_up(reader.connection)
"""
SAMPLE = """
import sys
from pathlib import Path
from tests.kit.fixtures.sample_run import write_run

write_run(Path(sys.argv[1]))
"""
TAMPERED = f"""
import sqlite3
import sys
from pathlib import Path
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.run import verify_run
from tests.kit.fixtures.sample_run import RUN
from tests.kit.fixtures.tampering import tampering

path = Path(sys.argv[1])
whole = path.read_bytes()
for table in NEWEST.columns:
    with tampering(path) as database:
        database.execute(
            f"UPDATE {{table}} SET {COLUMN} = 'x' WHERE commit_no = (SELECT min(commit_no) FROM {{table}})"
        )
    with AuditReader(path) as reader:
        found = {{finding.table for finding in verify_run(reader, RUN)}}
    assert table in found, table
    path.write_bytes(whole)
"""
"""A value in the new column of any table, put there by hand, is found."""


def in_next_release(code: str, *words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment(PYTHONPATH=NEXT),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def kept(layout: int) -> Callable[[Path], Path]:
    return lambda folder: unpack("every_table", folder, layout=layout)


def written_now(folder: Path) -> Path:
    (folder / "runs").mkdir(parents=True)
    write_run(folder / "runs" / "audit.db")
    return folder


MADE = {f"kept of layout {layout}": kept(layout) for layout in layouts()} | {"written now": written_now}


@pytest.fixture(params=MADE)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A signed run that came to its end, with records in every audited table."""
    return MADE[request.param](tmp_path / "made")


def findings(target: str, folder: Path, key: str) -> list[dict[str, str]]:
    """What the next release finds wrong; the references of this run into a payload store are made up."""
    done = next_release("verify", target, "--json", cwd=folder, key=key)
    assert done.stdout, done.stderr
    return [finding for finding in json.loads(done.stdout)["findings"] if finding["kind"] != "payload"]


def check(folder: Path, name: str, *, tables: set[str]) -> None:
    """Database, a new export and a new journal hold with the key and without, and all of these tables are in them."""
    journal = folder / f"{name}.jsonl"
    in_next_release(JOURNAL, folder / "runs" / "audit.db", RUN, journal)
    assert next_release("export", RUN, "-o", name, cwd=folder, key=KEY).returncode == 0
    for target in (RUN, f"{name}/", f"./{journal.name}"):
        assert findings(target, folder, KEY) == findings(target, folder, "") == [], target
    exported = {path.stem for path in (folder / name).glob("*.jsonl") if path.stat().st_size}
    assert {json.loads(line)["table"] for line in journal.read_text().splitlines()} >= tables
    assert exported >= tables


def filled(folder: Path) -> set[str]:
    """The tables with records that have a value in the new column."""
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as database:
        query = f"SELECT 1 FROM {{}} WHERE {COLUMN} IS NOT NULL LIMIT 1"
        return {table for table in NEWEST.columns if database.execute(query.format(table)).fetchone()}


def test_before_and_after_it_is_brought_forward_all_of_it_holds(folder: Path) -> None:
    check(folder, "before", tables=set(NEWEST.columns))
    done = next_release("doctor", "--fix", cwd=folder, key=KEY)
    assert f"to {NEWEST.number + 1}" in done.stdout + done.stderr
    assert filled(folder) == {"operator_actions"}  # that it was brought forward; what there was has no such value
    check(folder, "after", tables=set(NEWEST.columns))
    for name in ("before/", "./before.jsonl"):  # what was made of it before holds as before
        assert findings(name, folder, KEY) == findings(name, folder, "") == [], name


def test_what_is_written_with_that_column_holds_too_and_the_column_is_covered(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    in_next_release(SAMPLE, tmp_path / "runs" / "audit.db")
    assert filled(tmp_path) >= set(NEWEST.columns) - {"runs", "run_attempts"}
    check(tmp_path, "written", tables=set(NEWEST.columns))
    in_next_release(TAMPERED, tmp_path / "runs" / "audit.db")


@pytest.mark.parametrize("layout", layouts())
def test_nothing_can_be_put_into_that_column_of_what_was_written_before_it(layout: int, tmp_path: Path) -> None:
    folder = unpack("every_table", tmp_path / "made", layout=layout)
    next_release("doctor", "--fix", cwd=folder, key=KEY)
    in_next_release(TAMPERED, folder / "runs" / "audit.db")
