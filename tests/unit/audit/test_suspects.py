from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth import canonical, ids
from elspeth.audit.chain.records import Records
from elspeth.audit.store.attempts import memory_marks
from elspeth.audit.store.attempts.caution_events import in_hand_event
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[AuditWriter]:
    writer = AuditWriter(tmp_path / "audit.db")
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    yield writer
    writer.close()


def suspicions(attempt: int, *facts: tuple[int, int]) -> Records:
    """Events of one attempt, in order: row index, and the deaths it had seen alone in that attempt."""
    return {
        "supervision_events": [
            (ids.event_id(RUN, attempt, number), attempt, "workers", "suspect", None,
             canonical.to_text({"row_index": row, "deaths": deaths}), NOW)
            for number, (row, deaths) in enumerate(facts, start=1)
        ]
    }  # fmt: skip


def test_only_the_last_suspicion_of_an_attempt_that_died_counts_one_more(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (0, 0), (1, 0), (2, 0)))
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    assert writer.suspects(RUN, 0) == {2: 1}


def test_deaths_add_up_over_attempts(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0), (7, 1)))
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    writer.commit(RUN, 2, suspicions(2, (7, 0)))
    writer.begin_attempt(RUN, 2, ATTEMPT, {})
    assert writer.suspects(RUN, 0) == {7: 3}


def test_a_row_keeps_the_deaths_it_saw_when_another_was_suspected_last(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0), (7, 2), (9, 0)))
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    assert writer.suspects(RUN, 0) == {7: 2, 9: 1}


def test_an_attempt_that_ended_in_order_has_killed_nobody(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0)), {"status": "interrupted", "end_reason": "stopped by SIGTERM"})
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    assert writer.suspects(RUN, 0) == {}


def test_rows_that_are_committed_are_no_suspects(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0)))
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    assert writer.suspects(RUN, 8) == {}


def died_with(attempt: int, row: int) -> Records:
    """What the attempt behind this one puts on record of what was in hand."""
    return {"supervision_events": [in_hand_event(RUN, attempt + 1, attempt, row)]}


def test_a_row_that_was_marked_as_the_one_in_hand_died_with_its_attempt_and_no_other_did(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0), (7, 1), (9, 0)))
    writer.begin_attempt(RUN, 1, ATTEMPT, died_with(1, 11))
    assert writer.suspects(RUN, 0) == {7: 1, 11: 1}


def test_a_suspect_that_was_marked_is_not_counted_twice(writer: AuditWriter) -> None:
    writer.commit(RUN, 1, suspicions(1, (7, 0), (7, 1)))
    writer.begin_attempt(RUN, 1, ATTEMPT, died_with(1, 7))
    writer.begin_attempt(RUN, 2, ATTEMPT, died_with(2, 7))
    assert writer.suspects(RUN, 0) == {7: 3}


def test_a_marked_row_that_was_committed_after_all_is_no_suspect(writer: AuditWriter) -> None:
    writer.begin_attempt(RUN, 1, ATTEMPT, died_with(1, 7))
    assert writer.suspects(RUN, 8) == {}


def test_nothing_is_suspected_of_a_death_for_want_of_memory(
    writer: AuditWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_marks, "ran_out", lambda marks, attempt, now: attempt == 1)
    writer.commit(RUN, 1, suspicions(1, (7, 0)))
    writer.begin_attempt(RUN, 1, ATTEMPT, died_with(1, 11))
    writer.begin_attempt(RUN, 2, ATTEMPT, died_with(2, 12))
    assert writer.suspects(RUN, 0) == {12: 1}
