"""The lock of an attempt, held by a process that is killed, and not inherited by its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elspeth.runs.liveness import evidence, locks
from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.judge import judge
from tests.kit.processes.waiting import wait_until

HOLDER = """
import subprocess, sys
from pathlib import Path
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock
lock = AttemptLock.acquire(current(Path(sys.argv[1])))
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False, stdin=0)
print(child.pid, flush=True)
input()
"""


@contextmanager
def holding(path: Path, *wrapper: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock, and the pid of a child of it that does not."""
    command = [*wrapper, sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def holder(path: Path) -> AttemptIdentity:
    found = locks.holder(path)
    assert found is not None
    return found


def sentence(path: Path) -> str:
    return judge(evidence.gather(holder(path))).sentence


def test_a_killed_holder_is_an_orphan_although_its_child_lives(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "mf3k2a9x.1.lock"
    with holding(path) as (process, child):
        assert holder(path).pid == process.pid
        assert sentence(path) == f"lock held and pid {process.pid} running"
        process.kill()
        process.wait()
        assert Path(f"/proc/{child}").exists()
        assert sentence(path) == f"lock free and pid {process.pid} gone"


def test_a_stopped_holder_is_frozen(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "mf3k2a9x.1.lock"
    with holding(path) as (process, _):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert sentence(path) == f"lock held, but pid {process.pid} is stopped"


def test_a_holder_in_another_pid_namespace_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "mf3k2a9x.1.lock"
    wrapper = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a pid namespace")
    with holding(path, *wrapper) as (process, _):
        who = holder(path)
        assert who.pid == 1
        assert sentence(path) == f"lock held by another pid namespace (pid 1 of {who.host})"
        process.kill()
        process.wait()
        wait_until(lambda: locks.probe(path).state == "free")
        expected = f"lock free and nobody of another pid namespace (pid 1 of {who.host}) holds it any more"
        assert sentence(path) == expected
