"""A folder is removed when who made it is gone, and who is to end with it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import procfs
from actors.guarded_folder import NAMES, GuardedFolder
from tests.kit.processes.program import ROOT
from tests.kit.processes.waiting import wait_until

MAKER = """
import sys
from actors.guarded_folder import GuardedFolder
folder = GuardedFolder("guarded-", within=sys.argv[1])
folder.take_along(int(sys.argv[2]))
print(folder.path, flush=True)
sys.stdin.readline()
folder.remove()
"""


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two that would go on for long."""
    started = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def maker(within: Path, pid: int) -> tuple[subprocess.Popen[str], Path]:
    words = [sys.executable, "-c", MAKER, str(within), str(pid)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_who_is_killed_takes_along_who_is_named_and_nobody_who_has_that_pid_by_now(
    tmp_path: Path, others: list[subprocess.Popen[bytes]]
) -> None:
    named, somebody = others
    process, folder = maker(tmp_path, named.pid)
    with process, (folder / NAMES).open("a") as names:
        started = procfs.start_ticks(somebody.pid)
        assert started is not None
        names.write(f"{somebody.pid} {started - 1}\n")
        names.close()
        process.kill()
    wait_until(lambda: named.poll() is not None, "the end of who is named")
    wait_until(lambda: not folder.exists(), "the end of the folder")
    assert somebody.poll() is None


def test_who_removes_it_takes_nobody_along(tmp_path: Path, others: list[subprocess.Popen[bytes]]) -> None:
    process, folder = maker(tmp_path, others[0].pid)
    with process:
        process.communicate("\n")
    assert not folder.exists()
    assert others[0].poll() is None


def test_who_is_gone_already_is_not_named(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = GuardedFolder("guarded-", within=str(tmp_path))
    folder.take_along(gone.pid)
    assert not (folder.path / NAMES).exists()
    folder.remove()
