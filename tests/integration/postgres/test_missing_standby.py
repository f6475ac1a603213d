"""A standby that commits wait for is not there: a commit waits until it comes; one that was broken off is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import NOW, RUN, rows
from tests.kit.pipelines.trial import lay, settings
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import OnServer
from tests.kit.processes.waiting import wait_until

WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"
    " AND pid <> pg_backend_pid()"
)


class Standby:
    """A standby by name, which is not there. `wanted`: commits wait for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wanted(self, yes: bool) -> None:
        value = "'nobody'" if yes else "''"
        with psycopg.connect(self._database.admin_url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: self._says() == ("nobody" if yes else ""), "the server read its settings")

    def waits(self) -> list[int]:
        """The backends that wait for it."""
        return [pid for (pid,) in self._database.ask(WAITING)]

    def break_off(self, how: str) -> None:
        """End the waiting of every backend that does, as an operator would."""
        wait_until(self.waits, "a commit waits")
        self._database.ask(f"SELECT {how}(pid) FROM ({WAITING}) AS waiting")

    def _says(self) -> str:
        return str(self._database.ask("SHOW synchronous_standby_names")[0][0])


@pytest.fixture
def standby(postgres: Database) -> Iterator[Standby]:
    found = Standby(postgres)
    yield found
    found.wanted(False)


def beside(what: Callable[[], int]) -> Future[int]:
    """Do this in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(what)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.parametrize("how", ["it comes", "pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_waits_is_there_once(how: str, begun: AuditWriter, standby: Standby, postgres: Database) -> None:
    standby.wanted(True)
    done = beside(lambda: begun.commit(RUN, 1, rows(3, 6, number=2)))
    wait_until(standby.waits, "the commit waits")
    assert not done.done()
    if how != "it comes":
        standby.break_off(how)
    standby.wanted(False)
    assert done.result(60) == 2
    assert postgres.ask("SELECT count(*), max(commit_no) FROM rows") == [(6, 2)]
    assert begun.commit(RUN, 1, rows(6, 7, number=3), {"status": "completed", "completed_at": NOW}) == 3
    with AuditReader(begun.path) as reader:
        assert verify_run(reader, RUN) == []


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_run_whose_commits_are_broken_off_goes_on_or_is_resumed(
    how: str, postgres: Database, standby: Standby, tmp_path: Path
) -> None:
    here = OnServer(postgres, lay(tmp_path / "run", 200, settings(delay=0.005, max_restarts=0)))
    with here.run() as tree:
        wait_until(lambda: not tree.running or here.committed() > 20, "rows were committed")
        standby.wanted(True)
        standby.break_off(how)
        standby.wanted(False)
        code = tree.wait()
    assert code in (0, 75), tree.log
    if code:
        with here.resume() as tree:
            assert tree.wait() == 0, tree.log
    assert postgres.ask("SELECT count(*), count(DISTINCT row_index) FROM rows") == [(200, 200)]
    here.elspeth("verify", "latest", "--outputs")
