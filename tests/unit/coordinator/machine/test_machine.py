"""The promises of the flow, checked on a simulated run through random orders of events and deaths."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import chain

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.coordinator import events as ev
from elspeth.coordinator.policy import Policy
from tests.kit.simulator.durable import Database, Disk, claim
from tests.kit.simulator.world import CAUTIONS, Setting, World

SHAPES = [(False,), (False, True), (False, True, False), (False, True, False, True)]
PATIENCE = 20_000


def chooser(numbers: Iterator[int]) -> Callable[[int], int]:
    return lambda limit: next(numbers) % limit


@st.composite
def settings_of_runs(draw: st.DrawFn) -> Setting:
    stateful = draw(st.sampled_from(SHAPES))
    sources = tuple(draw(st.lists(st.integers(0, 25), min_size=1, max_size=2)))
    policy = Policy(
        frequency=draw(st.sampled_from(["every_row", "every_n", "aggregation_only"])),
        interval=draw(st.integers(1, 10)),
        max_rows=draw(st.integers(1, 20)),
        max_bytes=draw(st.sampled_from([50, 200, 1 << 20])),
        workers=(workers := draw(st.integers(1, 4))),
        far=draw(st.sampled_from([0, 0, workers, workers // 2])),
        poison_attempts=draw(st.integers(1, 3)),
        chunk_rows=draw(st.integers(1, 8)),
        pool_size=draw(st.sampled_from([1, 1, 2])),
    )
    rows = st.integers(0, max(0, sum(sources) - 1))
    stages = st.integers(0, len(stateful))
    killers: dict[int, frozenset[int]] = {}
    for stage, row in draw(st.lists(st.tuples(stages, rows), max_size=3)):
        if row < sum(sources) and not any(row in some for some in killers.values()):
            killers[stage] = killers.get(stage, frozenset()) | {row}
    return Setting(policy, stateful, sources, killers)


def disturb(world: World, choose: Callable[[int], int], deaths: int) -> None:
    """One turn: mostly somebody gets on, sometimes somebody dies or the operator or the clock speaks."""
    moves = world.moves()
    what = choose(100)
    if what < deaths and (alive := world.alive()):
        name = alive[choose(len(alive))]
        if world.is_far(name) and choose(2):
            world.lose(name)
        else:
            world.kill(name)
    elif what == 99 and world.ticks < 10:
        world.ticks += 1
        world.event(ev.TimeoutDue())
    elif what == 98 and world.machine.released():
        world.event(ev.CommitDue())
    elif moves:
        world.do(*moves[choose(len(moves))])


def finish(world: World, choose: Callable[[int], int]) -> None:
    """No more blows: everybody gets on, in any order, until the attempt is over."""
    for _ in range(PATIENCE):
        if world.finished:
            return
        moves = world.moves()
        claim(
            bool(moves), "nobody can do anything, and the run is not over", world.setting, vars(world.machine.pipeline)
        )
        world.do(*moves[choose(len(moves))])
    claim(False, "the run does not end")


def expected(setting: Setting, convicted: dict[int, int]) -> list[tuple[int, tuple[int, ...]]]:
    """What the undisturbed pipeline writes, without the rows that were set aside."""
    counts = [0] * len(setting.stateful)
    out = []
    for row in range(setting.rows):
        passed = []
        for stage, ordered in enumerate(setting.stateful):
            if convicted.get(row) == stage:
                break
            if ordered:
                counts[stage] += 1
                passed.append(counts[stage])
        else:
            if convicted.get(row) != len(setting.stateful):
                out.append((row, tuple(passed)))
    return out


def check_end(setting: Setting, database: Database, disk: Disk) -> None:
    claim(database.final, "finished without the last commit")
    convicted = {record[2]: record[1] for record in database.records if record[0] == "poison"}
    claim(disk.items == expected(setting, convicted), "wrong output", disk.items)
    for row, stage in convicted.items():
        deaths = database.alone.get((stage, row), 0)
        claim(deaths >= setting.policy.poison_attempts, "convicted after too few deaths", row, stage, deaths)
    for stage, rows in setting.killers.items():
        for row in rows:
            claim(row in convicted, "a row that kills was not set aside", row, stage)


def run(setting: Setting, schedule: Iterator[int], *, blows: int, deaths: int, attempts: int, stop: bool) -> Database:
    """Drive a run: `attempts` attempts of `blows` turns each end with the death of the main process; the last ends."""
    database, disk = Database(), Disk()
    choose = chooser(schedule)
    for attempt in range(attempts):
        world = World(setting, database, disk, choose)
        for _ in range(choose(blows) if blows else 0):
            if world.finished:
                break
            disturb(world, choose, deaths)
        if stop and attempt == 0 and not world.finished:
            world.event(ev.StopRequested())
            finish(world, choose)
        if database.final:
            break  # committed; whether the main process lived to hear of it does not matter
        world.end_of_attempt()
        database.caution = CAUTIONS[choose(3)]
    else:
        world = World(setting, database, disk, choose)
        for _ in range(choose(blows) if blows else 0):
            if world.finished:
                break
            disturb(world, choose, deaths)
        finish(world, choose)
    check_end(setting, database, disk)
    return database


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    setting=settings_of_runs(), choices=st.binary(max_size=300), seed=st.integers(0, 2**32),
    deaths=st.sampled_from([0, 3, 10, 30]), attempts=st.integers(0, 3), stop=st.booleans(),
)  # fmt: skip
def test_whatever_dies_whenever_nothing_is_lost_nothing_comes_twice_and_the_run_ends(
    setting: Setting, choices: bytes, seed: int, deaths: int, attempts: int, stop: bool
) -> None:
    rest = random.Random(seed)
    schedule = chain(choices, iter(lambda: rest.randrange(1 << 30), None))
    run(setting, schedule, blows=400, deaths=deaths, attempts=attempts, stop=stop)
