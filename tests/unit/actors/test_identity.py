from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from actors import Identity, procfs


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_a_process_knows_itself() -> None:
    me = Identity.of(os.getpid())
    assert me.state() == "alive"
    assert me.start_time == pytest.approx(psutil.Process().create_time(), abs=0.02)


def test_a_pid_without_a_process_has_no_identity(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ProcessLookupError):
        Identity.of(sleeper.pid)


def test_a_stopped_process_is_stopped_not_gone(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    sleeper.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert identity.state() == "stopped"


def test_a_zombie_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identity.state() == "gone"
    assert not identity.kill()


@pytest.mark.parametrize("ticks", [None, 0])
def test_another_process_with_the_same_pid_is_not_killed(sleeper: subprocess.Popen[bytes], ticks: int | None) -> None:
    earlier = Identity.of(sleeper.pid)
    earlier = replace(
        earlier,
        start_time=earlier.start_time - 10,
        start_ticks=earlier.start_ticks - 1000 if ticks is None else ticks,
    )
    assert earlier.state() == "gone"
    assert not earlier.kill()
    assert sleeper.poll() is None


def test_a_pid_that_went_to_a_thread_is_nobody_to_kill() -> None:
    """Pids are small in a container that was started again, and threads take numbers, too."""
    gone = threading.Event()
    thread = threading.Thread(target=gone.wait)
    thread.start()
    assert thread.native_id is not None
    earlier = replace(Identity.of(os.getpid()), pid=thread.native_id, start_ticks=1)
    assert not earlier.kill()
    gone.set()
    thread.join()


def test_the_start_time_alone_is_enough(sleeper: subprocess.Popen[bytes]) -> None:
    identity = replace(Identity.of(sleeper.pid), start_ticks=0)
    assert identity.state() == "alive"
    assert identity.kill()


def test_a_clock_that_was_set_makes_nobody_another(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert replace(identity, start_time=identity.start_time + 3600).state() == "alive"


@pytest.mark.parametrize("field", ["boot_id", "pid_namespace", "host"])
def test_what_runs_elsewhere_is_unknown_and_not_touched(sleeper: subprocess.Popen[bytes], field: str) -> None:
    elsewhere = replace(Identity.of(sleeper.pid), **{field: "elsewhere"})
    assert elsewhere.state() == "unknown"
    assert not elsewhere.kill()
    assert sleeper.poll() is None


def test_a_name_full_of_brackets_does_not_confuse_the_reader() -> None:
    script = "import time; open('/proc/self/comm', 'w').write(') Z 1 ('); print('named', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = procfs.stat(process.pid)
        process.kill()
    assert found is not None
    assert found.state in "SR"
    assert found.resident_bytes > 1 << 20
