"""A main process to be killed: starts three ping actors (one busy, one idle, one stopped) and prints their pids.

Arguments: the watchdog's seconds (0: none), and "deaf" for a listener that hangs.
"""

from __future__ import annotations

import os
import signal
import sys

from tests.kit.processes.family import Family
from tests.kit.processes.waiting import wait_until

if __name__ == "__main__":
    watchdog = float(sys.argv[1]) or None
    deaf = sys.argv[2:] == ["deaf"]
    with Family(watchdog_seconds=watchdog, send_ticks=deaf) as family:
        pids = [family.start(name) for name in ("busy", "idle", "stopped")]
        family.send("busy", b"spin")
        os.kill(pids[2], signal.SIGSTOP)
        sys.stdout.write(" ".join(map(str, pids)) + "\n")
        sys.stdout.flush()
        if deaf:
            family.listener.proxy().hang()
        wait_until(lambda: False, timeout=600)
