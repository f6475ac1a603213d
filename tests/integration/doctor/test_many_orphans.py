"""Ten thousand runs that did not finish: what the doctor says fits a screen, and takes as long as one watch."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.processes.held import doctor, elspeth, killed_run, make

ORPHANS = 10_000
SCREEN_LINES = 50

COPY = """
WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {orphans})
INSERT INTO {table} ({columns}) SELECT {values} FROM {table} AS old, numbers WHERE old.run_id = '{run}'{more}
"""


@pytest.fixture(scope="module")
def orphans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder whose database has ten thousand copies of a run that was killed, and the original's id."""
    folder = tmp_path_factory.mktemp("orphans")
    run = killed_run(make(folder))
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection, connection:
        for table in ("runs", "run_attempts", "checkpoints"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            renamed = {"run_id": "printf('c%07d', number)",
                       "checkpoint_id": "printf('c%07d', number) || substr(old.checkpoint_id, 9)"}  # fmt: skip
            more = " AND old.checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)" * (table == "checkpoints")
            connection.execute(
                COPY.format(
                    orphans=ORPHANS,
                    table=table,
                    columns=", ".join(f'"{column}"' for column in columns),
                    run=run,
                    values=", ".join(renamed.get(column, f'old."{column}"') for column in columns),
                    more=more,
                )
            )
    return folder, run


def test_ten_thousand_orphans_fit_a_screen(orphans: tuple[Path, str]) -> None:
    folder, _ = orphans
    done = elspeth(folder, "doctor")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines) <= SCREEN_LINES) == (1, True), done.stdout[-2000:]
    assert lines[-1] == "10,001 unfinished runs need attention."
    assert "and 9,991 older runs: 9,991 orphaned. All of them are told with --json." in lines


def test_the_next_command_of_each_is_the_one_its_findings_ask_for(orphans: tuple[Path, str]) -> None:
    folder, _ = orphans
    report = doctor(folder)
    assert (len(report["runs"]), report["healthy"], report["exit_code"]) == (10_001, False, 1)
    for run in report["runs"]:
        steps = [one["next_step"] for one in run["findings"] if one["level"] == "wrong" and one["next_step"]]
        assert run["next_command"] == (steps[0] if steps else f"elspeth resume {run['run_id']}"), run


def test_heartbeats_out_of_reach_are_watched_all_at_once(orphans: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = orphans
    (tmp_path / "runs").mkdir()
    shutil.copy(folder / "runs" / "audit.db", tmp_path / "runs" / "audit.db")
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as connection, connection:
        connection.execute(
            "UPDATE run_attempts SET host = 'web-9', boot_id = 'other', lock_path = '/nowhere/' || run_id"
        )
    report = doctor(tmp_path, "--patience", "1")
    assert {run["state"] for run in report["runs"]} == {"unknown"}
    watched = [re.search(r"has not moved for ([0-9.]+) s", run["evidence"]) for run in report["runs"]]
    assert len({found[1] for found in watched if found}) == 1, "one watch, at the end of which all stood still"
    assert report["stderr"].count("watching the heartbeat") == 1
