"""Whether memory ran out while an attempt was alive: the kernel's count at its beginning, kept with its records.

An attempt whose main process was killed cannot say what killed it. The count of the machine outlives it.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from actors.identity import here
from actors.places.local.oom import machine_count
from elspeth import ids
from elspeth.audit.chain.records import Record
from elspeth.clock import utc_now

EVENT = "memory"

Mark = Mapping[str, object]
"""`boot_id`, and `oom_kills`, the processes killed for want of memory since that boot (None: unknown)."""


def mark() -> Mark:
    """How things stand now."""
    return {"boot_id": here()[0], "oom_kills": machine_count()}


def record(run_id: str, attempt: int) -> Record:
    """The mark of this moment as a record of `supervision_events`, to be written when the attempt begins."""
    detail = orjson.dumps(mark()).decode()
    return (ids.event_id(run_id, attempt, EVENT), attempt, None, EVENT, None, detail, utc_now())


def ran_out(marks: Mapping[int, Mark], attempt: int, now: Mark) -> bool:
    """Whether the kernel killed for want of memory between the beginning of this attempt and that of the next, or now.

    False where nobody can tell: an attempt of before there were marks, or a machine that was started anew since.
    """
    begun = marks.get(attempt)
    after = next((marks[later] for later in sorted(marks) if later > attempt), now)
    if begun is None or begun["boot_id"] != after["boot_id"]:
        return False
    first, last = begun["oom_kills"], after["oom_kills"]
    return isinstance(first, int) and isinstance(last, int) and last > first
