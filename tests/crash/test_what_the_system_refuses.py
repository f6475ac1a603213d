"""Limits on processes and memory, a missing /proc, a deleted folder: one sentence, exit code 75, and resumable."""

from __future__ import annotations

import os
import resource
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.repository import ROOT
from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.tree import COMMAND, Tree
from tests.kit.processes.waiting import wait_until

PIDS = Path("/sys/fs/cgroup/pids")


@pytest.fixture
def processes() -> Iterator[Callable[[int], Callable[[], None]]]:
    """Bounds the processes and threads of what calls the result, by a control group of its own."""
    folder = PIDS / f"elspeth-test-{uuid.uuid4().hex[:8]}"
    if not (PIDS / "cgroup.procs").exists():
        pytest.skip("no control group of version 1 for processes on this machine")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no control group can be made here (it takes root and a writable hierarchy)")

    def bound(count: int) -> Callable[[], None]:
        (folder / "pids.max").write_text(str(count))
        return lambda: (folder / "cgroup.procs").write_text(str(os.getpid())) and None

    yield bound
    wait_until(lambda: not (folder / "cgroup.procs").read_text().split(), what="the control group is empty")
    folder.rmdir()


@pytest.mark.parametrize("count", [1, 3, 5, 8, 10, 12])
def test_too_few_processes_are_a_limit_and_no_bug(
    tmp_path: Path, processes: Callable[[int], Callable[[], None]], count: int
) -> None:
    folder = lay(tmp_path / "run", 30, settings(max_restarts=1, poison_attempts=1))
    with Tree.run(folder, before=processes(count)) as tree:
        assert tree.wait() == 75, tree.log
        assert "bug" not in tree.log
        assert "Traceback" not in tree.log
        assert "no room for another" in tree.log or "Resource temporarily unavailable" in tree.log
    with Tree.run(folder, "--auto-resume") as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder) == []


@pytest.mark.parametrize("megabytes", [40, 60, 80])
def test_too_little_address_space_is_a_limit_and_no_bug(tmp_path: Path, megabytes: int) -> None:
    folder = lay(tmp_path / "run", 30, settings(max_restarts=1, poison_attempts=1))
    size = megabytes << 20
    with Tree.run(folder, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))) as tree:
        assert tree.wait() in (0, 75), tree.log
        assert "bug" not in tree.log
    with Tree.run(folder, "--auto-resume") as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder) == []


def test_a_supervisor_that_cannot_go_on_says_why(tmp_path: Path) -> None:
    """As under a limit of memory for data, which refuses its thread a stack."""
    folder = lay(tmp_path / "run", 30, settings())
    (tmp_path / "sitecustomize.py").write_text(
        "from actors.reactor import Reactor\n"
        "def refused(self):\n"
        '    raise RuntimeError("can\'t start new thread")\n'
        "Reactor.start = refused\n"
    )
    with Tree.run(folder, environ={"PYTHONPATH": f"{tmp_path}:{ROOT}"}) as tree:
        assert tree.wait() == 75, tree.log
        assert "bug" not in tree.log
        assert "no room for another" in tree.log
    with Tree.run(folder, "--auto-resume") as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder) == []


def test_a_missing_proc_is_named(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 3, settings())
    hide = f"mount -t tmpfs none /proc && exec {COMMAND} run --settings pipeline.yaml --execute"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hide], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("nobody may hide /proc here (it takes root)")
    assert done.returncode == 75, done.stderr
    assert "/proc is not mounted" in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize("words", [("status", "latest"), ("runs",), ("doctor",), ("validate", "--settings", "p.yaml")])
def test_a_working_directory_that_was_deleted_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {COMMAND} {' '.join(words)}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 75, done.stderr
    assert "the working directory has been deleted" in done.stderr
