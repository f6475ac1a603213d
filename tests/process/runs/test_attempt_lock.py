"""The lock of an attempt, held by a process that is killed, and not inherited by its children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from elspeth.runs import evidence, locks
from elspeth.runs.identity import AttemptIdentity
from elspeth.runs.liveness import judge

HOLDER = """
import subprocess, sys
from pathlib import Path
from elspeth.runs.identity import current
from elspeth.runs.locks import AttemptLock
lock = AttemptLock.acquire(current(Path(sys.argv[1])))
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False, stdin=0)
print(child.pid, flush=True)
input()
"""


def test_a_killed_holder_is_an_orphan_although_its_child_lives(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "mf3k2a9x.1.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        attempt = AttemptIdentity.from_columns(locks.holder(path))
        assert attempt.pid == process.pid
        assert judge(evidence.gather(attempt)).sentence == f"lock held and pid {process.pid} running"
        process.kill()
        process.wait()
        assert Path(f"/proc/{child}").exists()
        assert judge(evidence.gather(attempt)).sentence == f"lock free and pid {process.pid} gone"
