"""A scratch database says what refused: the disk of temporary files, or the database that is read meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.store.scratch import scratch, translated_errors
from elspeth.errors import ElspethError, Temporary


def test_no_room_for_temporary_files_is_no_fault_of_the_audit_database(tmp_path: Path) -> None:
    with closing(scratch()) as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE t (x)")
        full = pytest.raises(Temporary, match="the disk of temporary files is full")
        with full, translated_errors(tmp_path / "a.db"):
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


def test_what_the_database_that_is_read_refuses_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database " * 100)
    refused = pytest.raises(ElspethError, match=r"a\.db is not a database")
    with (
        closing(sqlite3.connect(tmp_path / "a.db")) as connection,
        refused,
        translated_errors(tmp_path / "a.db"),
    ):
        connection.execute("SELECT * FROM sqlite_master")
