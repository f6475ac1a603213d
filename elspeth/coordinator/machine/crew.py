"""The workers of an attempt: who is up, who is on the way, who is to be asked for. Pure.

Those of this machine come soon, or the attempt fails; one after the other is started while there is enough to do. Those
of other machines are asked for all at once, and nobody waits for them: the cluster may have no room.
"""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator.in_flight import WorkerState
from elspeth.coordinator.names import worker_name, worker_number
from elspeth.coordinator.policy import Policy, work_seconds

ENOUGH = 3
"""Work for so many chunks that nobody has is enough for one worker more."""

FAR_DEPTH_SECONDS = 1.0
"""A worker elsewhere has the next chunk at hand when it ends one, unless a chunk takes longer than this: it would wait
for the network each time."""


class Crew:
    """Workers `here`, 1 to `policy.here`, and those far away, with the numbers above."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.up: dict[str, WorkerState] = {}
        self._coming = {worker_name(1)} if policy.here else set()  # the run begins with a worker on its way
        self._without_room: set[str] = set()

    def is_far(self, name: str) -> bool:
        """Whether this worker runs on another machine."""
        return worker_number(name) > self._policy.here

    def came(self, name: str) -> None:
        """This worker takes work from now on."""
        self.up[name] = WorkerState(name, self.is_far(name))
        self._coming.discard(name)
        self._without_room.discard(name)

    def went(self, name: str) -> WorkerState | None:
        """It is gone, and another of its name is on the way; what it was given, if it was up."""
        self._coming.add(name)
        self._without_room.discard(name)
        return self.up.pop(name, None)

    def no_room(self, name: str) -> None:
        """The cluster has no room for it so far."""
        if name in self._coming and self.is_far(name):
            self._without_room.add(name)

    @property
    def coming(self) -> int:
        """How many workers are on the way that a row which goes alone may wait for.

        Where there are workers here, it is for one of these: whether others come is the cluster's to say.
        """
        if self._policy.here:
            return sum(not self.is_far(name) for name in self._coming)
        return len(self._coming - self._without_room)

    def more(self, rows: int, row_seconds: float) -> list[ev.Command]:
        """Ask for more workers, if what nobody has is enough for one: so many rows, each of which takes that long."""
        # A worker has its share of a pool and nothing of another's, so all are needed, and waiting takes no processor.
        enough = self._policy.pool_size > 1 or rows * row_seconds > ENOUGH * work_seconds(len(self.up))
        if not self._policy.here:
            enough = enough or not self.up
        if not enough:
            return []
        if len(self.up) + len(self._coming) >= self._policy.workers:
            return []
        here = self._free(range(1, self._policy.here + 1))
        if here:
            return [] if self.coming else self._ask(here[:1])
        return self._ask(self._free(range(self._policy.here + 1, self._policy.workers + 1)))

    def fresh(self) -> list[ev.Command]:
        """A worker that has done nothing yet: one more if there may be one more, else in place of an idle one."""
        here = self._policy.here
        free = self._free(range(1, here + 1) if here else range(1, self._policy.workers + 1))
        if free:
            return self._ask(free[:1])
        for worker in self.up.values():
            if not worker.tasks and not (here and self.is_far(worker.name)):
                self.went(worker.name)
                return [ev.Recycle(worker.name)]
        return []

    def least_busy(self, rows_ahead: int, seconds: float, kept: int, *, slow: bool) -> WorkerState | None:
        """Who gets the next chunk, which takes so many seconds. `kept` fresh workers are left for others.

        A pool begins the next row at once if that is at hand: `rows_ahead` wait there; 0: there is no pool.
        """
        here = 2 if self._policy.pool_size > 1 or not slow else 1
        far = 2 if seconds < FAR_DEPTH_SECONDS else here
        fresh = [worker.name for worker in self.up.values() if worker.fresh][:kept] if kept else ()
        found, least = None, (0, 0)
        for worker in self.up.values():
            rows = worker.rows if rows_ahead else 0
            if len(worker.tasks) >= (far if worker.far else here) and rows >= rows_ahead:
                continue
            load = rows, len(worker.tasks)
            if found is not None and load >= least:
                continue
            if worker.name not in fresh and not any(task.alone for task in worker.tasks):
                found, least = worker, load
                if least == (0, 0):
                    break
        return found

    def _free(self, numbers: range) -> list[str]:
        names = map(worker_name, numbers)
        return [name for name in names if name not in self.up and name not in self._coming]

    def _ask(self, names: list[str]) -> list[ev.Command]:
        self._coming.update(names)
        return [ev.NeedWorker(name) for name in names]
