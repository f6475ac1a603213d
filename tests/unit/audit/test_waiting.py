"""What a run waits for, as readers find it on record: the latest word, until rows are committed behind it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elspeth import ids
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.waiting import waiting
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning, rows

LATER = datetime(2026, 1, 2, 3, 4, 15, 678000, UTC)  # ten seconds after NOW


def told(path: Path) -> str:
    with AuditReader(path) as reader:
        return waiting(reader, reader.run(RUN), LATER)


def say(writer: AuditWriter, number: int, what: str) -> None:
    detail = f'{{"seconds":10,"waiting_for":"{what}"}}'
    event = (ids.event_id(RUN, 1, number), 1, "run", "waiting", None, detail, NOW)
    writer.commit(RUN, 1, {"supervision_events": [event]})


@pytest.mark.parametrize("checkpoints", [True, False])
def test_the_latest_word_holds_until_rows_are_committed(path: Path, writer: AuditWriter, checkpoints: bool) -> None:
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    assert told(path) == ""
    say(writer, 1, "the source has given no row")
    assert told(path) == "no row finished for 20 s: the source has given no row"

    def commit(first: int, number: int) -> None:
        found = rows(first, first + 10, number=number)
        if not checkpoints:
            del found["checkpoints"]
        writer.commit(RUN, 1, found)

    commit(0, 1)
    assert told(path) == ""
    say(writer, 2, "worker-1 is at work")
    say(writer, 3, "waiting for provider main: 429")
    assert told(path).endswith(": waiting for provider main: 429")
    commit(10, 2)
    assert told(path) == ""


def test_a_run_that_has_ended_waits_for_nothing(path: Path, writer: AuditWriter) -> None:
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    say(writer, 1, "worker-1 is at work")
    writer.commit(RUN, 1, {}, {"status": "interrupted", "end_reason": "stopped"})
    assert told(path) == ""


def test_what_an_earlier_attempt_waited_for_is_past(path: Path, writer: AuditWriter) -> None:
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    say(writer, 1, "worker-1 is at work")
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    assert told(path) == ""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM supervision_events WHERE event = 'waiting'").fetchone() == (1,)
