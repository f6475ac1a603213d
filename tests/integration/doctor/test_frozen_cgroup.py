"""A paused container: its processes are there and hold what they held, and none of them moves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.doctor.test_doctor_verdicts import only
from tests.kit.processes.held import doctor, elspeth, held_run, make
from tests.kit.processes.tree import descendants_of
from tests.kit.processes.waiting import wait_until

FREEZER = Path("/sys/fs/cgroup/freezer")


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """These processes stand still, as those of a paused container do (cgroup freezer, version 1)."""
    group = FREEZER / f"elspeth-test-{os.getpid()}"
    group.mkdir()
    try:
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        wait_until(lambda: (group / "freezer.state").read_text().strip() == "FROZEN", "all stand still")
        yield
    finally:
        (group / "freezer.state").write_text("THAWED")
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (FREEZER / "cgroup.procs").write_text(pid)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.rmdir()
                break


@pytest.mark.campaign
def test_a_paused_run_is_frozen_and_can_be_taken_over(tmp_path: Path) -> None:
    if not os.access(FREEZER, os.W_OK):
        pytest.skip("this machine has no cgroup freezer (version 1) that can be written to")
    settings = make(tmp_path)
    with held_run(settings) as (process, run_id):
        with frozen([process.pid, *descendants_of(process.pid)]):
            report = doctor(tmp_path)
            run = only(report)
            assert (report["exit_code"], run["state"]) == (1, "frozen")
            assert "there, but heartbeat of host" in run["evidence"]
            assert run["next_command"] == f"elspeth resume {run_id} --take-over"
            health = elspeth(tmp_path, "health", "--watch", "6")
            assert health.returncode == 1
            assert "its heartbeat has not moved for 6 s" in health.stdout
            (tmp_path / "go").touch()
            taken = elspeth(tmp_path, "resume", run_id, "--take-over")
            assert taken.returncode == 0, taken.stderr
        assert process.wait(30) != 0, "the one that was frozen finds that it was taken over"
    assert elspeth(tmp_path, "verify", run_id, "--outputs").returncode == 0
