"""Ends processes of an earlier attempt that outlived it: they could still hold an output open, and its lock.

One that stands still is ended before the audit database is asked for anything: stopped in the midst of a commit it has
all who write there wait. The others have two seconds to notice by themselves that they are alone; they are ended once
this attempt owns the run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from actors.identity import Identity

LEFTOVER_SECONDS = 2.0


def bury_stopped(leftovers: Sequence[Identity]) -> list[int]:
    """`bury` those that a signal or a debugger has stopped."""
    return bury([identity for identity in leftovers if identity.state() == "stopped"])


def bury(leftovers: Sequence[Identity]) -> list[int]:
    """Kill those that still live, and wait until they are gone, `LEFTOVER_SECONDS` at most; answers their pids."""
    killed = [identity for identity in leftovers if _killed(identity)]
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while any(identity.state() != "gone" for identity in killed) and time.monotonic() < deadline:
        time.sleep(0.01)  # their locks end with them
    return [identity.pid for identity in killed]


def _killed(identity: Identity) -> bool:
    try:
        return identity.kill()
    except PermissionError:  # somebody else began it: where it holds what is needed here, that is said then
        return False
