"""Workers on other machines: they are asked for at once and waited for by nobody, and no row is blamed for a place."""

from __future__ import annotations

import random

import pytest

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.in_flight import ChunkSlice
from elspeth.coordinator.machine.crew import Crew
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import SOURCE, worker_name
from elspeth.coordinator.policy import WORK_SECONDS, ChunkSize, Policy, work_seconds
from tests.kit.simulator.cluster import ClusterRun
from tests.kit.simulator.durable import Database, Disk
from tests.kit.simulator.world import Setting, World

SEEDS = range(25)


def drive(world: World, chance: random.Random, blows: int, *, always_room: bool = True) -> None:
    """Somebody gets on, or the place of a far worker is lost, until the run is over."""
    for _ in range(20_000):
        if world.finished:
            return
        far = [name for name in world.alive() if world.is_far(name)]
        if blows and far and chance.random() < 0.1:
            blows -= 1
            world.lose(chance.choice(far))
        if always_room and chance.random() < 0.1:
            world.make_room()
        moves = world.moves()
        assert moves or always_room, "nobody can do anything, and the run is not over"
        if moves:
            world.do(*chance.choice(moves))
    raise AssertionError("the run does not end")


@pytest.mark.parametrize("pool_size", [1, 4])
@pytest.mark.parametrize("here", [0, 2])
def test_places_may_be_lost_for_ever_and_no_row_is_suspected_or_set_aside(here: int, pool_size: int) -> None:
    policy = Policy("every_n", 5, workers=here + 3, far=3, chunk_rows=4, poison_attempts=1, pool_size=pool_size)
    for seed in SEEDS:
        chance = random.Random(seed)
        database, disk = Database(), Disk()
        world = World(Setting(policy, (False, True, False), (30,)), database, disk, chance.randrange)
        drive(world, chance, 40)
        assert database.final
        assert not world.suspected
        assert world.counted == 0
        assert [item[0] for item in disk.items] == list(range(30))


@pytest.mark.parametrize("here", [0, 1])
def test_a_row_that_kills_is_set_aside_all_the_same_wherever_it_runs(here: int) -> None:
    policy = Policy("every_n", 5, workers=here + 3, far=3, chunk_rows=4)
    for seed in SEEDS:
        chance = random.Random(seed)
        database, disk = Database(), Disk()
        world = World(Setting(policy, (False,), (30,), {0: frozenset({11})}), database, disk, chance.randrange)
        drive(world, chance, 10)
        assert [record[2] for record in database.records if record[0] == "poison"] == [11]
        assert database.alone[0, 11] >= policy.poison_attempts


def test_with_workers_here_nothing_waits_for_those_that_find_no_room() -> None:
    policy = Policy("every_n", 5, workers=4, far=3, chunk_rows=4)
    for seed in SEEDS:
        chance = random.Random(seed)
        database, disk = Database(), Disk()
        world = World(Setting(policy, (False,), (30,), {0: frozenset({3, 11})}), database, disk, chance.randrange)
        world._barred = world.is_far  # type: ignore[method-assign]
        drive(world, chance, 0, always_room=False)
        assert sorted(record[2] for record in database.records if record[0] == "poison") == [3, 11]


def test_a_suspect_waits_for_a_worker_of_this_machine_and_for_no_other_where_there_are_some() -> None:
    machine = Machine(Policy(workers=3, far=2), (False,), start_checkpoint({"out": {}}), suspects={1: 1})
    for event in (ev.Started(SOURCE), ev.Restored(SOURCE), ev.Restored("worker-1")):
        machine.step(event)
    machine.step(ev.ChunkArrived(m.Chunk(0, 0, 1, "in", (m.SplitPoint(1, 1, None),), None), b"", 1))
    machine.dispatcher._crew._ask(["worker-2", "worker-3"])
    chunk = m.Chunk(1, 1, 1, "in", (m.SplitPoint(1, 2, None),), None)
    assert ev.Recycle("worker-1") not in machine.step(ev.ChunkArrived(chunk, b"", 1))
    machine.step(ev.BlameNoted(1))
    done = m.SliceDecided(0, 0, 1, 0.001, {})
    assert ev.Recycle("worker-1") in machine.step(ev.SliceDone("worker-1", done, b"", b""))


def asked(commands: list[ev.Command]) -> list[str]:
    return [command.child for command in commands if isinstance(command, ev.NeedWorker)]


def test_workers_elsewhere_are_asked_for_all_at_once_when_this_machine_is_not_enough() -> None:
    crew = Crew(Policy(workers=5, far=3))
    assert crew.more(1000, 0.01) == []  # the first of this machine is on its way
    crew.came("worker-1")
    assert asked(crew.more(1, 0.001)) == []
    assert asked(crew.more(1000, 0.01)) == ["worker-2"]
    assert asked(crew.more(1000, 0.01)) == ["worker-3", "worker-4", "worker-5"]
    assert asked(crew.more(1000, 0.01)) == []
    crew.came("worker-5")
    crew.went("worker-5")
    assert asked(crew.more(1000, 0.01)) == []  # its successor is on the way


def test_without_workers_here_they_are_asked_for_with_the_first_row() -> None:
    machine = Machine(Policy(workers=3, far=3), (False,), start_checkpoint({"out": {}}))
    assert asked(machine.step(ev.Started(SOURCE))) == []
    machine.step(ev.Restored(SOURCE))
    chunk = m.Chunk(0, 0, 1, "in", (m.SplitPoint(1, 1, None),), None)
    assert asked(machine.step(ev.ChunkArrived(chunk, b"", 1))) == ["worker-1", "worker-2", "worker-3"]
    given = machine.step(ev.Restored("worker-2"))
    assert [command.child for command in given if isinstance(command, ev.Send) and isinstance(command.message, m.Work)]


def test_a_lost_place_gives_its_rows_back_whole_and_is_asked_for_again_uncounted() -> None:
    machine = Machine(Policy(workers=2, far=1), (False,), start_checkpoint({"out": {}}))
    for event in (ev.Started(SOURCE), ev.Restored(SOURCE), ev.Restored("worker-2")):
        machine.step(event)
    chunk = m.Chunk(0, 0, 8, "in", (m.SplitPoint(8, 8, None),), None)
    machine.step(ev.ChunkArrived(chunk, b"", 8))
    commands = machine.step(ev.Died("worker-2", 5, 0, Suspicion(reason="node gone"), lost=True))
    assert commands[0] == ev.Restart("worker-2", counted=False)
    assert not [command for command in commands if isinstance(command, ev.Suspect)]
    (given,) = [command for command in machine.step(ev.Restored("worker-1")) if isinstance(command, ev.Send)]
    assert isinstance(given.message, m.Work)
    assert (given.message.start, given.message.stop, given.message.again) == (0, 8, True)


def test_a_worker_elsewhere_has_the_next_chunk_at_hand_unless_chunks_take_long() -> None:
    crew = Crew(Policy(workers=2, far=1))
    for name in ("worker-1", "worker-2"):
        crew.came(name)
        crew.up[name].tasks = [ChunkSlice(0, 0, 1, 0, "in", (), b"")]
    far = crew.least_busy(0, 0.2, 0, slow=True)
    assert far is not None
    assert far.name == "worker-2"
    assert crew.least_busy(0, 20.0, 0, slow=True) is None


def test_chunks_take_longer_the_more_workers_there_are() -> None:
    assert work_seconds(4) == work_seconds(15) == WORK_SECONDS
    assert work_seconds(160) == pytest.approx(0.64)
    size = ChunkSize(1, 1000)
    for _ in range(20):
        size.learn(10, 10 * 0.002, 160)
    assert size.rows == 320
    assert not size.slow(160)
    assert size.slow(4)


def test_rows_in_flight_are_enough_for_all_workers_and_as_ever_without_a_cluster() -> None:
    assert Policy(workers=4).window_rows() == 4 * Policy().largest_chunk()
    policy = Policy(workers=160, far=156)
    assert policy.window_rows() >= 2 * policy.workers * policy.largest_chunk()
    assert policy.window_bytes() == Policy().window_bytes()
    assert (policy.here, worker_name(4)) == (4, "worker-4")


def test_a_simulated_cluster_is_as_good_as_busy_where_rows_take_long_enough() -> None:
    for nodes in (1, 4):
        found = ClusterRun(16 * nodes, 0.02, measured=False).run(30.0)
        assert found.share > 0.9, found
        assert found.main_busy < 1.0
