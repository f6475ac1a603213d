"""Who owns a run is asked of the database that the attempt is recorded in: another file under its name is no answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.fencing import prove_ownership
from elspeth.audit.writer import AuditWriter
from elspeth.errors import TakenOver, Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning


def recorded(path: Path, run_id: str = RUN) -> None:
    with closing(AuditWriter(path)) as writer:
        writer.create_run({**RUN_COLUMNS, "run_id": run_id}, ATTEMPT, beginning() if run_id == RUN else {})


def empty_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE something (n INTEGER)")


def test_only_the_latest_attempt_owns_the_run(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    recorded(path)
    prove_ownership(path, RUN, 1)
    with closing(AuditWriter(path)) as writer:
        writer.begin_attempt(RUN, 1, {**ATTEMPT, "pid": 77}, {})
    prove_ownership(path, RUN, 2)
    with pytest.raises(TakenOver, match="was taken over by attempt 2; this is attempt 1"):
        prove_ownership(path, RUN, 1)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "was deleted or moved"),
        (Path.touch, "is another file now"),
        (empty_database, "is another file now"),
        (lambda path: recorded(path, "aaaaaaaa"), "is another file now"),
    ],
    ids=["nothing", "an empty file", "a database of somebody's", "an audit database without the run"],
)
def test_what_stands_in_place_of_the_database_takes_nothing_over(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    path = tmp_path / "audit.db"
    make(path)
    with pytest.raises(Temporary, match=f"{path} {what} while it was written to"):
        prove_ownership(path, RUN, 1)
