"""A coalesce in an ordered stage: branches wait for each other across rows, time-outs and restarts."""

from __future__ import annotations

import heapq
from itertools import islice

from elspeth import canonical
from elspeth.execution.executor import Walk
from elspeth.execution.join import CoalesceStep, Meeting
from elspeth.execution.stateful import Archive, Reference, token_of, token_text
from elspeth.execution.token import Token
from elspeth.graph.model import Node

REMEMBERED = 10_000
"""How many decided meetings are kept in mind before the database is asked about older ones."""


class WaitingCoalesceStep(CoalesceStep):
    """Holds each meeting until it is decided: by its branches, by a time-out on the driven clock, or by the end.

    Arrivals are recorded like members of a batch whose id is that of the meeting, so that a checkpoint only says which
    meetings to look for. Decided meetings are remembered as long as a branch is out; beyond a number of them the
    database is asked, so that branches that never come do not fill the memory.
    """

    def __init__(self, node: Node, walk: Walk) -> None:
        super().__init__(node, walk)
        self.active_seconds = 0.0
        self.flushed = False
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._meetings = {}  # waiting, in the order in which they opened
        self._ids: list[str] = []  # a heap of their ids; decided ones are taken off when they come to the top
        self._decided: dict[str, int] = {}  # parent: branches that are still out; in the order of the decisions
        self._arrivals = 0
        self._newest = ""  # the highest meeting id so far
        self._recorded = ""  # below this id the database knows better than we whether a meeting is decided
        self._archive: Archive | None = None

    # -- state -------------------------------------------------------------------------------------------------

    def state(self) -> Reference | None:
        if not self._newest:
            return None
        self._forget_recorded()
        while self._ids and self._parent(self._ids[0]) not in self._meetings:
            heapq.heappop(self._ids)
        return {
            "waiting": len(self._meetings),
            "first": self._ids[0] if self._ids else self._newest,
            "last": self._newest,
            "arrivals": self._arrivals,
        }

    def _forget_recorded(self) -> None:
        if len(self._decided) <= REMEMBERED or self._archive is None:
            return
        oldest = list(islice(self._decided, REMEMBERED // 2))
        if not self._archive.decided(self._meeting_id(oldest[-1])):
            return  # commits keep the order, so if the last of them is on record, all are
        for parent in oldest:
            del self._decided[parent]
            self._recorded = max(self._recorded, self._meeting_id(parent))

    def restore(self, state: Reference | None, archive: Archive) -> None:
        self._forget_everything()
        self._archive = archive
        if state is None:
            return
        self._newest = self._recorded = state["last"]
        self._arrivals = state["arrivals"]
        if not state["waiting"]:
            return
        found = []
        for meeting_id, token_id, text in archive.waiting(self.node.id, state["first"], state["last"]):
            arrival, opened, since, member = canonical.from_text(text)
            found.append((arrival, meeting_id, opened, since, token_of(token_id, member)))
        for _, meeting_id, opened, since, token in sorted(found, key=lambda item: item[0]):
            parent = self._parent(meeting_id)
            if parent not in self._meetings:
                self._meetings[parent] = Meeting(parent, opened=opened, since=since)
                heapq.heappush(self._ids, meeting_id)
            self._meetings[parent].arrived[token.fork[-1][1]] = token

    def due(self) -> float | None:
        if self.node.timeout_seconds is None or not self._meetings:
            return None
        return next(iter(self._meetings.values())).opened + self.node.timeout_seconds

    def _meeting_id(self, parent: str) -> str:
        return f"{parent}+{self.node.id}"

    def _parent(self, meeting_id: str) -> str:
        return meeting_id[: -len(self.node.id) - 1]

    # -- arrivals ----------------------------------------------------------------------------------------------

    def _arrive(self, token: Token, parent: str, branch: str) -> None:
        meeting_id = self._meeting_id(parent)
        meeting = self._meetings.get(parent)
        if meeting is None and self._is_decided(parent, meeting_id):
            self._late(token, parent, branch)
            return
        recorder = self._walk.recorder
        if meeting is None:
            meeting = self._meetings[parent] = Meeting(parent, opened=self.active_seconds, since=recorder.now)
            heapq.heappush(self._ids, meeting_id)
            self._newest = max(self._newest, meeting_id)
        elif branch in meeting.arrived:
            self._late(token, parent, branch)
            return
        meeting.arrived[branch] = token
        self._arrivals += 1
        text = canonical.to_text([self._arrivals, meeting.opened, meeting.since, token_text(token)])
        recorder.records["batch_members"].append((meeting_id, token.id, len(meeting.arrived) - 1, text))
        recorder.outcome(token, "buffered", batch=meeting_id)
        if self._enough(meeting):
            self._decide(meeting, self.node.policy)

    def _is_decided(self, parent: str, meeting_id: str) -> bool:
        out = self._decided.get(parent)
        if out is not None:
            if out > 1:
                self._decided[parent] = out - 1
            else:
                del self._decided[parent]
            return True
        return meeting_id <= self._recorded and self._archive is not None and self._archive.decided(meeting_id)

    # -- ends --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        if self.node.timeout_seconds is None:
            return
        late = []
        for meeting in self._meetings.values():
            if meeting.opened + self.node.timeout_seconds > self.active_seconds:
                break
            late.append(meeting)
        for meeting in late:
            self._decide(meeting, "timeout")

    def end(self) -> None:
        waiting = list(self._meetings.values())
        for meeting in waiting:
            self._decide(meeting, "end_of_source")

    def _decide(self, meeting: Meeting, trigger: str) -> None:
        del self._meetings[meeting.parent]
        out = len(self.node.branches) - len(meeting.arrived)
        if out:
            self._decided[meeting.parent] = out
        meeting_id = self._meeting_id(meeting.parent)
        given_up = trigger in ("timeout", "end_of_source")
        end = self._give_up if given_up else self._merge
        recorder = self._walk.recorder
        status = "completed" if end(meeting, meeting_id) else "failed"
        recorder.records["batches"].append((meeting_id, self.node.id, trigger, status, meeting.since, recorder.now))
