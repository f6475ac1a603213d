"""What the doctor finds out about a database on a server, and does there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import PostgresPlace, place_of
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, RunInProgress
from elspeth.runs import doctor
from elspeth.runs.doctor import Finding
from elspeth.runs.liveness.holding import hold
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.run_assessment import assessments
from elspeth.runs.operate.migration import bring_forward
from elspeth.runs.operate.room import bytes_of
from tests.kit.postgres.databases import Database

RUN = "mf3k2a9x"


def record(place: PostgresPlace, folder: Path, lock: str, **identity: Any) -> None:
    """Put on record that a process which is no more drives the run."""
    who = replace(current(lock), **{"process_start_ticks": 1, **identity})
    run = {
        "run_id": RUN, "settings_path": "pipeline.yaml", "settings_json": "{}", "settings_hash": "aa",
        "pipeline_hash": "bb", "working_directory": str(folder), "elspeth_version": "0.1.0", "canonical_version": "1",
    }  # fmt: skip
    writer = AuditWriter(place)
    writer.create_run(run, who.start().to_columns(), {})
    writer.close()


@pytest.fixture
def orphan(place: PostgresPlace, tmp_path: Path) -> PostgresPlace:
    with hold(place, tmp_path / "state", RUN, 1) as lock:
        record(place, tmp_path, lock.name)
    return place


def found(place: PostgresPlace, check: str) -> list[Finding]:
    return [finding for finding in doctor.survey_database(place).findings if finding.check == check]


def test_server_and_schema_are_told(orphan: PostgresPlace) -> None:
    (server,), (schema,) = found(orphan, "server"), found(orphan, "schema")
    assert server.message.startswith("PostgreSQL ")
    assert server.message.endswith(f"answers at {orphan}")
    assert schema.level == "ok"
    assert bytes_of(orphan) > 100_000
    assert bring_forward(orphan) is None


def test_an_orphan_is_fixed_and_given_up(orphan: PostgresPlace) -> None:
    (run,) = doctor.survey_database(orphan).runs
    assert run.state == "orphaned"
    (act,) = doctor.fix(orphan)
    assert act.message == "marked interrupted"
    doctor.mark_failed(orphan, RUN, reason="a test")
    with AuditReader(orphan) as reader:
        assert (reader.run(RUN).status, len(reader.operator_actions(RUN))) == ("failed", 2)


def test_who_may_only_read_is_told_so(orphan: PostgresPlace, postgres: Database) -> None:
    reader = place_of(postgres.url_of(postgres.reader))
    assert isinstance(reader, PostgresPlace)
    (refused,) = found(reader, "writable")
    assert refused.message == f"{postgres.reader} may not write there, so nothing can be resumed or fixed"
    with pytest.raises(ElspethError):
        doctor.mark_failed(reader, RUN)
    assert doctor.survey_database(reader).runs[0].state == "orphaned"


def test_a_schema_that_was_altered_is_wrong(orphan: PostgresPlace, postgres: Database) -> None:
    postgres.ask("ALTER TABLE run_attempts ADD COLUMN note TEXT")
    (schema,) = found(orphan, "schema")
    assert (schema.level, "run_attempts" in " ".join(schema.details)) == ("wrong", True)


def test_a_run_of_another_machine_is_alive_as_long_as_its_session(place: PostgresPlace, tmp_path: Path) -> None:
    """Nobody waits for a heartbeat: the server says who is there, and the watch ends when it has let go."""
    far = {"host": "far", "boot_id": "another"}
    with hold(place, tmp_path / "state", RUN, 1) as lock:
        record(place, tmp_path, lock.name, **far)
        with pytest.raises(RunInProgress):
            doctor.mark_failed(place, RUN, patience=0)
        with AuditReader(place) as reader:

            def let_go(line: str) -> None:
                assert line.startswith("watching the heartbeat of far")
                lock.release()

            (seen,) = assessments(reader, [reader.run(RUN)], patience=600, notify=let_go)
    assert seen.verdict.state == "orphaned"
    assert seen.verdict.sentence.startswith("lock free and nobody of host far")


def test_a_heartbeat_counts_where_the_lock_is_of_another_database(place: PostgresPlace, tmp_path: Path) -> None:
    """As of a backup that was restored elsewhere."""
    with hold(place, tmp_path / "state", RUN, 1) as lock:
        text = lock.name.replace("cluster ", "cluster 1")
    record(place, tmp_path, text, host="far", boot_id="another")
    (run,) = doctor.survey_database(place, patience=0).runs
    assert run.state == "unknown"
    assert "this is another database" in run.evidence
