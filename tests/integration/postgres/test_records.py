"""Small records in PostgreSQL say what was given to them, and their views what those in SQLite say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.audit.chain.records import COLUMNS, Records
from elspeth.audit.mapping.names import Names
from elspeth.audit.mapping.pack import packed
from elspeth.audit.mapping.stored_frames import stored_frame
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.mapping.typed_records import hashed, mixed, typed, unhashed, unmixed, untyped
from elspeth.audit.store.commits.commit_records import PreparedCommit
from elspeth.audit.store.commits.inserts import PostgresInserts
from elspeth.audit.store.place import place_of
from elspeth.audit.store.postgres.connection import PostgresConnection
from elspeth.audit.writer import AuditWriter
from tests.kit.audit_records import RUN, tables
from tests.kit.fixtures.sample_run import ATTEMPT, RUN_COLUMNS
from tests.kit.postgres.databases import Database

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


@pytest.fixture
def connection(postgres: Database) -> Iterator[PostgresConnection]:
    place = place_of(postgres.url)
    writer = AuditWriter(place)
    writer.create_run(RUN_COLUMNS, ATTEMPT, {})
    writer.close()
    connection = PostgresConnection(place, reading=False)  # type: ignore[arg-type]
    yield connection
    connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables())
def test_what_is_read_is_what_was_written_whatever_it_was(connection: PostgresConnection, records: Records) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        names = Names(connection, RUN)
        for table, made in packed(records).items():
            batch = PreparedCommit(RUN)
            PostgresInserts(connection).stored(batch, table, [stored_frame(table, made)], 7, names.numbers)
        found: dict[str, list[Any]] = {}
        for table in HELD_IN:
            key = COLUMNS[table][0]
            found[table] = connection.execute(
                f"SELECT {', '.join(COLUMNS[table])} FROM {table} ORDER BY {key}"
            ).fetchall()
            asked = f"SELECT run_id, commit_no, row_index = CAST(substr({key}, 10, 9) AS BIGINT) FROM {table}"
            assert {row[:2] for row in connection.execute(asked)} <= {(RUN, 7)}
            assert table == "rows" or all(row[2] for row in connection.execute(asked))
    finally:
        connection.execute("ROLLBACK")
    # repr: 0.0 is not -0.0, and 1 is not 1.0.
    assert repr(found) == repr({table: sorted(records[table], key=lambda record: record[0]) for table in HELD_IN})


@given(tables())
def test_typed_records_lose_nothing(records: Records) -> None:
    for table, made in packed(records).items():
        assert repr(untyped(STORED[table], typed(STORED[table], made))) == repr(made)


@given(st.none() | st.integers() | texts)
def test_mixed_values_come_back(value: Any) -> None:
    assert unmixed(mixed(value)) == value


@given(st.sampled_from([None, 1]) | texts | st.binary(min_size=32, max_size=32))
def test_hashes_come_back(value: Any) -> None:
    assert unhashed(hashed(value)) == value
