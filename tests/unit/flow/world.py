"""A simulated run around the flow machine: children with inboxes that can die at any moment, and a durable database.

Every child takes one small step at a time; what it said reaches the machine later, in the order of that child alone.
What a schedule does is read from `choose`, so that a run can be repeated and a failing one made smaller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elspeth.flow import events as ev
from elspeth.flow import messages as m
from elspeth.flow.chronicle import Chronicle
from elspeth.flow.machine import AUDIT, SINKS, SOURCE, Machine, stage_name
from elspeth.flow.policy import Policy
from elspeth.flow.settle import start_checkpoint
from tests.unit.flow.durable import Database, Disk

MARK_ROWS = 3
HOLD = 2  # items that an ordered stage keeps back


class Broken(AssertionError):
    """A promise was broken in the model."""


def claim(holds: bool, words: str, *facts: Any) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(f"{words}: {facts}")


@dataclass(frozen=True)
class Setting:
    """A pipeline and its input. `killers` maps a stage (the sinks are the one after the last) to rows that kill it."""

    policy: Policy
    stateful: tuple[bool, ...] = (False,)
    sources: tuple[int, ...] = (10,)
    killers: dict[int, frozenset[int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.sources)


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


class World:
    """One attempt of a run, on the database and the disk of all attempts."""

    def __init__(self, setting: Setting, database: Database, disk: Disk, choose: Callable[[int], int]) -> None:
        self.setting, self.database, self.disk, self.choose = setting, database, disk, choose
        self.policy = setting.policy
        self.sinks_stage = len(setting.stateful)
        if database.checkpoint is None:
            database.checkpoint = start_checkpoint({"out": {"n": 0}})
        database.attempt += 1
        self.cautious = database.cautious
        self.machine = Machine(
            setting.policy, setting.stateful, database.checkpoint, suspects=database.suspects(),
            cautious_rows=5 if self.cautious else 0,
        )  # fmt: skip
        self.children = {name: Child(name) for name in (SINKS, SOURCE, "worker-1")}
        self.children |= {stage_name(k): Child(stage_name(k)) for k, ordered in enumerate(setting.stateful) if ordered}
        self.children[AUDIT] = Child(AUDIT, state="up")
        self.children[AUDIT].memory = {}
        self.chronicle = Chronicle()
        self.finished: ev.Finished | None = None
        self.stopped = False
        self.commits_out: set[int] = set()
        self.credits: deque[int] = deque()
        self.received = database.checkpoint["rows"]
        self.noted: set[int] = set()
        self.suspected: dict[int, int] = {}  # row -> token, until it is decided
        self.ticks = 0
        self.counted = 0
        self.owned = True
        self.time = float(database.checkpoint["driven"])

    # -- the schedule ------------------------------------------------------------------------------------------

    def moves(self) -> list[tuple[str, str]]:
        """Everything that can happen next, but deaths and the operator."""
        found = []
        for child in self.children.values():
            if child.outbox:
                found.append(("hear", child.name))
            busy = child.state == "starting" or child.recycled or child.inbox or child.job is not None
            if busy and child.state != "down":
                found.append(("work", child.name))
        return found

    def alive(self) -> list[str]:
        return [name for name, child in self.children.items() if child.state != "down"]

    def do(self, what: str, name: str) -> None:
        child = self.children[name]
        if what == "work":
            self._work(child)
        elif what == "hear":
            self._hear(child)
        else:
            self.kill(name)

    def event(self, event: ev.Event) -> None:
        """Something happens to the machine from outside."""
        self.stopped |= isinstance(event, ev.Stop)
        self._step(event)

    def kill(self, name: str) -> None:
        """This process dies now. What it had said is still heard."""
        child = self.children[name]
        if child.recycled:
            self._restart(child)
            return
        position, detail = child.at
        if name != SOURCE and name not in (AUDIT, SINKS) and child.state == "up":
            self._count_alone(child)
        if name == AUDIT:
            self.database.forget()
        elif name == SINKS:
            self._count_lane(child, self.sinks_stage)
            self.disk.crash(self.choose)
        elif name.startswith("stage"):
            self._count_lane(child, int(name[6:]))
        child.state, child.job, child.memory, child.at = "down", None, None, (-1, 0)
        child.inbox.clear()
        child.outbox.append(ev.Died(name, -1 if name == SOURCE else position, detail, {"reason": "killed"}))

    def end_of_attempt(self) -> None:
        """The main process dies, and everybody with it."""
        self.database.attempt_died()
        self.disk.crash(self.choose)

    def _alone_rows(self, child: Child) -> list[int]:
        """The row that this worker has alone, if it has been given one and nothing else."""
        jobs = [child.job[0]] if child.job is not None and child.name.startswith("worker") else []
        work = [*jobs, *child.inbox] if child.name.startswith("worker") else []
        if len(work) != 1 or not isinstance(work[0].message, m.Work):
            return []
        message = work[0].message
        first = work[0].bodies[0][0] + message.start
        return [first] if message.stop - message.start == 1 and message.poison is None else []

    def _count_alone(self, child: Child) -> None:
        for row in self._alone_rows(child):
            self.database.alone[0, row] = self.database.alone.get((0, row), 0) + 1
        if child.job is not None and isinstance(child.job[0].message, m.StageWork) and child.at[0] >= 0:
            send = child.job[0]
            key = (send.message.stage, send.bodies[0][child.at[0]][0])
            self.database.alone[key] = self.database.alone.get(key, 0) + 1

    def _count_lane(self, child: Child, stage: int) -> None:
        if child.at[0] >= 0 and child.job is not None and child.job[0].bodies[0]:
            key = (stage, child.job[0].bodies[0][child.at[0]][0])
            self.database.alone[key] = self.database.alone.get(key, 0) + 1

    # -- what the machine says ---------------------------------------------------------------------------------

    def _hear(self, child: Child) -> None:
        event = child.outbox.popleft()
        match event:
            case ev.ChunkArrived(chunk):
                self.received += chunk.rows
                if not chunk.ended and self.credits:
                    self.credits.popleft()
            case ev.Died(name):
                if name == SOURCE:
                    self.credits.clear()
                self.owned &= name != AUDIT
            case ev.PieceDone(_, done):
                first = event.items[1]
                for row in range(first, first + done.stop - done.start):
                    self.suspected.pop(row, None)
            case ev.CommitDurable(no):
                self.commits_out = {other for other in self.commits_out if other > no}
                self.chronicle.committed(no)
            case ev.BlameNoted(token):
                self.noted.add(token)
                self.chronicle.noted(token)
            case ev.AuditOwns():
                self.commits_out.clear()
                self.owned = True
                for message in self.chronicle.unsaved():
                    self._to_audit(message)
        if isinstance(event, ev.PieceDone):
            event = ev.PieceDone(event.worker, event.done, event.items[0], event.records)
        self._step(event)

    def _step(self, event: ev.Event) -> None:
        self.time += 0.5
        self.machine.driven = self.time
        for command in self.machine.step(event):
            self._obey(command)
        unsettled = self.received - self.database_rows() + sum(self.credits)
        claim(unsettled <= self.policy.window_rows(), "more rows in flight than the window", unsettled)
        up = [child for child in self.children.values() if child.name.startswith("worker")]
        claim(len(up) <= self.policy.workers, "more workers than allowed", len(up))

    def database_rows(self) -> int:
        return int(self.machine.durable["rows"])

    def _to_audit(self, message: m.Message, bodies: tuple[Any, ...] = ()) -> None:
        # Otherwise it is sent when audit says where it stands.
        if self.owned and self.children[AUDIT].state != "down":
            self.children[AUDIT].inbox.append(ev.Send(AUDIT, message, bodies))

    def _obey(self, command: ev.Command) -> None:
        claim(self.finished is None, "a command after the end", command)
        match command:
            case ev.Send(name, message, _):
                self._check_send(name, message, command)
                child = self.children[name]
                if child.state != "down":
                    child.inbox.append(command)
            case ev.Restart(name, counted):
                claim(self.children[name].state == "down", "restarted while it lives", name)
                self.counted += counted
                self._restart(self.children[name])
            case ev.NeedWorker():
                name = f"worker-{sum(name.startswith('worker') for name in self.children) + 1}"
                self.children[name] = Child(name)
            case ev.Recycle(name):
                child = self.children[name]
                if child.state == "down":  # it died by itself, and nobody knows yet
                    child.outbox.clear()
                    self._restart(child)
                else:
                    claim(not child.inbox, "recycled with work to do", name)
                    child.recycled = True
            case ev.Suspect(token, row, deaths, _):
                self.suspected[row] = token
                self._to_audit(
                    self.chronicle.add("workers", "suspect", detail={"row": row, "deaths": deaths}, token=token)
                )
            case ev.Convicted(row, _):
                self._to_audit(self.chronicle.add("workers", "quarantined", detail={"row": row}))
            case ev.Finished():
                self.finished = command

    def _restart(self, child: Child) -> None:
        self.children[child.name] = Child(child.name, outbox=child.outbox)

    def _check_send(self, name: str, message: m.Message, command: ev.Send) -> None:
        match message:
            case m.RestoreSinks() | m.RestoreStage():
                claim(not self.commits_out, "restored while the outcome of a commit is unknown", name)
                claim(
                    self.machine.durable == self.database.checkpoint, "restored elsewhere than at the last checkpoint"
                )
            case m.Commit(no):
                self.commits_out.add(no)
                self.chronicle.sent_with(no)
            case m.Credit(chunks, rows):
                self.credits.extend([rows] * chunks)
            case m.Work(_, start, stop, poison):
                first = command.bodies[0][0] + start
                for row in range(first, first + stop - start):
                    token = self.suspected.get(row)
                    if token is None or poison is not None:
                        continue
                    claim(token in self.noted and token in self.database.tokens, "touched before its blame is noted")
                    if not self.cautious:
                        child = self.children[name]
                        claim(stop - start == 1, "a suspect in company", row)
                        claim(not child.used and not child.inbox, "a suspect in a worker that is not fresh", row)
                self.children[name].used = True
            case m.StageWork():
                self.children[name].used = True

    # -- what the children do ----------------------------------------------------------------------------------

    def _work(self, child: Child) -> None:
        if child.recycled:
            self._restart(child)
        elif child.state == "starting":
            self._begin(child)
        elif child.name == SOURCE:
            self._source(child)
        elif child.name == AUDIT:
            self._audit(child)
        elif child.name == SINKS:
            self._sinks(child)
        elif child.name.startswith("stage"):
            self._stage(child)
        else:
            self._worker(child)

    def _begin(self, child: Child) -> None:
        if child.name == AUDIT:
            child.state, child.memory = "up", {}
            assert self.database.checkpoint is not None
            child.outbox.append(ev.AuditOwns(self.database.checkpoint["no"]))
        elif child.name.startswith("worker"):
            child.state = "up"
            child.outbox += [ev.Started(child.name), ev.Restored(child.name)]
        else:
            child.state = "waiting"
            child.outbox.append(ev.Started(child.name))

    def _next_job(self, child: Child) -> ev.Send:
        return child.inbox.popleft()

    def _source(self, child: Child) -> None:
        send = child.inbox.popleft()
        message = send.message
        if isinstance(message, m.ReadFrom):
            child.state = "up"
            child.memory = [message.seq, message.row_index, dict(message.sources)]
            claim(
                message.row_index == sum(held["rows"] for held in message.sources.values()), "the cursor lost its rows"
            )
            child.outbox.append(ev.Restored(SOURCE))
            return
        assert isinstance(message, m.Credit)
        for _ in range(message.chunks):
            self._read_chunk(child, message.rows)

    def _read_chunk(self, child: Child, limit: int) -> None:
        seq, row_index, sources = child.memory
        for at, size in enumerate(self.setting.sources):
            name = f"source-{at}"
            held = sources.get(name, {"cursor": 0, "ended": False})
            if held["ended"]:
                continue
            count = min(1 + self.choose(limit), limit, size - held["cursor"])
            cursor = held["cursor"] + count
            ended, last = not count, at == len(self.setting.sources) - 1
            ends = [*range(MARK_ROWS, count, MARK_ROWS), count]
            marks = tuple(m.Mark(rows, held["cursor"] + rows, None) for rows in ends)
            chunk = m.Chunk(seq, row_index, count, name, marks, cursor, ended=ended, last=ended and last)
            child.outbox.append(ev.ChunkArrived(chunk, (row_index, ends), 10 * count))
            sources[name] = {"cursor": cursor, "ended": ended}
            seq, row_index = seq + 1, row_index + count
            child.memory = [seq, row_index, sources]
            if count or last:
                return

    def _worker(self, child: Child) -> None:
        if child.job is None:
            send = child.inbox.popleft()
            child.job = (send, getattr(send.message, "start", 0), [], [])
            return
        send, row, items, records = child.job
        message = send.message
        if isinstance(message, m.StageWork):
            self._later_stage(child, send, row, items, records)
            return
        if row is None:
            child.job, child.at = None, (-1, 0)
            return
        first, marks = send.bodies[0]
        pooled = self.policy.pool_size > 1
        for at in range(row, message.stop if pooled else row + 1):
            index = first + at
            if message.poison is not None:
                records.append(("poison", 0, index))
                continue
            child.at = (-1, 0) if pooled and message.stop - message.start > 1 else (index, 0)
            if index in self.setting.killers.get(0, ()):
                self.kill(child.name)
                return
            records.append(("decided", 0, index))
            items.append((index, ()))
        row = message.stop if pooled else row + 1
        if row == message.stop or (row in marks and message.poison is None and self.choose(2)):
            done = m.Done(message.seq, message.start, row, 0.001 * self.choose(100), {"rows": len(items)})
            child.outbox.append(ev.PieceDone(child.name, done, (tuple(items), first + message.start), tuple(records)))
            rest = m.Work(message.seq, row, message.stop)
            child.job = (ev.Send(child.name, rest, send.bodies), row if row < message.stop else None, [], [])
        else:
            child.job = (send, row, items, records)

    def _later_stage(
        self, child: Child, send: ev.Send, place: int | None, items: list[Any], records: list[Any]
    ) -> None:
        if place is None:
            child.job, child.at = None, (-1, 0)
            return
        message, body = send.message, send.bodies[0] or ()
        assert isinstance(message, m.StageWork)
        if place < len(body):
            row, counts = body[place]
            if str(place) in message.poison:
                records.append(("poison", message.stage, row))
            else:
                child.at = (place, 0)
                if row in self.setting.killers.get(message.stage, ()):
                    self.kill(child.name)
                    return
                records.append(("decided", message.stage, row))
                items.append((row, counts))
            child.job = (send, place + 1, items, records)
            return
        done = m.StageDone(message.no, message.stage, {})
        child.outbox.append(ev.StagePassed(child.name, done, tuple(items), tuple(records)))
        child.job = (send, None, [], [])

    def _stage(self, child: Child) -> None:
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
            if str(place) in message.poison:
                records.append(("poison", message.stage, row))
            else:
                child.at = (place, message.no)
                if row in self.setting.killers.get(message.stage, ()):
                    self.kill(child.name)
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
        done = m.StageDone(message.no, message.stage, {}, flushed=bool(items))
        child.outbox.append(ev.StagePassed(child.name, done, items, tuple(records)))
        child.job, child.at = None, (-1, 0)

    def _sinks(self, child: Child) -> None:
        if child.job is None:
            send = child.inbox.popleft()
            message = send.message
            if isinstance(message, m.RestoreSinks):
                self.disk.restore(message.positions["out"]["n"])
                child.state, child.memory = "up", None
                child.outbox.append(ev.Restored(SINKS))
            elif isinstance(message, m.Flush):
                claim(child.memory == message.no + 1, "a flush that is not in band", message)
                self.disk.flushed = len(self.disk.items)
                child.outbox.append(ev.SinksFlushed(message.no, {"out": {"n": self.disk.flushed}}))
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
            if str(at) in message.poison:
                records.append(("poison", self.sinks_stage, row))
                continue
            if message.careful or message.poison:
                child.at = (at, message.no)
            if row in self.setting.killers.get(self.sinks_stage, ()):
                self.kill(SINKS)
                return
            self.disk.items.append(body[at])
            records.append(("out", self.sinks_stage, body[at]))
        if place + steps < len(body):
            child.job = (send, place + steps, records)
            return
        child.outbox.append(ev.UnitWritten(m.Written(message.no, {"out": len(body)}, {}), tuple(records)))
        child.job = (send, None, [])

    def _audit(self, child: Child) -> None:
        if child.job is not None:
            child.outbox.append(child.job)
            child.job = None
            return
        send = child.inbox.popleft()
        message = send.message
        pending = child.memory
        if isinstance(message, m.Record):
            pending[message.no] = send.bodies
        elif isinstance(message, m.Events):
            self.database.collect(message)
            if message.token is not None:
                self.database.commit_events()
                child.job = ev.BlameNoted(message.token)
        elif isinstance(message, m.Commit):
            units = [pending.pop(no) for no in sorted(pending) if no <= message.no]
            self.database.commit(message, [record for unit in units for body in unit for record in body], self.disk)
            child.job = ev.CommitDurable(message.no)
