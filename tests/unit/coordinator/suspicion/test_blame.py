"""Who is blamed for a death, what it costs, and what becomes of work in hand when the run gives way."""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.names import SINKS, SOURCE
from elspeth.coordinator.policy import Policy
from tests.kit.simulator.durable import Database, Disk
from tests.kit.simulator.world import Setting, World


def world_of(setting: Setting) -> World:
    return World(setting, Database(), Disk(), lambda limit: 0 if limit < 10 else limit - 1)


def pipeline(world: World) -> World:
    """Let everybody get on, in turn, until nobody can."""
    for _ in range(200_000):
        moves = world.moves()
        if world.finished or not moves:
            return world
        world.do(*moves[0])
    raise AssertionError("it does not come to rest")


def poisoned(world: World) -> set[int]:
    return {record[2] for record in world.database.records if record[0] == "poison"}


def test_fifty_rows_that_kill_their_workers_cost_no_restart_of_the_allowance() -> None:
    killers = frozenset(range(0, 200, 4))
    world = pipeline(world_of(Setting(Policy(workers=2), sources=(200,), killers={0: killers})))
    assert world.finished == ev.Finished(complete=True)
    assert poisoned(world) == killers
    assert world.counted == 0


def test_fifty_rows_that_kill_an_ordered_stage_cost_no_restart_of_the_allowance() -> None:
    killers = frozenset(range(0, 200, 4))
    world = pipeline(world_of(Setting(Policy(), (False, True), (200,), {1: killers})))
    assert poisoned(world) == killers
    assert world.counted == 0


def test_a_row_that_kills_in_a_pool_is_found_by_halving() -> None:
    world = pipeline(world_of(Setting(Policy(pool_size=8), sources=(300,), killers={0: frozenset({77, 78})})))
    assert poisoned(world) == {77, 78}
    assert world.counted == 0


def test_a_death_that_touched_nothing_counts_and_blames_nobody() -> None:
    world = world_of(Setting(Policy()))
    world.kill("worker-1")
    pipeline(world)
    assert world.counted == 1
    assert not poisoned(world)


def chunk_slice(rows: int, seq: int = 0, first: int = 0) -> ev.ChunkArrived:
    split_points = (m.SplitPoint(rows, first + rows, None),)
    return ev.ChunkArrived(m.Chunk(seq, first, rows, "source", split_points), b"rows")


def started(policy: Policy) -> World:
    """A run whose children are up, and nothing read."""
    world = world_of(Setting(policy, sources=(0,)))
    for name in (SINKS, SOURCE, "worker-1"):
        world.children[name].inbox.clear()
        world.machine.step(ev.Started(name))
        world.machine.step(ev.Restored(name))
    return world


def done(seq: int, start: int, stop: int, worker: str = "worker-1") -> ev.SliceDone:
    return ev.SliceDone(worker, m.SliceDecided(seq, start, stop, 0.001, {}), b"items", b"records")


def test_the_rest_of_a_chunk_goes_on_after_a_stop_until_a_commit_can_end_there() -> None:
    machine = started(Policy()).machine
    machine.step(chunk_slice(6))
    machine.step(ev.Died("worker-1", 3))  # splits the chunk: 0-2, the suspect 3, 4-5
    machine.step(ev.Restored("worker-1"))
    machine.step(ev.BlameNoted(1))
    machine.step(done(0, 3, 4))
    machine.step(done(0, 0, 3))  # released up to the suspect, and not at a split point
    machine.step(ev.Died("worker-1"))
    machine.step(ev.StopRequested())
    assert [(part.start, part.stop) for part in machine.dispatcher.pending] == [(4, 6)]


def test_a_stop_forgets_what_lies_behind_a_suspect_although_a_worker_has_it() -> None:
    machine = started(Policy(workers=2)).machine
    machine.step(chunk_slice(1))
    machine.step(done(0, 0, 1))  # on its way to the sinks: the run cannot end yet
    machine.step(chunk_slice(2, seq=1, first=1))
    machine.step(chunk_slice(2, seq=2, first=3))
    machine.step(ev.Died("worker-1", 1))
    machine.step(ev.Restored("worker-1"))
    machine.step(ev.Restored("worker-2"))
    busy = [worker.name for worker in machine.dispatcher.workers.values() if worker.tasks]
    machine.step(ev.StopRequested())
    assert busy
    assert not machine.dispatcher.pending
    for name in busy:  # its answer comes all the same
        machine.step(done(1, 1, 2, name))
    assert [micro_batch.no for micro_batch in machine.released()] == [1]


def test_a_stop_with_nothing_in_hand_ends_at_once() -> None:
    machine = started(Policy()).machine
    assert machine.step(ev.StopRequested()) == [ev.Finished(complete=False)]
