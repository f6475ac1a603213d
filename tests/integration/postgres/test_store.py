"""The audit database in PostgreSQL: the same writer and reader, the same answers, every refusal in words."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place, place_of
from elspeth.audit.writer import AuditWriter
from elspeth.errors import DuplicateRow, ElspethError, RunInProgress, SettingsError, TakenOver, Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.databases import Database

VIEWS = {
    "rows": "row_id", "tokens": "token_id", "node_states": "state_id", "routing_events": "event_id",
    "token_outcomes": "outcome_id", "runs": "run_id", "run_attempts": "attempt", "nodes": "node_id", "edges": "edge_id",
    "commits": "commit_no", "commit_tables": "commit_no, table_name", "checkpoints": "checkpoint_id",
    "supervision_events": "event_id", "run_summary": "run_id", "failures_by_reason": "reason",
    "row_story": "row_id, place, step, token_id",
}  # fmt: skip


@pytest.fixture
def writer(postgres: Database) -> Iterator[AuditWriter]:
    writer = AuditWriter(place_of(postgres.url))
    yield writer
    writer.close()


@pytest.fixture
def begun(writer: AuditWriter) -> AuditWriter:
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    return writer


def written(place: Place) -> dict[str, Any]:
    """What both kinds of database answer about the same run."""
    writer = AuditWriter(place, now=lambda: NOW)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 300))
    writer.heartbeat(RUN, 1, 7, NOW)
    writer.commit(RUN, 1, rows(300, 303, number=2), {"status": "completed", "completed_at": NOW, "end_reason": "done"})
    writer.close()
    with AuditReader(place) as reader:
        found: dict[str, Any] = {}
        for view, order in VIEWS.items():
            cursor = reader.connection.execute(f"SELECT * FROM {view} ORDER BY {order}")
            found[view] = [column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]
        found["run"] = reader.run("latest")
        found["counts"] = reader.row_count(RUN), reader.outcome_counts(RUN), reader.state_counts(RUN)
        found["checkpoint"] = reader.latest(RUN)
    return found


def test_both_databases_answer_alike(postgres: Database, tmp_path: Path) -> None:
    assert written(place_of(postgres.url)) == written(tmp_path / "audit.db")


def test_a_row_recorded_twice_is_named_and_nothing_of_the_commit_stays(begun: AuditWriter, postgres: Database) -> None:
    begun.commit(RUN, 1, rows(0, 3))
    records = rows(3, 6, number=2)
    records["rows"].append(rows(1, 2)["rows"][0])
    with pytest.raises(DuplicateRow, match=r"Duplicate row_id: row mf3k2a9x-000000001 is recorded already"):
        begun.commit(RUN, 1, records)
    assert postgres.ask("SELECT count(*) FROM rows") == [(3,)]
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2


def test_an_attempt_that_was_taken_over_commits_nothing(begun: AuditWriter, postgres: Database) -> None:
    other = AuditWriter(place_of(postgres.url))
    number, checkpoint = other.begin_attempt(RUN, 1, ATTEMPT, {})
    assert number == 2
    assert checkpoint is not None
    with pytest.raises(TakenOver):
        begun.commit(RUN, 1, rows(0, 3))
    with pytest.raises(RunInProgress):
        begun.begin_attempt(RUN, 1, ATTEMPT, {})
    other.close()


def test_a_schema_that_holds_other_tables_is_left_alone(postgres: Database) -> None:
    postgres.ask('CREATE TABLE "runs" (id int)')
    with pytest.raises(ElspethError, match="is a database of another program"):
        AuditWriter(place_of(postgres.url))
    with pytest.raises(ElspethError, match="is a database of another program"):
        AuditReader(place_of(postgres.url))
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == [(1,)]


def test_an_empty_schema_is_no_audit_database_to_a_reader(postgres: Database) -> None:
    with pytest.raises(ElspethError, match="is empty, not an audit database"):
        AuditReader(place_of(postgres.url))
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == [(0,)]


def test_two_schemas_of_one_database_are_two_audit_databases(begun: AuditWriter, postgres: Database) -> None:
    beside = postgres.another_schema("beside")
    AuditWriter(place_of(beside.url)).close()
    with AuditReader(place_of(beside.url)) as reader:
        assert reader.runs() == []


def test_who_may_not_create_is_told_so(postgres: Database) -> None:
    with pytest.raises(SettingsError, match="permission denied"):
        AuditWriter(place_of(postgres.url_of(postgres.reader)))


def test_a_reader_may_read_with_a_role_that_may_do_no_more(begun: AuditWriter, postgres: Database) -> None:
    with AuditReader(place_of(postgres.url_of(postgres.reader))) as reader:
        assert reader.run("latest").run_id == RUN


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda url: url.replace("-secret", "-wrong"), SettingsError, "password authentication failed"),
        (lambda url: re.sub(r"/d\d+\?", "/nothing?", url), SettingsError, "does not exist|permission denied"),
        (lambda url: url.replace("127.0.0.1", "127.0.0.2"), Temporary, "is not reachable"),
        (lambda url: url + "&nonsense=1", SettingsError, "no address of a database"),
    ],
)
def test_an_address_that_is_wrong_is_told_from_a_server_that_is_away(
    postgres: Database, change: Any, kind: type[ElspethError], words: str
) -> None:
    with pytest.raises(kind, match=words) as refused:
        AuditReader(place_of(change(postgres.url)))
    assert "secret" not in str(refused.value) + str(refused.value.details)


def test_a_session_that_was_lost_between_two_commits_is_replaced(begun: AuditWriter, postgres: Database) -> None:
    _end_sessions(postgres)
    assert begun.commit(RUN, 1, rows(0, 3)) == 1


def _end_sessions(postgres: Database) -> None:
    postgres.ask(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_run_with_a_file_imports_no_driver(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from elspeth.audit.writer import AuditWriter;"
        "from elspeth.audit.query.reader import AuditReader; p = Path(sys.argv[1]);"
        "AuditWriter(p).close(); AuditReader(p).close(); sys.exit('psycopg' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "audit.db"], check=True)
