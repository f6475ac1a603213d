"""The server that tests use starts, stops and crashes as servers do, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.repository import ROOT
from tests.kit.postgres.server import Server, missing
from tests.kit.processes.waiting import wait_until

if why := missing():
    pytest.skip(why, allow_module_level=True)

import psycopg

from tests.kit.postgres.databases import Database, fresh_database

KILLED = """
import sys, time
from tests.kit.postgres.server import Server
with Server() as server:
    print(server.folder, server.process.pid, flush=True)
    time.sleep(3600)
"""


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_it_keeps_what_was_committed_over_an_immediate_stop_and_a_killed_backend_and_leaves_nothing() -> None:
    with Server() as server:
        with fresh_database(server) as database:
            options = "-c search_path=audit"
            with closing(psycopg.connect(database.plain_url(), options=options)) as connection:
                connection.execute("CREATE TABLE kept (n integer)")
                connection.execute("INSERT INTO kept VALUES (1)")
                connection.commit()
                connection.execute("INSERT INTO kept VALUES (2)")
                server.restart("immediate")
                with pytest.raises(psycopg.OperationalError):
                    connection.commit()
            assert database.ask("SELECT n FROM kept") == [(1,)]
            with (
                closing(psycopg.connect(database.plain_url())) as one,
                closing(psycopg.connect(database.plain_url())) as another,
            ):
                server.kill_backend(another.info.backend_pid)
                with pytest.raises(psycopg.OperationalError):
                    one.execute("SELECT 1")
            assert database.ask("SELECT n FROM kept") == [(1,)]
        folder, process = server.folder, server.process
        assert process is not None
    assert not folder.exists()
    assert process.poll() is not None


def test_it_ends_with_a_test_process_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder, server = process.stdout.readline().split()
        assert Path(folder).is_dir()
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: gone(int(server)), "the server ended")
    wait_until(lambda: not Path(folder).exists(), "its folder is removed")


def test_a_role_has_rights_on_its_schema_alone_and_a_reader_only_reads(postgres: Database) -> None:
    with psycopg.connect(postgres.plain_url(), options="-c search_path=audit", autocommit=True) as owner:
        owner.execute("CREATE TABLE made AS SELECT 1 AS n")
        for words in ("CREATE TABLE public.elsewhere (n integer)", "CREATE SCHEMA another"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(words)
    url = postgres.plain_url(postgres.reader)
    with psycopg.connect(url, options="-c search_path=audit", autocommit=True) as reader:
        assert reader.execute("SELECT n FROM made").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("INSERT INTO made VALUES (2)")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.plain_url(password="wrong"))


def test_every_test_finds_a_database_that_is_empty(postgres: Database) -> None:
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'audit'") == [(0,)]
    assert postgres.ask("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1") == [
        (postgres.name,), ("postgres",)]  # fmt: skip
