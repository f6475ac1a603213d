"""What follows the end of a child, decided without a process and without a clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import ChildDown, GaveUp, Identity, RestartIntensity
from actors.spec import Restart
from actors.strategy import Command, StartDue, Stop, Strategy, Supervision

NOBODY = Identity(1, 0.0, "", "", "", 1)
START = [StartDue()]


def down(name: str, exit_code: int | None = 70) -> ChildDown:
    return ChildDown(name, NOBODY, 1, exit_code, None if exit_code is not None else "SIGKILL", "exited", -1, 0, "")


class Children:
    """A supervision whose commands are carried out by hand."""

    def __init__(self, strategy: Strategy, *, restarts: int = 3, **kinds: Restart) -> None:
        self.supervision = Supervision(strategy, RestartIntensity(restarts, 60.0))
        self.kinds = kinds
        for name, restart in kinds.items():
            self.supervision.added(name)
            self.supervision.started(name, restart)

    def ended(self, name: str, exit_code: int | None = 70, now: float = 0.0, cause: Any = None) -> list[Command]:
        return self.supervision.ended(down(name, exit_code), now, cause)

    def start_due(self) -> list[str]:
        names = list(self.supervision.due())
        for name in names:
            self.supervision.started(name, self.kinds[name])
        return names


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_a_permanent_child_is_started_again_whatever_it_ended_of(strategy: Strategy) -> None:
    children = Children(strategy, a="permanent")
    for exit_code in (0, 70, None):
        assert children.ended("a", exit_code) == START
        assert children.start_due() == ["a"]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_a_transient_child_is_started_again_unless_it_ended_normally(strategy: Strategy) -> None:
    children = Children(strategy, a="transient", b="permanent")
    assert children.ended("a", 0) == []
    assert children.start_due() == []
    children.supervision.started("a", "transient")
    assert children.ended("a", 70) != []


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_a_temporary_child_is_never_started_again_and_nobody_is_stopped_for_it(strategy: Strategy) -> None:
    children = Children(strategy, a="temporary", b="permanent")
    assert children.ended("a", None) == []
    assert children.supervision.due() == ()


def test_one_for_one_leaves_the_others_alone() -> None:
    children = Children("one_for_one", a="permanent", b="permanent", c="permanent")
    assert children.ended("b") == START
    assert children.start_due() == ["b"]


def test_rest_for_one_stops_those_after_it_one_by_one_the_last_first_and_starts_them_in_order() -> None:
    children = Children("rest_for_one", a="permanent", b="permanent", c="transient", d="permanent")
    assert children.ended("b") == [Stop("d")]
    assert children.supervision.due() == ()
    assert children.ended("d", 0) == [Stop("c")]
    assert children.ended("c", 0) == START
    assert children.start_due() == ["b", "c", "d"]


def test_a_temporary_child_that_rest_for_one_stopped_stays_down() -> None:
    children = Children("rest_for_one", a="permanent", b="temporary")
    assert children.ended("a") == [Stop("b")]
    assert children.ended("b", 0) == START
    assert children.start_due() == ["a"]


@pytest.mark.parametrize("exit_code", [0, 70, None])
def test_a_child_that_dies_while_it_is_being_stopped_is_down_and_costs_no_restart(exit_code: int | None) -> None:
    children = Children("rest_for_one", restarts=1, a="permanent", b="permanent")
    assert children.ended("a") == [Stop("b")]
    assert children.ended("b", exit_code) == START
    assert children.start_due() == ["a", "b"]


def test_a_child_that_dies_before_its_turn_to_be_stopped_costs_no_restart_either() -> None:
    children = Children("rest_for_one", restarts=1, a="permanent", b="permanent", c="permanent")
    assert children.ended("a") == [Stop("c")]
    assert children.ended("b") == []
    assert children.ended("c", 0) == START
    assert children.start_due() == ["a", "b", "c"]


def test_a_death_further_up_during_a_restart_joins_it() -> None:
    children = Children("rest_for_one", a="permanent", b="permanent", c="permanent")
    assert children.ended("b") == [Stop("c")]
    assert children.ended("a") == []
    assert children.ended("c", 0) == START
    assert children.start_due() == ["a", "b", "c"]


def test_a_death_further_up_between_the_decision_and_the_start_waits_for_those_who_live() -> None:
    children = Children("rest_for_one", a="permanent", b="permanent", c="permanent")
    assert children.ended("c") == START
    assert children.ended("a") == [Stop("b")]
    assert children.start_due() == []  # what was to be carried out is overtaken
    assert children.ended("b", 0) == START
    assert children.start_due() == ["a", "b", "c"]


def test_a_child_that_was_asked_to_stop_stays_down_however_it_ends() -> None:
    for exit_code in (0, 70, None):
        children = Children("one_for_one", a="permanent")
        children.supervision.resigned("a")
        assert children.ended("a", exit_code) == []
        assert children.supervision.due() == ()
        children.supervision.started("a", "permanent")
        assert children.ended("a") == START


def test_a_child_asked_to_stop_while_it_is_down_is_not_started() -> None:
    children = Children("one_for_one", a="permanent")
    assert children.ended("a") == START
    children.supervision.resigned("a")
    assert children.start_due() == []


def test_rest_for_one_waits_for_a_child_that_goes_anyway_and_does_not_bring_it_back() -> None:
    children = Children("rest_for_one", a="permanent", b="permanent")
    children.supervision.resigned("b")
    assert children.ended("a") == [Stop("b")]
    assert children.ended("b", 0) == START
    assert children.start_due() == ["a"]


def test_one_death_more_than_the_intensity_allows_gives_the_child_up() -> None:
    children = Children("one_for_one", restarts=2, a="permanent", b="permanent")
    for now in (0.0, 1.0):
        assert children.ended("a", now=now) == START
        children.start_due()
    (gave_up,) = children.ended("a", now=2.0)
    assert isinstance(gave_up, GaveUp)
    assert (gave_up.name, len(gave_up.exits)) == ("a", 3)
    assert "2 restarts in the last 60 s" in gave_up.reason
    assert children.supervision.due() == ()
    assert children.ended("b", now=61.5) == START  # the others are supervised as before


def test_those_after_a_child_that_is_given_up_are_stopped_and_stay_down_under_rest_for_one() -> None:
    children = Children("rest_for_one", restarts=0, a="permanent", b="permanent", c="permanent")
    gave_up, stop = children.ended("b")
    assert isinstance(gave_up, GaveUp)
    assert stop == Stop("c")
    assert children.ended("c", 0) == []
    assert children.supervision.due() == ()


def test_deaths_of_one_cause_are_counted_once() -> None:
    children = Children("one_for_one", restarts=1, a="permanent", b="permanent")
    cause = object()
    assert children.ended("a", None, cause=cause) == START
    assert children.ended("b", None, cause=cause) == START
    children.start_due()
    assert isinstance(children.ended("b", None, cause=object())[0], GaveUp)


def test_a_start_that_the_system_refuses_is_one_more_death() -> None:
    children = Children("one_for_one", restarts=2, a="permanent")
    assert children.ended("a") == START
    assert children.supervision.not_started(down("a"), "no room", 0.0) == START
    (gave_up,) = children.supervision.not_started(down("a"), "no room", 0.0)
    assert isinstance(gave_up, GaveUp)
    assert gave_up.reason.startswith("a could not be started (no room) after 2 restarts")


KINDS = st.sampled_from(["permanent", "transient", "temporary"])
EVENTS = st.lists(st.tuples(st.sampled_from(["dies", "asked", "goes", "starts"]), st.integers(0, 4)), max_size=60)


@settings(deadline=None)
@given(st.sampled_from(["one_for_one", "rest_for_one"]), st.lists(KINDS, min_size=1, max_size=5), EVENTS)
def test_whatever_happens_who_is_to_be_up_comes_up_and_never_before_who_is_to_go(
    strategy: Strategy, kinds: list[Restart], events: list[tuple[str, int]]
) -> None:
    names = [f"child-{number}" for number in range(len(kinds))]
    supervision = Supervision(strategy, RestartIntensity(1000, 1.0))
    up, asked, resigned, pending = set(names), set[str](), set[str](), 0
    for name, restart in zip(names, kinds, strict=True):
        supervision.started(name, restart)

    def carry_out(commands: list[Command]) -> None:
        nonlocal pending
        for command in commands:
            if isinstance(command, Stop):
                assert command.name in up
                asked.add(command.name)
            else:
                assert isinstance(command, StartDue)
                pending += 1

    def end(name: str, exit_code: int) -> None:
        up.discard(name)
        asked.discard(name)
        carry_out(supervision.ended(down(name, exit_code), 0.0))

    def start() -> None:
        nonlocal pending
        pending -= 1
        due = supervision.due()
        assert not due or not asked  # nobody is started beside one who is to go
        for name in due:
            assert name not in up
            assert name not in resigned
            assert kinds[names.index(name)] != "temporary"
            up.add(name)
            supervision.started(name, kinds[names.index(name)])

    for what, number in events:
        name = names[number % len(names)]
        if what == "dies" and name in up:
            end(name, 70)
        elif what == "asked":
            supervision.resigned(name)
            resigned.add(name)
        elif what == "goes" and asked:
            end(sorted(asked)[0], 0)
        elif what == "starts" and pending:
            start()
    while asked or pending:
        end(sorted(asked)[0], 0) if asked else start()
    missing = {name for name, kind in zip(names, kinds, strict=True) if kind != "temporary"} - up - resigned
    assert not missing
