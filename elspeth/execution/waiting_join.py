"""A coalesce in an ordered stage: branches wait for each other across rows, time-outs and restarts."""

from __future__ import annotations

import heapq
from itertools import islice

from elspeth import canonical
from elspeth.execution.executor import Executor
from elspeth.execution.join import JoinStep, PendingJoin
from elspeth.execution.stateful import BatchArchive, StateReference, token_of, token_text
from elspeth.execution.token import Token
from elspeth.graph.model import Node

REMEMBERED = 10_000
"""How many decided pending joins are kept in mind before the database is asked about older ones."""


class WaitingJoinStep(JoinStep):
    """Holds each pending join until it is decided: by its branches, by a time-out on the driven clock, or by the end.

    Arrivals are recorded like members of a batch whose id is that of the pending join, so that a checkpoint only says
    which pending joins to look for. Decided pending joins are remembered as long as a branch is out; beyond a number
    of them the database is asked, so that branches that never come do not fill the memory.
    """

    def __init__(self, node: Node, executor: Executor) -> None:
        super().__init__(node, executor)
        self.active_seconds = 0.0
        self.flushed = False
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._joins = {}  # waiting, in the order in which they opened
        self._ids: list[str] = []  # a heap of their ids; decided ones are taken off when they come to the top
        self._decided: dict[str, int] = {}  # parent: branches that are still out; in the order of the decisions
        self._arrivals = 0
        self._newest = ""  # the highest pending join id so far
        self._recorded = ""  # below this id the database knows better than we whether a pending join is decided
        self._archive: BatchArchive | None = None

    # -- state -------------------------------------------------------------------------------------------------

    def state(self) -> StateReference | None:
        if not self._newest:
            return None
        self._forget_recorded()
        while self._ids and self._parent(self._ids[0]) not in self._joins:
            heapq.heappop(self._ids)
        return {
            "waiting": len(self._joins),
            "first": self._ids[0] if self._ids else self._newest,
            "last": self._newest,
            "arrivals": self._arrivals,
        }

    def _forget_recorded(self) -> None:
        if len(self._decided) <= REMEMBERED or self._archive is None:
            return
        oldest = list(islice(self._decided, REMEMBERED // 2))
        if not self._archive.decided(self._join_id(oldest[-1])):
            return  # commits keep the order, so if the last of them is on record, all are
        for parent in oldest:
            del self._decided[parent]
            self._recorded = max(self._recorded, self._join_id(parent))

    def restore(self, state: StateReference | None, archive: BatchArchive) -> None:
        self._forget_everything()
        self._archive = archive
        if state is None:
            return
        self._newest = self._recorded = state["last"]
        self._arrivals = state["arrivals"]
        if not state["waiting"]:
            return
        found = []
        for join_id, token_id, text in archive.waiting(self.node.id, state["first"], state["last"]):
            arrival, opened, since, member = canonical.from_text(text)
            found.append((arrival, join_id, opened, since, token_of(token_id, member)))
        for _, join_id, opened, since, token in sorted(found, key=lambda item: item[0]):
            parent = self._parent(join_id)
            if parent not in self._joins:
                self._joins[parent] = PendingJoin(parent, opened=opened, since=since)
                heapq.heappush(self._ids, join_id)
            self._joins[parent].arrived[token.fork[-1][1]] = token

    def due(self) -> float | None:
        if self.node.timeout_seconds is None or not self._joins:
            return None
        return next(iter(self._joins.values())).opened + self.node.timeout_seconds

    def _join_id(self, parent: str) -> str:
        return f"{parent}+{self.node.id}"

    def _parent(self, join_id: str) -> str:
        return join_id[: -len(self.node.id) - 1]

    # -- arrivals ----------------------------------------------------------------------------------------------

    def _arrive(self, token: Token, parent: str, branch: str) -> None:
        join_id = self._join_id(parent)
        join = self._joins.get(parent)
        if join is None and self._is_decided(parent, join_id):
            self._late(token, parent, branch)
            return
        recorder = self._executor.recorder
        if join is None:
            join = self._joins[parent] = PendingJoin(parent, opened=self.active_seconds, since=recorder.now)
            heapq.heappush(self._ids, join_id)
            self._newest = max(self._newest, join_id)
        elif branch in join.arrived:
            self._late(token, parent, branch)
            return
        join.arrived[branch] = token
        self._arrivals += 1
        text = canonical.to_text([self._arrivals, join.opened, join.since, token_text(token)])
        recorder.records["batch_members"].append((join_id, token.id, len(join.arrived) - 1, text))
        recorder.outcome(token, "buffered", batch=join_id)
        if self._enough(join):
            self._decide(join, self.node.policy)

    def _is_decided(self, parent: str, join_id: str) -> bool:
        out = self._decided.get(parent)
        if out is not None:
            if out > 1:
                self._decided[parent] = out - 1
            else:
                del self._decided[parent]
            return True
        return join_id <= self._recorded and self._archive is not None and self._archive.decided(join_id)

    # -- ends --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        if self.node.timeout_seconds is None:
            return
        late = []
        for join in self._joins.values():
            if join.opened + self.node.timeout_seconds > self.active_seconds:
                break
            late.append(join)
        for join in late:
            self._decide(join, "timeout")

    def end(self) -> None:
        waiting = list(self._joins.values())
        for join in waiting:
            self._decide(join, "end_of_source")

    def _decide(self, join: PendingJoin, trigger: str) -> None:
        del self._joins[join.parent]
        out = len(self.node.branches) - len(join.arrived)
        if out:
            self._decided[join.parent] = out
        join_id = self._join_id(join.parent)
        given_up = trigger in ("timeout", "end_of_source")
        end = self._give_up if given_up else self._merge
        recorder = self._executor.recorder
        status = "completed" if end(join, join_id) else "failed"
        recorder.records["batches"].append((join_id, self.node.id, trigger, status, join.since, recorder.now))
