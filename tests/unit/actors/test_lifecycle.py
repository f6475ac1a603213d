from __future__ import annotations

import itertools

import pytest

from actors.lifecycle import Event, LifecycleError, State, transition

EDGES = [
    (State.STARTING, Event.READY, State.RUNNING),
    (State.STARTING, Event.ASK, State.STOPPING),
    (State.STARTING, Event.KILL, State.KILLED),
    (State.STARTING, Event.REAPED, State.EXITED),
    (State.RUNNING, Event.ASK, State.STOPPING),
    (State.RUNNING, Event.KILL, State.KILLED),
    (State.RUNNING, Event.REAPED, State.EXITED),
    (State.STOPPING, Event.READY, State.STOPPING),
    (State.STOPPING, Event.KILL, State.KILLED),
    (State.STOPPING, Event.REAPED, State.EXITED),
    (State.KILLED, Event.READY, State.KILLED),
    (State.KILLED, Event.REAPED, State.EXITED),
    (State.EXITED, Event.START, State.STARTING),
    (State.EXITED, Event.GIVE_UP, State.GIVEN_UP),
]


@pytest.mark.parametrize(("state", "event", "then"), EDGES, ids=lambda value: value.name.lower())
def test_an_event_leads_to_the_next_state(state: State, event: Event, then: State) -> None:
    assert transition(state, event) is then


@pytest.mark.parametrize(
    ("state", "event"),
    sorted(set(itertools.product(State, Event)) - {(state, event) for state, event, _ in EDGES}, key=str),
)
def test_there_is_no_other_edge(state: State, event: Event) -> None:
    with pytest.raises(LifecycleError, match=state.value):
        transition(state, event)


def test_a_successor_can_start_only_when_its_predecessor_is_reaped() -> None:
    starters = {state for state, event, _ in EDGES if event is Event.START}
    assert starters == {State.EXITED}
    assert not State.EXITED.alive


def test_nothing_leads_out_of_given_up() -> None:
    assert State.GIVEN_UP not in {state for state, _, _ in EDGES}
