"""A connection that is lost while an attempt commits: what was committed is found out, what was not is sent again."""

from __future__ import annotations

import pytest

from elspeth.audit.connection import OutcomeUnknown
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.postgres.connection import PostgresConnection
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import TakenOver, Temporary
from tests.kit.fixtures.sample_run import NOW, RUN, rows
from tests.kit.postgres.databases import Database

END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Cut:
    """At the next COMMIT the connection is lost: before the server saw it, or before its answer came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: Database, *, seen: bool, then: str = "") -> None:
        self.times = 0
        real = PostgresConnection._commit

        def commit(connection: PostgresConnection) -> object:
            self.times += 1
            if self.times > 1:
                return real(connection)
            if seen:
                real(connection)
                connection.session.close()
            database.ask(END_SESSIONS)
            if then:
                database.ask(then)
            if seen:
                raise OutcomeUnknown("server closed the connection unexpectedly")
            return real(connection)

        monkeypatch.setattr(PostgresConnection, "_commit", commit)


@pytest.mark.parametrize("seen", [False, True])
def test_a_commit_whose_answer_was_lost_is_there_once(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    cut = Cut(monkeypatch, postgres, seen=seen)
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2
    assert cut.times == (1 if seen else 2)
    assert postgres.ask("SELECT count(*), max(commit_no) FROM rows") == [(6, 2)]
    assert begun.commit(RUN, 1, rows(6, 9, number=3)) == 3
    with AuditReader(begun.path) as reader:
        assert verify_run(reader, RUN) == []


def test_a_session_that_ends_within_a_transaction_is_replaced_and_all_of_it_sent_again(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = PostgresConnection.copy, []

    def copy(connection: PostgresConnection, *what: object) -> None:
        times.append(1)
        if len(times) == 2:
            postgres.ask(END_SESSIONS)
        real(connection, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresConnection, "copy", copy)
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2
    assert postgres.ask("SELECT count(*), max(commit_no) FROM rows") == [(6, 2)]


def test_an_attempt_that_was_taken_over_meanwhile_does_not_send_again(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cut(monkeypatch, postgres, seen=False, then="UPDATE runs SET attempt = 2")
    with pytest.raises(TakenOver):
        begun.commit(RUN, 1, rows(3, 6, number=2))
    assert postgres.ask("SELECT count(*) FROM rows") == [(3,)]


def test_a_server_that_lost_what_it_had_acknowledged_is_not_written_to(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in ("commits", "commit_tables", "token_records", "state_records", "outcome_records", "checkpoints"):
        postgres.ask(f"DELETE FROM {table} WHERE commit_no > 0")
    with pytest.raises(Temporary, match="was emptied or replaced while it was written to") as refused:
        begun.commit(RUN, 1, rows(3, 6, number=2))
    assert f"commit 1 of run {RUN}" in refused.value.details[0]
    assert postgres.ask("SELECT max(commit_no) FROM commits") == [(0,)]


@pytest.mark.parametrize("seen", [False, True])
def test_a_heartbeat_whose_answer_was_lost_is_repeated(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    Cut(monkeypatch, postgres, seen=seen)
    begun.heartbeat(RUN, 1, 5, NOW)
    assert postgres.ask("SELECT heartbeat_number FROM run_attempts") == [(5,)]
