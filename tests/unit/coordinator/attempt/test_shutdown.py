"""How an attempt ends: every order of events, held against what an end must be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from elspeth.coordinator.attempt.shutdown import Phase, Shutdown
from elspeth.errors import ElspethError, Interrupted, PersonNeeded, TakenOver, Temporary, Terminated, from_value

STOP_SECONDS = 8.0
LATE = 100.0
DEPTH = 4

CTRL_C, SIGTERM = Interrupted("stopped by SIGINT"), Terminated("stopped by SIGTERM")
FULL, BAD, TAKEN = Temporary("disk full"), ElspethError("restart intensity exceeded"), TakenOver("taken over")

EVENTS: dict[str, Callable[[Shutdown, float], Phase | None]] = {
    "ctrl-c": lambda one, now: one.signalled(CTRL_C, now),
    "sigterm": lambda one, now: one.signalled(SIGTERM, now),
    "owned": lambda one, now: one.owned(now),
    "complete": lambda one, now: one.finished(now, complete=True),
    "drained": lambda one, now: one.finished(now, complete=False),
    "disk full": lambda one, now: one.failed(FULL, now),
    "failed": lambda one, now: one.failed(BAD, now),
    "taken over": lambda one, now: one.failed(TAKEN, now),
    "audit failed": lambda one, now: one.failed(BAD, now, audit_failed=True),
    "audit gone": lambda one, now: one.audit_gone(),
    "written": lambda one, now: one.last_word_written(),
    "early": lambda one, now: one.tick(now + 0.1),
    "late": lambda one, now: one.tick(now + LATE),
}
SIGNALS = {"ctrl-c": CTRL_C, "sigterm": SIGTERM}


@dataclass
class Path:
    """What has happened, and what was entered by it."""

    machine: Shutdown
    events: list[str] = field(default_factory=list)
    entered: list[Phase] = field(default_factory=list)
    now: float = 0.0

    def after(self, event: str) -> Path:
        path = Path(copy.copy(self.machine), [*self.events, event], [*self.entered], self.now)
        phase = EVENTS[event](path.machine, path.now)
        path.now += LATE if event == "late" else 0.2
        if phase is not None:
            assert phase == path.machine.phase
            path.entered.append(phase)
        return path


def possible(path: Path, event: str) -> bool:
    """Whether the coordinator can tell this now: it owns once, and gives way only after a signal."""
    machine = path.machine
    if event == "owned":
        return "owned" not in path.events and machine.phase < Phase.CLOSING
    return event not in ("complete", "drained") or "owned" in path.events


def paths(path: Path, depth: int) -> Iterator[Path]:
    yield path
    if depth:
        for event in EVENTS:
            if possible(path, event):
                yield from paths(path.after(event), depth - 1)


def check(path: Path) -> None:
    machine, events, entered = path.machine, path.events, path.entered
    assert entered == sorted(set(entered)), "a phase was entered twice, or left backwards"
    assert (machine.phase == Phase.RUNNING) == (not entered)
    assert (machine.last_word is not None) == (Phase.CLOSING in entered), "a last word that nobody asked for"
    if Phase.CLOSING in entered:
        assert "owned" in events, "something is to be written by an audit that owns nothing"
        assert machine.last_word is not None
        assert machine.error is not None
        if not isinstance(machine.error, TakenOver):
            interrupted = isinstance(machine.error, Interrupted | Temporary)
            assert (machine.last_word.status == "interrupted") == interrupted
            assert machine.last_word.end_reason == machine.error.message
    if machine.phase == Phase.CLOSED and machine.error is None:
        assert "complete" in events, "an attempt that ends for no reason"
    if isinstance(machine.error, Interrupted):
        asked = [SIGNALS[event] for event in events if event in SIGNALS]
        assert machine.error in asked
    if machine.phase == Phase.DRAINING:
        assert machine.error is None


def test_in_every_order_of_events_an_end_is_reached_once_and_for_the_reason_that_it_had() -> None:
    count = 0
    for begin in ((), ("owned",), ("owned", "ctrl-c")):
        for path in paths(run(*begin), DEPTH):
            check(path)
            count += 1
    assert count > 50_000


def test_no_phase_but_the_first_lasts_for_ever() -> None:
    for path in paths(Path(Shutdown(STOP_SECONDS)), 4):
        if path.machine.phase == Phase.RUNNING:
            assert path.after("late").entered == []
        else:
            end = path.after("late").after("late")
            assert end.machine.phase == Phase.CLOSED, path.events


def test_what_is_closed_stays_as_it_is() -> None:
    for path in paths(Path(Shutdown(STOP_SECONDS)), 3):
        if path.machine.phase == Phase.CLOSED:
            for event in EVENTS:
                if possible(path, event):
                    later = path.after(event)
                    assert (later.entered, later.machine.error) == (path.entered, path.machine.error), later.events


def test_the_first_reason_is_the_reason_unless_somebody_else_drives_the_run() -> None:
    for path in paths(Path(Shutdown(STOP_SECONDS)), 4):
        if path.machine.phase == Phase.CLOSING:
            for event in ("failed", "disk full", "audit failed", "ctrl-c", "complete", "drained"):
                later = path.after(event)
                assert (later.machine.phase, later.machine.error) == (Phase.CLOSING, path.machine.error), later.events
            taken = path.after("taken over")
            assert (taken.machine.phase, taken.machine.error) == (Phase.CLOSED, TAKEN)


def run(*events: str) -> Path:
    path = Path(Shutdown(STOP_SECONDS))
    for event in events:
        path = path.after(event)
    return path


def test_a_signal_gives_rows_in_hand_their_time_and_a_second_one_takes_it_and_says_why() -> None:
    assert run("owned", "ctrl-c").entered == [Phase.DRAINING]
    assert run("owned", "ctrl-c", "early").entered == [Phase.DRAINING]
    assert run("owned", "ctrl-c", "drained").machine.error is CTRL_C
    second = run("owned", "ctrl-c", "sigterm")
    assert (second.entered, second.machine.error) == ([Phase.DRAINING, Phase.CLOSING], SIGTERM)


def test_a_run_that_is_completed_while_it_drains_is_complete() -> None:
    done = run("owned", "ctrl-c", "complete")
    assert (done.machine.phase, done.machine.error) == (Phase.CLOSED, None)


def test_a_signal_before_the_run_is_owned_ends_it_when_it_is() -> None:
    early = run("sigterm", "owned")
    assert early.machine.last_word is not None
    assert early.machine.last_word.status == "interrupted"


@pytest.mark.parametrize("events", [("failed",), ("sigterm", "late"), ("audit failed",)])
def test_what_ends_before_the_run_is_owned_has_no_last_word(events: tuple[str, ...]) -> None:
    path = run(*events)
    assert (path.machine.phase, path.machine.last_word) == (Phase.CLOSED, None)


def test_drained_without_a_signal_is_no_end() -> None:
    assert run("owned", "drained").entered == []


def test_an_audit_that_is_started_once_more_gets_time_for_its_last_word() -> None:
    path = run("owned", "failed")
    path.machine.audit_began_again(path.now)
    assert path.machine.tick(path.now + STOP_SECONDS - 0.1) is None
    assert path.machine.tick(path.now + STOP_SECONDS + 0.1) == Phase.CLOSED


def test_a_mistake_of_ours_closes_whatever_was_going_on() -> None:
    mistake = ElspethError("internal error")
    for path in paths(Path(Shutdown(STOP_SECONDS)), 2):
        was_closed = path.machine.phase == Phase.CLOSED
        assert path.machine.broken(mistake) == (None if was_closed else Phase.CLOSED)
        assert path.machine.error is mistake


def test_an_audit_that_has_failed_is_not_waited_for() -> None:
    path = run("owned", "audit failed")
    assert (path.entered, path.machine.error, path.machine.last_word) == ([Phase.CLOSED], BAD, None)


@pytest.mark.parametrize(
    ("kind", "status"), [(Temporary, "interrupted"), (PersonNeeded, "interrupted"), (ElspethError, "failed")]
)
def test_a_run_that_waits_for_somebody_is_interrupted_and_says_for_what(kind: type[ElspethError], status: str) -> None:
    error = from_value(kind("the budget is spent", details=["of 5"], next_step="raise it, then resume").to_value())
    assert (type(error), error.exit_code) == (kind, kind.exit_code)
    machine = Shutdown(STOP_SECONDS)
    machine.owned(0.0)
    assert machine.failed(error, 1.0) == Phase.CLOSING
    assert machine.error is error
    assert machine.last_word is not None
    assert (machine.last_word.status, machine.last_word.failure) == (status, "the budget is spent")
    assert not machine.last_word.closed
