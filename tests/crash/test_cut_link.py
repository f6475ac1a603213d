"""The link between a run and its server is cut: the run goes on once it is mended, or another machine has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import place_of
from elspeth.runs.liveness.evidence import gather
from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.judge import Verdict, judge
from tests.kit import network
from tests.kit.pipelines.trial import lay, settings
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.postgres.databases import Database, fresh_database
from tests.kit.postgres.runs import VARIABLE, OnServer
from tests.kit.postgres.server import Server, missing
from tests.kit.processes.tree import Tree, outputs
from tests.kit.processes.waiting import wait_until

if why := missing() or network.missing():
    pytest.skip(why, allow_module_level=True)

ROWS = 160
SHORT_SECONDS = 1.5
NOTICED_SECONDS = 3.0
"""At least so long after the cut a server believes in the run: it gives up ten seconds after the last sign of life,
which may be five seconds older than the cut."""

SOON = "connect_timeout=2&tcp_user_timeout=2000&keepalives_idle=1&keepalives_interval=1&keepalives_count=2"


@pytest.fixture
def link() -> Iterator[network.Link]:
    with network.Link() as made:
        yield made


@pytest.fixture
def database() -> Iterator[Database]:
    with Server(listen_addresses="*") as server:
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 scram-sha-256\n")
        with psycopg.connect(server.socket_url(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        with fresh_database(server) as made:
            yield made


@pytest.fixture
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS)


def from_elsewhere(database: Database, run_id: str) -> Verdict:
    """What another machine, which reaches the server, finds out about the run's last attempt."""
    place = place_of(database.url)
    with AuditReader(place) as reader:
        identity = AttemptIdentity.from_columns(asdict(reader.attempts(run_id)[-1]))
    return judge(gather(replace(identity, host="far", boot_id="another", process_start_ticks=1), database=place))


def test_a_run_survives_a_cut_link_and_what_comes_back_too_late_changes_nothing(
    link: network.Link, database: Database, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    slow = settings(delay=0.05, workers=1, watchdog_seconds=100, max_restarts=0)
    here = OnServer(database, lay(tmp_path / "run", ROWS, slow))
    through = {VARIABLE: database.url.replace("127.0.0.1", link.here)}
    words = ("run", "--settings", "pipeline.yaml", "--execute")
    with Tree(here.folder, *words, environ=through, before=link.enter) as old:
        wait_until(lambda: not old.running or here.committed() > 20, "rows were committed")
        assert old.running, old.log
        run_id = here.latest()[0]

        link.cut()
        until = time.monotonic() + SHORT_SECONDS
        wait_until(lambda: not old.running or time.monotonic() > until, "the link was down for a while")
        link.mend()
        before = here.committed()
        wait_until(lambda before=before: not old.running or here.committed() > before, "rows were committed again")
        assert old.running, old.log

        link.cut()
        at = time.monotonic()
        assert from_elsewhere(database, run_id).state == "alive"
        wait_until(lambda: from_elsewhere(database, run_id).dead, "another machine believes that it is dead")
        assert time.monotonic() - at > NOTICED_SECONDS
        elsewhere = {"environ": here.environ, "before": network.another_machine(tmp_path)}
        with Tree.resume(here.folder, **elsewhere) as new:
            wait_until(lambda: not new.running or here.latest()[2] == 2, "another machine has it")
            link.mend()
            ended = old.wait()
            assert ended in (9, 75), old.log
            code = new.wait()
        assert not old.survivors()
        if code == 3:  # both machines have the same disk, and the outputs were still held by who comes too late
            assert "another process is writing output/" in new.log
            with Tree.resume(here.folder, **elsewhere) as new:
                code = new.wait()
        assert code == 0, new.log + old.log
    assert here.latest()[:2] == (run_id, "completed")
    assert database.ask("SELECT DISTINCT host FROM run_attempts WHERE attempt > 1") == [("elsewhere",)]
    assert database.ask("SELECT count(*), count(DISTINCT row_index) FROM rows") == [(ROWS, ROWS)]
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", run_id, "--outputs")


def test_a_link_that_stays_down_ends_the_run_with_75_within_bounds(
    link: network.Link, database: Database, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """Bounds that the URL sets: those that hold without it are what the other test waits for."""
    here = OnServer(database, lay(tmp_path / "run", ROWS, settings(delay=0.01, max_restarts=0)))
    url = database.url.replace("127.0.0.1", link.here)
    through = {VARIABLE: f"{url}&{SOON}"}
    words = ("run", "--settings", "pipeline.yaml", "--execute")
    with Tree(here.folder, *words, environ=through, before=link.enter) as tree:
        wait_until(lambda: not tree.running or here.committed() > 20, "rows were committed")
        link.cut()
        assert tree.wait() == 75, tree.log
    assert "elspeth resume" in tree.log
    link.mend()
    with Tree.resume(here.folder, environ={VARIABLE: url}, before=link.enter) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", "latest", "--outputs")
