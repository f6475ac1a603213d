"""Recorded events and operators' acts as sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elspeth.audit.query.values import Attempt, EventRecord, OperatorAction
from elspeth.runs.views.history import history


def event(
    child: str | None, what: str, pid: int | None = 7, at: str = "2026-01-01T00:00:00Z", **facts: Any
) -> EventRecord:
    return EventRecord(f"mf3k2a9x!0001.{what}", 1, child, what, pid, json.dumps(facts) if facts else None, at)


def attempt(end_reason: str | None = None, container_id: str | None = None) -> Attempt:
    return Attempt(
        "mf3k2a9x", 1, "web-1", "boot", "pid:[1]", 4242, 0.0, 1, container_id, "ada", 1000, "elspeth run", "/lock",
        None, "2026-01-01T00:00:00Z", 0, None, None, end_reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (event("source", "exited", signal="SIGKILL", reason="signal", exit_code=None),
         "source (pid 7) was killed by SIGKILL"),
        (event("source", "exited", signal=None, reason="exited", exit_code=70),
         "source (pid 7) ended with exit code 70"),
        (event("worker-1", "exited", signal="SIGKILL", reason="hang"), "worker-1 (pid 7) hung and was killed"),
        (event("worker-1", "exited", signal="SIGKILL", reason="memory"), "worker-1 (pid 7) ran out of memory"),
        (event("worker-1", "exited", signal="SIGKILL", reason="killed:did not stop in 1 s"),
         "worker-1 (pid 7) was killed: did not stop in 1 s"),
        (event("worker-5", "exited", reason="place", node="node-b (10.0.0.2)", lost="the node agent ended"),
         "worker-5 (pid 7 on node-b (10.0.0.2)) was lost: the node agent ended"),
        (event("worker-5", "exited", pid=None, reason="place"), "worker-5 was lost: its place was"),
        (event("worker-5", "restarted", node="node-b"), "worker-5 (pid 7 on node-b) was started again"),
        (event("run", "cluster", asked="up to 4 on the cluster of this machine"),
         "workers on other machines were asked for: up to 4 on the cluster of this machine"),
        (event("audit", "restarted"), "audit (pid 7) was started again"),
        (event("audit", "gave_up", pid=None, reason="audit died after 3 restarts"),
         "audit kept dying: audit died after 3 restarts"),
        (event("workers", "suspect", row_index=42, reason="SIGSEGV"), "row 42 is suspected: SIGSEGV"),
        (event("workers", "quarantined", row_index=42), "row 42 was set aside: it killed its workers"),
        (event("sinks", "cut", size_bytes=1234, path="a.csv", copy="state/cut/a"),
         "1,234 bytes cut off a.csv; a copy is in state/cut/a"),
        (event("run", "killed_leftover"), "process 7, left over from an earlier attempt, was killed"),
        (event("run", "stopping", reason="stopped by SIGTERM"), "stopped by SIGTERM"),
        (event(None, "started"), "attempt 1 began: ada, pid 4242 on web-1"),
        (event(None, "completed"), "the run completed"),
        (event(None, "caution", rows=4000, recorded=False),
         "attempts had died at one place: its first 4000 rows go one at a time"),
        (event(None, "in_hand", attempt=3, row_index=42), "row 42 was the one in hand when attempt 3 died"),
    ],
)  # fmt: skip
def test_an_event_is_told_in_a_sentence(told: EventRecord, sentence: str) -> None:
    assert [happening.sentence for happening in history([attempt()], [told], [])] == [sentence]


def test_the_end_of_a_run_is_told_with_its_reason() -> None:
    (told,) = history([attempt("stopped by SIGINT")], [event(None, "interrupted")], [])
    assert told.sentence == "the run is interrupted: stopped by SIGINT"


def test_a_container_is_named_with_its_driver() -> None:
    (told,) = history([attempt(container_id="c0ffee" * 8)], [event(None, "started")], [])
    assert told.sentence.endswith("on web-1 in container c0ffeec0ffee")


@pytest.mark.parametrize("quiet", [event("source", "started"), event(None, "unit"), event(None, "fix.000000003")])
def test_what_nobody_needs_to_know_is_left_out(quiet: EventRecord) -> None:
    assert history([attempt()], [quiet], []) == []


def test_what_operators_did_stands_among_the_events_by_time() -> None:
    action = OperatorAction("a", "ada", 1, "elspeth", "no use", "mark_failed", "{}", "2026-01-01T00:00:01Z")
    events = [event("audit", "restarted", at="2026-01-01T00:00:02Z"), event(None, "started")]
    assert [told.sentence for told in history([attempt()], events, [action])][1] == "given up by ada: no use"
