"""The processes of a simulated run: what each does with what it was sent, one small step at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE
from tests.kit.simulator.durable import claim, row_of, tally_of

if TYPE_CHECKING:
    from tests.kit.simulator.world import World

SPLIT_ROWS = 3
HOLD = 2  # items that an ordered stage keeps back


@dataclass
class Child:
    """A process: what it was sent, what it has said, and where it stands. `at` is what it touches now."""

    name: str
    state: str = "starting"  # down, starting, waiting (for its restore), up
    inbox: deque[ev.Send] = field(default_factory=deque)
    outbox: deque[ev.Event] = field(default_factory=deque)
    at: tuple[int, int] = (-1, 0)
    job: Any = None
    memory: Any = None
    recycled: bool = False
    used: bool = False
    barred: bool = False  # the cluster has no room for it


def work(world: World, child: Child) -> None:
    """The process takes one small step: begins, takes a message, touches a row, says what it has done."""
    if child.barred:
        child.outbox.append(ev.NoRoom(child.name))
        child.state = "barred"
    elif child.recycled:
        world.restart(child)
    elif child.state == "starting":
        _begin(world, child)
    elif child.name == SOURCE:
        _source(world, child)
    elif child.name == AUDIT:
        _audit(world, child)
    elif child.name == SINKS:
        _sinks(world, child)
    elif child.name.startswith("stage"):
        _stage(world, child)
    else:
        _worker(world, child)


def _begin(world: World, child: Child) -> None:
    if child.name == AUDIT:
        child.state, child.memory = "up", {}
        assert world.database.checkpoint is not None
        child.outbox.append(ev.AuditOwns(world.database.checkpoint.micro_batch))
    elif child.name.startswith("worker"):
        child.state = "up"
        child.outbox += [ev.Started(child.name), ev.Restored(child.name)]
    else:
        child.state = "waiting"
        child.outbox.append(ev.Started(child.name))


def _source(world: World, child: Child) -> None:
    send = child.inbox.popleft()
    message = send.message
    if isinstance(message, m.ReadFrom):
        child.state = "up"
        child.memory = [message.seq, message.row_index, dict(message.positions)]
        rows = sum(position.row_count for position in message.positions.values())
        claim(message.row_index == rows, "the cursor lost its rows")
        child.outbox.append(ev.Restored(SOURCE))
        return
    assert isinstance(message, m.Credit)
    for _ in range(message.chunks):
        _read_chunk(world, child, message.rows)


def _read_chunk(world: World, child: Child, limit: int) -> None:
    seq, row_index, sources = child.memory
    for at, size in enumerate(world.setting.sources):
        name = f"source-{at}"
        held = sources.get(name, SourcePosition(cursor=0))
        if held.ended:
            continue
        count = min(1 + world.choose(limit), limit, size - held.cursor)
        cursor = held.cursor + count
        ended, last = not count, at == len(world.setting.sources) - 1
        ends = [*range(SPLIT_ROWS, count, SPLIT_ROWS), count]
        split_points = tuple(m.SplitPoint(rows, held.cursor + rows, None) for rows in ends)
        chunk = m.Chunk(seq, row_index, count, name, split_points, cursor, ended=ended, last=ended and last)
        child.outbox.append(ev.ChunkArrived(chunk, (row_index, ends), 10 * count))
        sources[name] = SourcePosition(cursor=cursor, ended=ended)
        seq, row_index = seq + 1, row_index + count
        child.memory = [seq, row_index, sources]
        if count or last:
            return


def _worker(world: World, child: Child) -> None:
    if child.job is None:
        if world.policy.pool_size > 1:  # its threads end what was given in any order
            child.inbox.rotate(-world.choose(len(child.inbox)))
        send = child.inbox.popleft()
        child.job = (send, getattr(send.message, "start", 0), [], [])
        return
    send, row, items, records = child.job
    message = send.message
    if isinstance(message, m.StageWork):
        _later_stage(world, child, send, row, items, records)
        return
    if row is None:
        child.job, child.at = None, (-1, 0)
        return
    first, split_points = send.bodies[0]
    pooled = world.policy.pool_size > 1
    for at in range(row, message.stop if pooled else row + 1):
        index = first + at
        if message.poison is not None:
            records.append(("poison", 0, index))
            continue
        child.at = (-1, 0) if pooled and (message.stop - message.start > 1 or child.inbox) else (index, 0)
        if index in world.setting.killers.get(0, ()):
            world.kill_by_row(child.name)
            return
        records.append(("decided", 0, index))
        items.append((index, ()))
    row = message.stop if pooled else row + 1
    if row == message.stop or (row in split_points and message.poison is None and world.choose(2)):
        seconds = 0.001 * world.choose(100)
        done = m.SliceDecided(
            message.seq, message.start, row, seconds, {"rows": len(items)}, tally=tally_of(records)
        )  # fmt: skip
        child.outbox.append(ev.SliceDone(child.name, done, (tuple(items), first + message.start), tuple(records)))
        rest = m.Work(message.seq, row, message.stop)
        child.job = (ev.Send(child.name, rest, send.bodies), row if row < message.stop else None, [], [])
    else:
        child.job = (send, row, items, records)


def _later_stage(
    world: World, child: Child, send: ev.Send, place: int | None, items: list[Any], records: list[Any]
) -> None:
    if place is None:
        child.job, child.at = None, (-1, 0)
        return
    message, body = send.message, send.bodies[0] or ()
    assert isinstance(message, m.StageWork)
    if place < len(body):
        row, counts = body[place]
        if place in message.poison:
            records.append(("poison", message.stage, row))
        else:
            child.at = (-1, 0) if world.policy.pool_size > 1 and not message.careful else (place, 0)
            if row in world.setting.killers.get(message.stage, ()):
                world.kill(child.name)
                return
            records.append(("decided", message.stage, row))
            items.append((row, counts))
        child.job = (send, place + 1, items, records)
        return
    done = m.StageDone(message.no, message.stage, {}, tally=tally_of(records))
    child.outbox.append(ev.StagePassed(child.name, done, tuple(items), (tuple(records),)))
    child.job = (send, None, [], [])


def _stage(world: World, child: Child) -> None:
    if child.job is None:
        send = child.inbox.popleft()
        message = send.message
        if isinstance(message, m.RestoreStage):
            state = message.state or {"count": 0, "held": [], "next": None}
            child.memory = {"count": state["count"], "held": list(state["held"]), "next": state["next"]}
            child.state = "up"
            child.outbox.append(ev.Restored(child.name))
        elif isinstance(message, m.Flush):
            claim(child.memory["next"] == message.no + 1, "a flush that is not in band", message)
            state = {**child.memory, "held": list(child.memory["held"])}
            child.outbox.append(ev.StateAnswered(message.no, int(child.name[6:]), state))
        else:
            assert isinstance(message, m.StageWork)
            claim(child.memory["next"] in (None, message.no), "a stage lost the order", message.no)
            child.memory["next"] = message.no + 1
            child.job = (send, 0, [])
        return
    send, place, records = child.job
    message, body = send.message, send.bodies[0] or ()
    if place < len(body):
        row, counts = body[place]
        if place in message.poison:
            records.append(("poison", message.stage, row))
        else:
            child.at = (place, message.no)
            if row in world.setting.killers.get(message.stage, ()):
                world.kill(child.name)
                return
            child.memory["count"] += 1
            records.append(("decided", message.stage, row))
            child.memory["held"].append((row, (*counts, child.memory["count"])))
        child.job = (send, place + 1, records)
        return
    held = child.memory["held"]
    items: tuple[Any, ...] = ()
    if message.tick or message.end or len(held) > HOLD:
        items, child.memory["held"] = tuple(held), []
    # What is let go has records, as a batch's results have, which are of the rows that it was made of.
    first_row = min([*map(row_of, records), *(row for row, _ in items)], default=None)
    done = m.StageDone(
        message.no, message.stage, {}, flushed=bool(items), tally=tally_of(records), first_row=first_row
    )  # fmt: skip
    child.outbox.append(ev.StagePassed(child.name, done, items, (tuple(records),)))
    child.job, child.at = None, (-1, 0)


def _sinks(world: World, child: Child) -> None:
    if child.job is None:
        send = child.inbox.popleft()
        message = send.message
        if isinstance(message, m.RestoreSinks):
            world.disk.restore(message.positions["out"]["n"])
            child.state, child.memory = "up", None
            child.outbox.append(ev.Restored(SINKS))
        elif isinstance(message, m.Flush):
            claim(child.memory == message.no + 1, "a flush that is not in band", message)
            world.disk.flushed = len(world.disk.items)
            child.outbox.append(ev.SinksFlushed(message.no, {"out": {"n": world.disk.flushed}}))
        else:
            assert isinstance(message, m.Write)
            claim(child.memory in (None, message.no), "the sinks lost the order", message.no)
            child.memory = message.no + 1
            child.job = (send, 0, [])
        return
    send, place, records = child.job
    message, body = send.message, send.bodies[0] or ()
    if place is None:
        child.job, child.at = None, (-1, 0)
        return
    steps = 1 if message.careful or message.poison else len(body)
    for at in range(place, min(place + steps, len(body))):
        row = body[at][0]
        if at in message.poison:
            records.append(("poison", world.sinks_stage, row))
            continue
        if message.careful or message.poison:
            child.at = (at, message.no)
        if row in world.setting.killers.get(world.sinks_stage, ()):
            world.kill(SINKS)
            return
        world.disk.items.append(body[at])
        records.append(("out", world.sinks_stage, body[at]))
    if place + steps < len(body):
        child.job = (send, place + steps, records)
        return
    written = m.Written(message.no, {"out": len(body)}, {}, tally_of(records))
    child.outbox.append(ev.MicroBatchWritten(written, tuple(records)))
    child.job = (send, None, [])


def _audit(world: World, child: Child) -> None:
    if child.job is not None:
        child.outbox.append(child.job)
        child.job = None
        return
    send = child.inbox.popleft()
    message = send.message
    pending = child.memory
    if isinstance(message, m.MicroBatchRecords):
        pending[message.no] = send.bodies
    elif isinstance(message, m.RecordEvent):
        world.database.collect(message)
        if message.token is not None:
            world.database.commit_events()
            child.job = ev.BlameNoted(message.token)
    elif isinstance(message, m.Commit):
        micro_batches = [pending.pop(no) for no in sorted(pending) if no <= message.checkpoint.micro_batch]
        world.database.commit(
            message, [record for micro_batch in micro_batches for body in micro_batch for record in body], world.disk
        )
        child.job = ev.CommitDurable(message.checkpoint.micro_batch)
