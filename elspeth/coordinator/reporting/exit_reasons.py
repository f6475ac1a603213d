"""A child's death, or that it never lived, in words, for people and for the record. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.child import EXIT_REFUSED
from actors.events import ChildDown
from elspeth.canonical import JsonObject
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.names import SOURCE
from elspeth.errors import ElspethError, Temporary

_TAIL_LINES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What the words need to know: the limits that children of this run have, by whom. None: none.

    `worker_memory_bytes` is ours (`supervisor.worker_memory_limit_mb`), for workers and ordered stages only.
    `address_space_bytes` is the system's (`ulimit -v`).
    """

    hang_seconds: float | None = 300.0
    worker_memory_bytes: int | None = None
    address_space_bytes: int | None = None


def of_memory(down: ChildDown, limits: Limits) -> bool:
    """Whether it died for want of memory that no setting of ours bounds: then the row in hand may not have done it."""
    limited = limits.worker_memory_bytes is not None and down.name.startswith(("worker-", "stage-"))
    return down.out_of_memory or (down.reason == "memory" and not limited)


def describe(down: ChildDown, limits: Limits) -> str:
    """How it died; names the setting or the limit that it went over."""
    if down.reason == "place":
        return f"lost: {down.lost}" if down.lost else "its place was lost"
    if down.reason == "hang":
        return f"hung: no progress for supervisor.hang_timeout_seconds ({limits.hang_seconds:g} s)"
    if of_memory(down, limits):
        who = "the kernel killed it" if down.out_of_memory else "the system gave it no more"
        return f"out of memory: {who} ({_bound(down, limits)})"
    if down.reason == "memory":
        return "memory: over supervisor.worker_memory_limit_mb"
    if down.reason == "fork_server":
        return f"{down.signal}: so died the process that children are forked from, and all of them with it"
    if down.exit_code == EXIT_REFUSED:
        return "the system had no room for another thread"
    return down.signal or f"exit code {down.exit_code}"


def suspicion(down: ChildDown, limits: Limits) -> Suspicion:
    """What speaks against the item that it was touching."""
    return Suspicion(
        reason=describe(down, limits), detail=down.detail, signal=down.signal, exit_code=down.exit_code,
        memory=of_memory(down, limits),
    )  # fmt: skip


def detail(down: ChildDown) -> JsonObject:
    """How it ended, for the record; `position` is the row or the item it was touching."""
    facts = {"reason": down.reason, "exit_code": down.exit_code, "signal": down.signal}
    if down.where:
        facts |= {"node": down.where}
    if down.lost:
        facts |= {"lost": down.lost}
    return facts | {"position": down.position} if down.position >= 0 and down.name != SOURCE else facts


def _bound(down: ChildDown, limits: Limits) -> str:
    if down.group_limit_bytes is not None:
        return f"the memory limit of its control group is {down.group_limit_bytes / 2**20:,.0f} MiB"
    if limits.address_space_bytes is not None and not down.out_of_memory:
        return f"the address space limit, ulimit -v, is {limits.address_space_bytes / 2**20:,.0f} MiB"
    return "no limit is set: the machine has no more"


def out_of_memory(exits: Sequence[ChildDown], limits: Limits, rows: Sequence[int] = ()) -> Temporary:
    """The run cannot go on for want of memory. `rows` were tried alone, and their processes died all the same."""
    down = next(down for down in reversed(exits) if of_memory(down, limits))
    tried = [f"row {row} was tried alone, and its process died the same way; it is not blamed" for row in rows]
    return Temporary(
        f"out of memory: {_bound(down, limits)}, and that is too little for this run",
        details=[*tried, *last_exits(exits[-3:], limits)],
        next_step="give it more memory, or fewer workers (concurrency.max_workers); where single rows take that much, "
        "set supervisor.worker_memory_limit_mb, and they are set aside, then resume",
    )


def gave_up(reason: str, exits: Sequence[ChildDown], limits: Limits) -> ElspethError:
    """A child kept dying: what it died of decides whether the run failed, or lacks something."""
    if any(of_memory(down, limits) for down in exits):
        return out_of_memory(exits, limits)
    if exits and exits[-1].exit_code == EXIT_REFUSED:
        return Temporary(
            f"{exits[-1].name} could not begin: the system had no room for another thread",
            details=last_exits(exits, limits),
            next_step="raise the limit (ulimit -u, pids.max), then resume",
        )
    return ElspethError(
        f"restart intensity exceeded: {reason}", details=[*last_exits(exits, limits), *last_words(exits)]
    )


def last_exits(exits: Sequence[ChildDown], limits: Limits) -> list[str]:
    """One line for each death that counted."""
    return [f"{named(down)}: {describe(down, limits)}" for down in exits]


def named(down: ChildDown) -> str:
    """Which process it was, and where."""
    pid = f"pid {down.identity.pid}" if down.identity.pid else "not begun"
    return f"{down.name} ({pid} on {down.where})" if down.where else f"{down.name} ({pid})"


def last_words(exits: Sequence[ChildDown]) -> list[str]:
    """The end of what the last one printed."""
    return exits[-1].output_tail.strip().splitlines()[-_TAIL_LINES:] if exits else []


def less_than_committed(found: Checkpoint, committed: Checkpoint) -> Temporary:
    """An audit process that was started again finds another database than the one that took the commits."""
    return Temporary(
        "the audit database holds less than was committed to it: it was deleted or replaced while the run went on",
        details=[f"rows on record there: {found.row_count:,}; committed: {committed.row_count:,}"],
        next_step="put the database back with its side files (-wal, -shm) and resume; or start the run again",
    )


def not_started(child: str, error: OSError) -> Temporary:
    """A child that never lived, because the system or the fork server refused."""
    room = "the system has no room for another process, or no memory or descriptors for it"
    return Temporary(
        f"{child} could not be started: {error.strerror or error}", details=[room] if error.errno is not None else []
    )
