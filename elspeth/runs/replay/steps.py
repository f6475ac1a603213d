"""Steps that hold tokens, as a replay takes them: what the clock let go is let go where the record says that it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from elspeth.execution.aggregate import AggregationStep, OpenBatch
from elspeth.execution.compile import STEPS, Steps
from elspeth.execution.executor import Executor
from elspeth.execution.join import PendingJoin
from elspeth.execution.token import Token
from elspeth.execution.waiting_join import WaitingJoinStep
from elspeth.graph.field_names import BATCH_AGE
from elspeth.graph.model import Node
from elspeth.runs.replay.record import Closed, RunRecord


class Clock:
    """Answers, in place of the time, whether what the clock let go went before the row that comes next.

    `over` says of a batch on record whether it was closed by then.
    """

    def __init__(self, record: RunRecord) -> None:
        self.nodes = record.timed_out()
        self.over: Callable[[Closed], bool] = lambda closed: False
        self._record = record
        self._known: dict[str, Closed | None] = {}

    def closed(self, batch: str) -> Closed | None:
        """How a batch ended on record. What waits is asked for again and again."""
        if batch not in self._known:
            self._known[batch] = self._record.closed(batch)
        return self._known[batch]

    def forget(self, batch: str) -> None:
        """It is closed here, too."""
        self._known.pop(batch, None)

    def timed_out(self, node: Node, batch: str, members: int) -> Closed | None:
        """What is on record of a batch that has all the members with which the clock let it go."""
        if node.id not in self.nodes:
            return None
        closed = self.closed(batch)
        return closed if closed is not None and closed.trigger == "timeout" and members >= closed.members else None


class ReplayedBatches(AggregationStep):
    """An aggregation whose time-outs, and triggers that look at the age of a batch, fire as on record."""

    def __init__(self, node: Node, executor: Executor, clock: Clock) -> None:
        super().__init__(node, executor)
        self._clock = clock
        self._by_age = self._condition is not None and BATCH_AGE in self._condition.fields

    def run(self, token: Token) -> None:
        if self._ready() is not None:
            self.flush("timeout")
        super().run(token)

    def _ready(self) -> Closed | None:
        batch = self._batch
        return self._clock.timed_out(self.node, batch.id, len(batch.tokens)) if batch is not None else None

    def _triggered(self, batch: OpenBatch, token: Token) -> str | None:
        closed = self._clock.closed(batch.id) if self._by_age else None
        if closed is None:
            return super()._triggered(batch, token)
        full = len(batch.tokens) >= closed.members
        return closed.trigger if full and closed.trigger in ("count", "condition") else None

    def tick(self) -> None:
        closed = self._ready()
        if closed is not None and self._clock.over(closed):
            self.flush("timeout")

    def end(self) -> None:
        if self._batch is not None:
            self.flush("timeout" if self._ready() is not None else "end_of_source")

    def flush(self, trigger: str) -> None:
        if self._batch is not None:
            self._clock.forget(self._batch.id)
        super().flush(trigger)


class ReplayedMeetings(WaitingJoinStep):
    """A coalesce whose time-outs fire as on record."""

    def __init__(self, node: Node, executor: Executor, clock: Clock) -> None:
        super().__init__(node, executor)
        self._clock = clock

    def _ready(self, join: PendingJoin) -> Closed | None:
        return self._clock.timed_out(self.node, self._join_id(join.parent), len(join.arrived))

    def _arrive(self, token: Token, parent: str, branch: str) -> None:
        join = self._joins.get(parent)
        if join is not None and self._ready(join) is not None:
            self._decide(join, "timeout")
        super()._arrive(token, parent, branch)

    def tick(self) -> None:
        if self.node.id not in self._clock.nodes:
            return
        for join in list(self._joins.values()):
            closed = self._ready(join)
            if closed is not None and self._clock.over(closed):
                self._decide(join, "timeout")

    def end(self) -> None:
        for join in list(self._joins.values()):
            self._decide(join, "timeout" if self._ready(join) is not None else "end_of_source")

    def _decide(self, join: PendingJoin, trigger: str) -> None:
        self._clock.forget(self._join_id(join.parent))
        super()._decide(join, trigger)


def steps_with(clock: Clock) -> Steps:
    """What nodes are compiled to in a replay."""
    return {
        **STEPS,
        "aggregation": partial(ReplayedBatches, clock=clock),
        "waiting coalesce": partial(ReplayedMeetings, clock=clock),
    }
