"""Deaths that are nobody's own: memory that all share, and the process that all are forked from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.coordinator import events as ev
from elspeth.coordinator.policy import Policy
from tests.kit.simulator.durable import Database, Disk
from tests.kit.simulator.world import Setting, World


def world_of(setting: Setting) -> World:
    return World(setting, Database(), Disk(), lambda limit: 0 if limit < 10 else limit - 1)


def pipeline(world: World) -> World:
    """Let everybody get on, in turn, until nobody can, or the run is out of memory."""
    for _ in range(200_000):
        moves = world.moves()
        if world.finished or world.out_of_memory or not moves:
            return world
        world.do(*moves[0])
    raise AssertionError("it does not come to rest")


def poisoned(world: World) -> set[int]:
    return {record[2] for record in world.database.records if record[0] == "poison"}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_row_that_takes_the_memory_is_set_aside_when_another_one_came_through_alone(workers: int) -> None:
    world = pipeline(
        world_of(Setting(Policy(workers=workers), sources=(40,), killers={0: frozenset({7})}, memory=True))
    )
    assert world.finished == ev.Finished(complete=True)
    assert poisoned(world) == {7}
    assert world.counted == 0


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("hungry", [{0}, {0, 1}, {3, 30}, {10, 11, 25}])
def test_several_of_them_are_told_from_a_want_of_memory(workers: int, hungry: set[int]) -> None:
    setting = Setting(Policy(workers=workers), sources=(40,), killers={0: frozenset(hungry)}, memory=True)
    world = pipeline(world_of(setting))
    assert world.out_of_memory == []
    assert poisoned(world) == hungry


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("attempts", [1, 3])
def test_where_every_row_dies_for_want_of_memory_none_is_to_blame(workers: int, attempts: int) -> None:
    policy = Policy(workers=workers, poison_attempts=attempts)
    world = pipeline(world_of(Setting(policy, sources=(40,), killers={0: frozenset(range(40))}, memory=True)))
    assert len(world.out_of_memory) == 3
    assert not poisoned(world)
    assert world.finished is None


def test_a_last_row_has_nobody_to_be_compared_with() -> None:
    world = pipeline(world_of(Setting(Policy(), sources=(10,), killers={0: frozenset({9})}, memory=True)))
    assert world.out_of_memory == [9]
    assert not poisoned(world)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_row_that_kills_what_all_are_forked_from_is_set_aside_and_no_other(workers: int) -> None:
    setting = Setting(Policy(workers=workers), sources=(200,), killers={0: frozenset({17, 90})}, parent=True)
    world = pipeline(world_of(setting))
    assert world.finished == ev.Finished(complete=True)
    assert poisoned(world) == {17, 90}


@pytest.mark.parametrize("workers", [1, 3])
def test_only_the_first_death_of_each_such_row_counts_against_the_restarts(workers: int) -> None:
    setting = Setting(Policy(workers=workers), sources=(40,), killers={0: frozenset({17})}, parent=True)
    world = world_of(setting)
    counts = []
    while world.finished is None:
        world.do(*world.moves()[0])
        counts.append((world.fork_server, world.counted))
    after_the_first = max(counted for fork_server, counted in counts if fork_server == 2)
    assert world.counted == after_the_first


@settings(deadline=None)
@given(
    st.integers(1, 4), st.sets(st.integers(0, 29), max_size=4), st.sampled_from(["memory", "parent"]),
    st.lists(st.integers(0, 1000), max_size=300),
)  # fmt: skip
def test_in_every_order_of_events_only_rows_that_kill_are_set_aside(
    workers: int, killers: set[int], how: str, choices: list[int]
) -> None:
    left = iter(choices)
    world = World(
        Setting(
            Policy(workers=workers), sources=(30,), killers={0: frozenset(killers)}, memory=how == "memory",
            parent=how == "parent",
        ),
        Database(), Disk(), lambda limit: next(left, 0) % limit,
    )  # fmt: skip
    for _ in range(100_000):
        moves = world.moves()
        if world.finished or world.out_of_memory:
            break
        assert moves, "it stands still"
        world.do(*moves[next(left, 0) % len(moves)])
    assert poisoned(world) <= killers
    if not world.out_of_memory:
        assert poisoned(world) == killers
    else:
        assert set(world.out_of_memory) <= killers
