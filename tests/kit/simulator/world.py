"""A simulated run around the machine: children with inboxes that can die at any moment, and a durable database.

Every child takes one small step at a time; what it said reaches the machine later, in the order of that child alone.
What a schedule does is read from `choose`, so that a run can be repeated and a failing one made smaller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.event_outbox import EventOutbox
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE, stage_name, worker_number
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from tests.kit.simulator.children import Child, work
from tests.kit.simulator.durable import Database, Disk, claim


@dataclass(frozen=True)
class Setting:
    """A pipeline and its input. `killers` maps a stage (the sinks are the one after the last) to rows that kill it.

    They do so for want of memory where it says `memory`, and all children at once where it says `parent`.
    """

    policy: Policy
    stateful: tuple[bool, ...] = (False,)
    sources: tuple[int, ...] = (10,)
    killers: dict[int, frozenset[int]] = field(default_factory=dict)
    memory: bool = False
    parent: bool = False

    @property
    def rows(self) -> int:
        return sum(self.sources)


CAUTIONS = NO_CAUTION, Caution(5), Caution(5, recorded=True)
"""How an attempt may begin after others died."""


class World:
    """One attempt of a run, on the database and the disk of all attempts."""

    def __init__(self, setting: Setting, database: Database, disk: Disk, choose: Callable[[int], int]) -> None:
        self.setting, self.database, self.disk, self.choose = setting, database, disk, choose
        self.policy = setting.policy
        self.sinks_stage = len(setting.stateful)
        if database.checkpoint is None:
            database.checkpoint = start_checkpoint({"out": {"n": 0}})
        database.attempt += 1
        self.caution = database.caution
        self.machine = Machine(
            setting.policy, setting.stateful, database.checkpoint, suspects=database.suspects(),
            caution=self.caution,
        )  # fmt: skip
        self.children = {name: Child(name) for name in (SINKS, SOURCE)}
        if self.policy.here:
            self.children["worker-1"] = Child("worker-1")
        self.children |= {stage_name(k): Child(stage_name(k)) for k, ordered in enumerate(setting.stateful) if ordered}
        self.children[AUDIT] = Child(AUDIT, state="up")
        self.children[AUDIT].memory = {}
        self.event_outbox = EventOutbox()
        self.finished: ev.Finished | None = None
        self.stopped = False
        self.commits_out: set[int] = set()
        self.credits: deque[int] = deque()
        self.received = database.checkpoint.row_count
        self.begin = self.received
        self.noted: set[int] = set()
        self.suspected: dict[int, int] = {}  # row -> token, until it is decided
        self.ticks = 0
        self.counted = 0
        self.inherited = database.suspects()
        self.owned = True
        self.out_of_memory: list[int] = []
        self.fork_server = 1
        self.time = database.checkpoint.active_seconds

    # -- the schedule ------------------------------------------------------------------------------------------

    def moves(self) -> list[tuple[str, str]]:
        """Everything that can happen next, but deaths and the operator."""
        found = []
        for child in self.children.values():
            if child.outbox:
                found.append(("hear", child.name))
            if child.state == "barred":
                continue
            busy = child.state == "starting" or child.recycled or child.inbox or child.job is not None
            if busy and child.state != "down":
                found.append(("work", child.name))
        return found

    def alive(self) -> list[str]:
        return [name for name, child in self.children.items() if child.state != "down"]

    def do(self, what: str, name: str) -> None:
        child = self.children[name]
        if what == "work":
            work(self, child)
        elif what == "hear":
            self._hear(child)
        else:
            self.kill(name)

    def event(self, event: ev.Event) -> None:
        """Something happens to the machine from outside."""
        self.stopped |= isinstance(event, ev.StopRequested)
        self._step(event)

    def kill_by_row(self, name: str) -> None:
        """The row that this process touches kills it, or all children, for its reason."""
        if not self.setting.parent:
            self.kill(name, memory=self.setting.memory)
            return
        for each in [name, *self.alive()]:
            if self.children[each].state != "down":
                self.kill(each, memory=self.setting.memory, fork_server=self.fork_server)
        self.fork_server += 1

    def is_far(self, name: str) -> bool:
        """Whether this is a worker on another machine."""
        return name.startswith("worker") and worker_number(name) > self.policy.here

    def lose(self, name: str) -> None:
        """The place of this worker is gone, and the worker with it; another time there may be no room for it."""
        if self.children[name].state != "barred":
            self.kill(name, lost=True)

    def make_room(self) -> None:
        """The cluster has room for all that wait."""
        for child in self.children.values():
            child.barred = False
            if child.state == "barred":
                child.state = "starting"

    def kill(self, name: str, *, memory: bool = False, fork_server: int = 0, lost: bool = False) -> None:
        """This process dies now. What it had said is still heard."""
        child = self.children[name]
        if child.recycled or child.state == "barred":
            self.restart(child)
            return
        position, detail = child.at
        if not lost and name != SOURCE and name not in (AUDIT, SINKS) and child.state == "up":
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
        where = -1 if name == SOURCE else position
        suspicion = Suspicion(reason="killed", memory=memory)
        child.outbox.append(ev.Died(name, where, detail, suspicion, fork_server, lost))

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
            case ev.SliceDone(_, done):
                first = event.items[1]
                for row in range(first, first + done.stop - done.start):
                    self.suspected.pop(row, None)
            case ev.CommitDurable(no):
                self.commits_out = {other for other in self.commits_out if other > no}
                self.event_outbox.committed(no)
            case ev.BlameNoted(token):
                self.noted.add(token)
                self.event_outbox.noted(token)
            case ev.AuditOwns():
                self.commits_out.clear()
                self.owned = True
                for message in self.event_outbox.unsaved():
                    self._to_audit(message)
        if isinstance(event, ev.SliceDone):
            event = ev.SliceDone(event.worker, event.done, event.items[0], event.records)
        self._step(event)

    def _step(self, event: ev.Event) -> None:
        self.time += 0.5
        self.machine.active_seconds = self.time
        lost = isinstance(event, ev.Died) and event.lost
        for command in self.machine.step(event):
            claim(not (lost and isinstance(command, ev.Suspect | ev.Convicted)), "a row is blamed for a place", command)
            claim(not (lost and isinstance(command, ev.Restart) and command.counted), "a lost place counts", command)
            self._obey(command)
        unsettled = self.received - self.database_rows() + sum(self.credits)
        claim(unsettled <= self.policy.window_rows(), "more rows in flight than the window", unsettled)
        if self.caution.recorded and self.received < self.begin + self.caution.rows:
            claim(unsettled <= 1, "an innocent row in flight beside the one that is touched", unsettled)
        up = [child for child in self.children.values() if child.name.startswith("worker")]
        claim(len(up) <= self.policy.workers, "more workers than allowed", len(up))
        here = [child for child in up if not self.is_far(child.name)]
        claim(len(here) <= self.policy.here, "more workers here than allowed", len(here))

    def database_rows(self) -> int:
        return self.machine.durable.row_count

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
                self.restart(self.children[name])
            case ev.NeedWorker(name):
                claim(name not in self.children, "asked for twice", name)
                self.children[name] = Child(name, barred=self._barred(name))
            case ev.Recycle(name):
                child = self.children[name]
                if child.state == "down":  # it died by itself, and nobody knows yet
                    child.outbox.clear()
                    self.restart(child)
                else:
                    claim(not child.inbox, "recycled with work to do", name)
                    child.recycled = True
            case ev.Suspect(token, row, deaths, _):
                self.suspected[row] = token
                self._to_audit(
                    self.event_outbox.add("workers", "suspect", detail={"row": row, "deaths": deaths}, token=token)
                )
            case ev.InHand(row):
                self.database.marked = row
            case ev.GivenOut(row_end):
                self.database.given_out = row_end
            case ev.ManyInHand():
                claim(
                    self.database.marked is None, "many go while a row is marked as the only one", self.database.marked
                )
            case ev.Convicted(row, _):
                self._to_audit(self.event_outbox.add("workers", "quarantined", detail={"row": row}))
            case ev.OutOfMemory(rows):
                self.out_of_memory = rows
            case ev.Finished():
                self.finished = command
                self._check_end()

    def _check_end(self) -> None:
        """However a run ends, nothing that was released is left to be done again, and nothing hangs over it."""
        claim(not self.machine.released(), "ended before what is released was committed", self.machine.released())
        claim(self.machine.durable == self.database.checkpoint, "ended elsewhere than at the last checkpoint")
        claim(self.machine.pipeline.at_split_point, "ended where no commit can stop")

    def restart(self, child: Child) -> None:
        """A successor is on its way; what the predecessor had said is still to be heard."""
        self.children[child.name] = Child(child.name, outbox=child.outbox, barred=self._barred(child.name))

    def _barred(self, name: str) -> bool:
        """Whether there is no room for it: for one worker there always is, here or elsewhere."""
        others = [child for child in self.children.values() if self.is_far(child.name) and child.name != name]
        somebody = self.policy.here or any(not child.barred for child in others)
        return self.is_far(name) and bool(somebody) and self.choose(2) == 0

    def _check_marked(self, row: int, rows: int) -> None:
        """A row that goes by itself is touched now."""
        claim(rows == 1 and self.database.marked == row, "a row in company, or not marked", row, self.database.marked)
        others = [child.name for child in self.children.values() if child.name.startswith("worker") and child.inbox]
        claim(not others, "another row is in hand", others)
        claim(not self.credits, "the source reads while a row is in hand", row)
        claim(not self.commits_out and not self.machine.pipeline.barriers, "a row is touched beside a commit", row)

    def _check_send(self, name: str, message: m.Message, command: ev.Send) -> None:
        match message:
            case m.RestoreSinks() | m.RestoreStage():
                claim(not self.commits_out, "restored while the outcome of a commit is unknown", name)
                claim(
                    self.machine.durable == self.database.checkpoint, "restored elsewhere than at the last checkpoint"
                )
            case m.Commit(checkpoint):
                self.commits_out.add(checkpoint.micro_batch)
                self.event_outbox.sent_with(checkpoint.micro_batch)
            case m.Credit(chunks, rows):
                self.credits.extend([rows] * chunks)
            case m.Work(_, start, stop, poison):
                first = command.bodies[0][0] + start
                if self.caution.marked and first < self.begin + self.caution.rows and poison is None:
                    self._check_marked(first, stop - start)
                for row in range(first, first + stop - start):
                    claim(row in self.suspected or row not in self.inherited or poison is not None, "not noted again")
                    token = self.suspected.get(row)
                    if token is None or poison is not None:
                        continue
                    claim(token in self.noted and token in self.database.tokens, "touched before its blame is noted")
                    if not self.caution.recorded:
                        child = self.children[name]
                        claim(stop - start == 1, "a suspect in company", row)
                        claim(not child.used and not child.inbox, "a suspect in a worker that is not fresh", row)
                self.children[name].used = True
            case m.StageWork():
                self.children[name].used = True
