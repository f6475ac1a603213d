"""The audit process dies at each of its moments while its database is on a server: the run ends as if it had not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import OnServer
from tests.kit.processes.tree import outputs

ROWS = 200

POINTS = {
    "audit.before_begin": 1, "audit.in_start": 1, "audit.after_begin": 1, "audit.before_owned": 1,
    "audit.after_owned": 1, "audit.before_record": 3, "audit.before_commit": 3, "audit.in_transaction": 3,
    "audit.after_commit": 3, "audit.before_durable": 3, "audit.after_durable": 3, "audit.before_close": 1,
    "audit.after_close": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    """The outputs with a file for a database, and nobody dying."""
    return outputs_of(ROWS, ordered=True)


@pytest.mark.parametrize("point", POINTS)
def test_a_run_goes_on_where_its_audit_process_died(
    point: str, postgres: Database, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    here = OnServer(postgres, lay(tmp_path / "run", ROWS, settings(ordered=True)))
    mark = tmp_path / "mark"
    here.environ["CRASH_POINT"] = f"{point}:{POINTS[point]}:{mark}"
    with here.run() as tree:
        assert tree.wait() == 0, tree.log
    assert mark.exists()
    assert outputs(here.folder) == undisturbed
    run_id, status, attempt = here.latest()
    assert (status, attempt) == ("completed", 1)
    assert postgres.ask("SELECT count(*), count(DISTINCT row_index) FROM rows") == [(ROWS, ROWS)]
    here.elspeth("verify", run_id, "--outputs")


def test_a_take_over_that_dies_in_the_midst_is_none(
    postgres: Database, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    here = OnServer(postgres, lay(tmp_path / "run", ROWS, settings(ordered=True, max_restarts=0)))
    here.environ["CRASH_POINT"] = f"audit.in_transaction:4:{tmp_path / 'first'}"
    with here.run() as tree:
        assert tree.wait() != 0
    here.environ["CRASH_POINT"] = f"audit.in_take_over:1:{tmp_path / 'second'}"
    with here.resume() as tree:
        assert tree.wait() != 0
    assert (tmp_path / "second").exists()
    assert here.latest()[2] == 1
    with here.resume() as tree:
        assert tree.wait() == 0, tree.log
    assert here.latest()[1:] == ("completed", 2)
    assert outputs(here.folder) == undisturbed
    here.elspeth("verify", here.latest()[0], "--outputs")
