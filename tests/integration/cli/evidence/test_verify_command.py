"""`elspeth verify` finds any change to a finished run: in the database, in its schema, in its outputs."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.store import schema
from elspeth.audit.writer import AuditWriter
from tests.integration.cli.evidence.conftest import KEY, Ask, Evidence
from tests.kit.fixtures import sample_run
from tests.kit.fixtures.tampering import is_told_by_the_key, raw, tampering
from tests.kit.processes.running import EXAMPLES, elspeth

EXEMPT = {("run_attempts", "heartbeat_number"), ("run_attempts", "heartbeat_at")}


def columns() -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        schema.create_plain(connection)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
    return [one for one in found if not is_told_by_the_key(*one)]


@pytest.fixture(scope="module")
def acted_upon(pristine: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The runs of the examples, one of them purged by an operator, and one that made calls: every table has records."""
    folder = tmp_path_factory.mktemp("acted_upon")
    shutil.copy(pristine.database, folder / "audit.db")
    words = ("purge", "--run", pristine.runs["second_opinions"], "--database", folder / "audit.db")
    done = elspeth(*words, cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 0, done.stderr
    return Evidence(folder, {**pristine.runs, "calling": write_calling_run(folder / "audit.db")})


def write_calling_run(path: Path) -> str:
    """A run with records in `calls`, by the writer itself: no plugin that comes with Elspeth makes calls yet."""
    records = sample_run.rows(0, 3)
    for table, column in (("rows", "source_data_ref"), ("node_states", "output_data_ref")):
        at = COLUMNS[table].index(column)
        records[table] = [(*record[:at], None, *record[at + 1 :]) for record in records[table]]
    further = sample_run.extras()
    del further["artifacts"]
    writer = AuditWriter(path, signing_key=KEY.encode())
    writer.create_run(sample_run.RUN_COLUMNS, sample_run.ATTEMPT, sample_run.beginning())
    writer.commit(sample_run.RUN, 1, records)
    writer.commit(sample_run.RUN, 1, further, {"status": "completed", "completed_at": sample_run.NOW, "failure": None})
    writer.close()
    return sample_run.RUN


@pytest.fixture
def evidence(acted_upon: Evidence, tmp_path: Path) -> Evidence:
    """A copy that may be changed."""
    shutil.copy(acted_upon.database, tmp_path / "audit.db")
    return Evidence(tmp_path, acted_upon.runs)


def found(ask: Ask, evidence: Evidence, run: str) -> list[dict[str, Any]]:
    code, answer = ask("verify", run, "--database", evidence.database)
    if "findings" not in answer:
        return [answer["error"]]  # the run is not there under its id any more
    assert code == (1 if answer["findings"] else 0)
    return list(answer["findings"])


def test_untouched_runs_hold(ask: Ask, acted_upon: Evidence) -> None:
    for run in acted_upon.runs.values():
        assert found(ask, acted_upon, run) == []


@pytest.mark.parametrize(("table", "column"), columns(), ids=lambda name: name)
def test_a_changed_value_of_a_real_run_is_found(table: str, column: str, ask: Ask, evidence: Evidence) -> None:
    with tampering(evidence.database) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]]
        row = database.execute(
            f'SELECT run_id, "{column}", {", ".join(keys)} FROM {table} ORDER BY "{column}" IS NULL LIMIT 1'
        ).fetchone()
        assert row is not None, f"no run writes into {table}"
        run, value, *key = row
        new: Any = "x" if value is None else value + 1000 if isinstance(value, int | float) else None
        if isinstance(value, str):
            new = value + "x"
        elif isinstance(value, bytes):
            new = bytes([value[0] ^ 1]) + value[1:]
        where = " AND ".join(f"{name} = ?" for name in keys)
        database.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (new, *key))
    assert bool(found(ask, evidence, run)) != ((table, column) in EXEMPT)


@pytest.mark.parametrize("table", sorted({table for table, _ in columns()}))
def test_a_deleted_record_of_a_real_run_is_found(table: str, ask: Ask, evidence: Evidence) -> None:
    with tampering(evidence.database) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]]
        row = database.execute(f"SELECT run_id, {', '.join(keys)} FROM {table} LIMIT 1").fetchone()
        assert row is not None, f"no run writes into {table}"
        database.execute(f"DELETE FROM {table} WHERE {' AND '.join(f'{key} = ?' for key in keys)}", row[1:])
    assert found(ask, evidence, row[0])


def test_the_record_and_the_commit_are_named(ask: Ask, evidence: Evidence) -> None:
    run = evidence.runs["threshold"]
    with tampering(evidence.database) as database:
        database.execute("UPDATE token_outcomes SET sink_name = 'normal' WHERE outcome_id = ?", (f"{run}-000000001=",))
    (finding,) = found(ask, evidence, run)
    assert (finding["kind"], finding["table"], finding["record"]) == ("changed", "token_outcomes", f"{run}-000000001=")
    assert finding["commit_no"] is not None


def test_an_operators_own_update_is_reported_as_what_it_is(evidence: Evidence) -> None:
    run = evidence.runs["threshold"]
    with tampering(evidence.database) as database:
        database.execute("UPDATE runs SET status = 'failed' WHERE run_id = ?", (run,))
    done = elspeth("verify", run, "--database", evidence.database, cwd=evidence.folder)
    assert done.returncode == 1
    assert "changed by hand" in done.stdout
    assert "runs.status" in done.stdout


def test_an_altered_schema_is_found(ask: Ask, evidence: Evidence) -> None:
    with raw(evidence.database) as database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON token_records BEGIN DELETE FROM calls; END")
    (finding,) = found(ask, evidence, evidence.runs["threshold"])
    assert (finding["kind"], "trigger t" in finding["sentence"]) == ("schema", True)


def test_the_removal_of_a_run_shows_in_the_others(ask: Ask, evidence: Evidence) -> None:
    with tampering(evidence.database) as database:
        for table in sorted({table for table, _ in columns()}):
            database.execute(f"DELETE FROM {table} WHERE run_id = ?", (evidence.runs["expand"],))
    (finding,) = found(ask, evidence, evidence.runs["threshold"])
    assert (finding["kind"], "removed" in finding["sentence"]) == ("chain", True)


def run_in(folder: Path, **more: str) -> None:
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder, **more)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "threshold", tmp_path / "t", ignore=shutil.ignore_patterns("output", "runs", "state"))
    return tmp_path / "t"


def test_a_flipped_bit_an_added_line_and_a_missing_file_are_told_apart(folder: Path) -> None:
    run_in(folder)
    normal, high = folder / "output" / "normal.csv", folder / "output" / "high_values.csv"
    assert elspeth("verify", "latest", "--outputs", cwd=folder).returncode == 0
    whole = normal.read_bytes()
    normal.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    high.unlink()
    with (folder / "output" / "quarantine.csv").open("a") as file:
        file.write("one more\n")
    done = elspeth("verify", "latest", "--outputs", cwd=folder)
    assert done.returncode == 1
    assert "normal.csv is not what run" in done.stdout
    assert "another content" in done.stdout
    assert "is missing" in done.stdout
    assert "was added to" in done.stdout


def test_an_output_that_a_later_run_replaced_is_told_from_one_that_was_tampered_with(folder: Path) -> None:
    run_in(folder)
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as database:
        ((first,),) = database.execute("SELECT run_id FROM runs")
    (folder / "input.csv").write_text("id,customer,amount\n1,Zoe,5\n2,Yan,5000\n")
    run_in(folder)
    replaced = elspeth("verify", first, "--outputs", cwd=folder)
    assert replaced.returncode == 0, replaced.stdout
    assert "was replaced: it is what the later run" in replaced.stdout
    (folder / "output" / "normal.csv").write_text("id\n")
    tampered = elspeth("verify", first, "--outputs", cwd=folder)
    assert tampered.returncode == 1
    assert "nor is it what the later run" in tampered.stdout


def test_with_the_key_a_signed_head_is_checked(folder: Path) -> None:
    run_in(folder, ELSPETH_SIGNING_KEY="right")
    assert "signed, and checked" in elspeth("verify", "latest", cwd=folder, ELSPETH_SIGNING_KEY="right").stdout
    wrong = elspeth("verify", "latest", cwd=folder, ELSPETH_SIGNING_KEY="wrong")
    assert wrong.returncode == 1
    assert "not signed with this key" in wrong.stdout


def test_a_payload_that_was_changed_or_lost_is_found(folder: Path) -> None:
    with (folder / "pipeline.yaml").open("a") as file:
        file.write("payload_store: {inline_limit_bytes: 10}\n")
    run_in(folder)
    assert elspeth("verify", "latest", cwd=folder).returncode == 0
    assert "Bo" in elspeth("explain", "--row", "1", cwd=folder).stdout
    first, second, *_ = sorted(path for path in (folder / "state" / "payloads").rglob("*") if path.is_file())
    first.write_bytes(b"{}")
    second.unlink()
    done = elspeth("verify", "latest", cwd=folder)
    assert done.returncode == 1
    assert "was changed" in done.stdout
    assert "is not in the payload store" in done.stdout
