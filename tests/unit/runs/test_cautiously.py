"""When a resume begins row by row, and how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.identity import here
from elspeth.audit.query.values import Attempt, CheckpointRecord, EventRecord
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.roles.flush_mark import Flush
from elspeth.runs.lifecycle.cautiously import caution_after
from elspeth.runs.liveness.row_mark import Marked

RUN, ROWS = "mf3k2a9x", 4000
MARKED, RECORDED = Caution(ROWS), Caution(ROWS, recorded=True)
ENDED = "stopped by SIGTERM"


def attempt(number: int, end_reason: str | None = None, boot_id: str | None = None) -> Attempt:
    return Attempt(
        RUN, number, "web-1", boot_id or here()[0], "pid:[1]", 4242, 0.0, 1, None, "ada", 1000, "elspeth run", "/lock",
        None, "2026-01-01T00:00:00Z", 0, None, None, end_reason,
    )  # fmt: skip


def checkpoint(of: int) -> CheckpointRecord:
    return CheckpointRecord(f"{RUN}#000000001", of, 1, None, None, "{}", "2026-01-01T00:00:00Z", 1)


def began(number: int, caution: Caution) -> EventRecord:
    detail = json.dumps({"rows": caution.rows, "recorded": caution.recorded})
    return EventRecord(f"{RUN}!{number:04d}.caution", number, None, "caution", None, detail, "2026-01-01T00:00:00Z")


def after(*attempts: Attempt, **more: Any) -> Caution:
    """What is done after these; `of` is the attempt that committed last."""
    given: dict[str, Any] = {"events": [], "ran_out": set(), "marked": None, "rows": ROWS, **more}
    of = given.pop("of", 1)
    return caution_after(attempts, given.pop("events"), checkpoint(of) if of else None, **given)


def test_two_attempts_that_died_at_one_place_ask_for_caution() -> None:
    assert after(attempt(1), attempt(2)) == MARKED
    assert after(attempt(1), attempt(2, "taken over by attempt 3")) == MARKED


@pytest.mark.parametrize(
    ("attempts", "more"),
    [
        ((attempt(1),), {}),
        ((attempt(1), attempt(2, ENDED)), {}),
        ((attempt(1, ENDED), attempt(2)), {}),
        ((attempt(1), attempt(2)), {"of": 2}),  # the second came on
        ((attempt(1), attempt(2)), {"of": None}),
        ((attempt(1), attempt(2)), {"ran_out": {1}}),
        ((attempt(1), attempt(2)), {"ran_out": {2}}),
    ],
)
def test_else_there_is_none(attempts: tuple[Attempt, ...], more: dict[str, Any]) -> None:
    assert after(*attempts, **more) == NO_CAUTION


@pytest.mark.parametrize(
    ("marked", "caution"),
    [
        (Marked(True, 7), MARKED),  # it is known now
        (Marked(False, None), MARKED),  # it died before it touched a row
        (Marked(True, None), RECORDED),  # it died between two rows
        (None, RECORDED),  # its mark is gone
        (Marked(True, None, held=(Flush("r.1@batch", "batch"),)), MARKED),  # a batch is known
        (Marked(True, None, many=True), MARKED),  # it died behind them
    ],
)
def test_rows_are_marked_as_long_as_that_is_of_use(marked: Marked | None, caution: Caution) -> None:
    died = attempt(2), attempt(3)
    assert after(*died, events=[began(3, MARKED)], marked=marked) == caution
    assert after(*died, events=[began(2, RECORDED), began(3, MARKED)], marked=marked) == caution
    assert after(*died, events=[began(3, RECORDED)], marked=marked) == RECORDED


@pytest.mark.parametrize(("given_out", "rows"), [(None, ROWS), (150, 50), (9000, ROWS), (100, 1)])
def test_rows_that_nobody_was_given_need_no_caution(given_out: int | None, rows: int) -> None:
    marked = Marked(False, None, given_out=given_out)
    assert after(attempt(1), attempt(2), marked=marked, committed=100) == Caution(rows)


def test_a_row_that_may_have_taken_the_machine_down_is_recorded() -> None:
    assert after(attempt(1), attempt(2, boot_id="another boot")) == RECORDED
    assert after(attempt(1, boot_id="another boot"), attempt(2)) == MARKED
