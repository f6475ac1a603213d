"""What a server refuses, or keeps waiting for: said in words, with its exit code, and nothing half done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import psycopg
import pytest

from elspeth.audit.connection import Lost
from elspeth.audit.dialect import stream, watch
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import PostgresPlace, place_of
from elspeth.audit.store.postgres import connection, ddl, sessions, writers_lock
from elspeth.audit.store.postgres.connection import PostgresConnection
from elspeth.audit.writer import AuditWriter
from elspeth.errors import EXIT_TEMPORARY, EXIT_USAGE, ElspethError, SettingsError, Temporary
from tests.kit.fixtures.sample_run import NOW, RUN, rows
from tests.kit.postgres.databases import Database


def test_a_schema_is_made_whole_or_not_at_all(
    place: PostgresPlace, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ddl.statements()
    monkeypatch.setattr(ddl, "statements", lambda: {**real, "broken": 'CREATE VIEW "broken" AS SELECT nothing'})
    with pytest.raises(ElspethError, match="nothing"):
        AuditWriter(place)
    assert postgres.ask("SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace") == [(0,)]
    monkeypatch.undo()
    AuditWriter(place).close()


def test_two_who_come_first_at_once_make_one_schema(place: PostgresPlace) -> None:
    failed: list[ElspethError] = []
    together = threading.Barrier(4)

    def open_it() -> None:
        try:
            together.wait()
            AuditWriter(place).close()
        except ElspethError as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_schema_that_is_not_there_is_made_by_who_may(place: PostgresPlace, postgres: Database) -> None:
    absent = PostgresPlace(place.url, 'of "ours"')
    with pytest.raises(SettingsError, match="permission denied"):
        AuditWriter(absent)
    postgres.ask(f"GRANT CREATE ON DATABASE {postgres.name} TO {postgres.role}")
    AuditWriter(absent).close()
    with AuditReader(absent) as reader:
        assert reader.runs() == []


def test_a_newer_schema_is_refused_as_such(begun: AuditWriter, place: PostgresPlace, postgres: Database) -> None:
    postgres.ask("UPDATE elspeth_schema SET version = 99")
    with pytest.raises(ElspethError, match="has schema version 99") as refused:
        AuditReader(place)
    assert refused.value.exit_code == 13


def test_where_only_reading_is_possible_a_writer_is_told_so(
    begun: AuditWriter, place: PostgresPlace, postgres: Database
) -> None:
    postgres.ask(f"ALTER ROLE {postgres.role} SET default_transaction_read_only = on")
    with AuditReader(place) as reader:
        assert reader.row_count(RUN) == 3
    writer = AuditWriter(place)
    with pytest.raises(Temporary, match="cannot be written") as refused:
        writer.commit(RUN, 1, rows(3, 6, number=2))
    writer.close()
    assert refused.value.exit_code == EXIT_TEMPORARY


def test_who_may_not_look_into_a_schema_is_told_so(
    begun: AuditWriter, place: PostgresPlace, postgres: Database
) -> None:
    postgres.ask(f'REVOKE USAGE ON SCHEMA "{postgres.schema}" FROM {postgres.reader}')
    with pytest.raises(SettingsError, match="the role may not look into the schema audit"):
        AuditReader(place_of(postgres.url_of(postgres.reader)))


def waits(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(writers_lock, "UNTIL_LOOKED_SECONDS", seconds)
    monkeypatch.setattr(writers_lock, "SILENT_SECONDS", seconds)


def test_a_writer_waits_for_another_one_and_not_for_ever(
    begun: AuditWriter, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, 0.02)
    other = AuditWriter(place)
    with begun._ledger.transaction(), pytest.raises(Temporary, match="is locked by another program"):
        other.commit(RUN, 1, rows(3, 6, number=2))
    assert other.commit(RUN, 1, rows(3, 6, number=2)) == 2
    other.close()


def test_who_stops_in_the_midst_of_writing_holds_nobody_up(
    begun: AuditWriter, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.05)
    stopped = AuditWriter(place)
    stopped._connection.execute("BEGIN IMMEDIATE")
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2
    with pytest.raises(Lost):
        stopped._connection.execute("SELECT 1")
    stopped.close()


@pytest.fixture
def in_copy(begun: AuditWriter, place: PostgresPlace) -> Iterator[PostgresConnection]:
    """A session that writes alone and has begun to send rows, of which the server has yet to see the end."""
    writer = AuditWriter(place)
    session = writer._connection
    assert isinstance(session, PostgresConnection)
    session.execute("BEGIN IMMEDIATE")
    session.session.pgconn.send_query(b"COPY commits FROM STDIN (FORMAT TEXT)")
    session.session.pgconn.get_result()
    yield session
    writer.close()


def test_who_stops_in_the_midst_of_sending_rows_is_ended_by_who_waits(
    begun: AuditWriter, in_copy: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the server that is no silence within a transaction: it waits for rows."""
    waits(monkeypatch, 0.1)
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2
    in_copy.session.pgconn.put_copy_end()
    with pytest.raises(psycopg.Error):
        in_copy.session.execute("SELECT 1")


def test_who_sends_rows_slowly_is_left_to_it(
    begun: AuditWriter, in_copy: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, 1.0)
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.01):
            in_copy.session.pgconn.put_copy_data(b"x" * 20_000)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with pytest.raises(Temporary, match="is locked by another program"):
            begun.commit(RUN, 1, rows(3, 6, number=2))
    finally:
        over.set()
        sending.join()
    in_copy.session.pgconn.put_copy_data(b"x")  # it is still there
    in_copy.session.pgconn.finish()
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Database) -> None:
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        url = postgres.server.socket_url("latin")
        with pytest.raises(SettingsError, match="keeps texts as LATIN1") as refused:
            AuditWriter(place_of(url))
        assert refused.value.exit_code == EXIT_USAGE
    finally:
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute("DROP DATABASE latin")


def test_tables_of_an_extension_are_no_other_program(place: PostgresPlace, postgres: Database) -> None:
    if not _has(postgres, "pg_stat_statements"):
        pytest.skip("this server has no extension that makes tables")
    postgres.ask(f'CREATE EXTENSION pg_stat_statements SCHEMA "{postgres.schema}"')
    AuditWriter(place).close()
    with AuditReader(place) as reader:
        assert reader.runs() == []


def _has(postgres: Database, extension: str) -> bool:
    return bool(postgres.ask(f"SELECT 1 FROM pg_available_extensions WHERE name = '{extension}'"))


def test_a_large_answer_comes_in_pieces_while_other_questions_are_asked(begun: AuditWriter) -> None:
    with AuditReader(begun.path) as reader:
        for snapshot in (False, True):
            if snapshot:
                reader.connection.execute("BEGIN")
            counted = stream(reader.connection, "SELECT n FROM generate_series(1, 5000) AS n ORDER BY n")
            assert list(islice(counted, 3)) == [(1,), (2,), (3,)]
            assert reader.row_count(RUN) == 3
            assert sum(1 for _ in counted) == 4997
            assert reader.connection.execute("SELECT count(*) FROM pg_cursors").fetchone() == (0,)
            reader.connection.execute("ROLLBACK")


def test_a_snapshot_sees_nothing_of_what_is_committed_meanwhile(begun: AuditWriter) -> None:
    with AuditReader(begun.path) as reader, reader.snapshot():
        assert reader.row_count(RUN) == 3
        begun.commit(RUN, 1, rows(3, 6, number=2))
        assert reader.row_count(RUN) == 3


def test_a_question_that_nobody_waits_for_any_more_is_given_up(begun: AuditWriter) -> None:
    with AuditReader(begun.path) as reader:
        watch(reader.connection, lambda: True)
        with pytest.raises(Temporary, match="took too long"):
            reader.connection.execute("SELECT pg_sleep(600)")


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    begun: AuditWriter, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = connection.connected, []

    def connected(*what: object, **more: object) -> object:
        tried.append(1)
        if len(tried) < 3:
            raise psycopg.OperationalError("connection failed: FATAL:  the database system is starting up")
        return real(*what, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(connection, "PAUSE_SECONDS", 0)
    postgres.ask(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2
    assert len(tried) == 3


def test_what_was_purged_is_in_no_file_of_the_tables(
    begun: AuditWriter, place: PostgresPlace, postgres: Database
) -> None:
    records = rows(3, 4, number=2)
    told = [(*record[:4], '{"id":"find me if you can"}', *record[5:]) for record in records["rows"]]
    begun.commit(RUN, 1, records | {"rows": told}, {"status": "completed", "completed_at": NOW, "end_reason": "done"})
    assert _held(postgres)
    begun.purge(run_id=RUN, user="ada", uid=1, command_line="elspeth purge", reason=None)
    postgres.ask("CHECKPOINT")
    assert not _held(postgres)


def _held(postgres: Database) -> bool:
    postgres.ask("CHECKPOINT")
    ((file,),) = postgres.ask("SELECT pg_relation_filepath('token_records')")
    return any(b"find me if you can" in path.read_bytes() for path in postgres.server.folder.rglob(file))
