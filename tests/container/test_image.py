"""The image on host folders of any owner, hardened or not: it runs, stops, resumes, and leaves nobody else's files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.container.conftest import OWNER
from tests.container.engine import (
    IMAGE,
    Folders,
    docker,
    expected,
    folders,
    inspected,
    logs,
    wait_until,
)  # fmt: skip

pytestmark = pytest.mark.container

RUN = ("run", "--settings", "/app/config/pipeline.yaml", "--execute")
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "512m", "--network", "none",
)  # fmt: skip

# The command of the operators' runbook, which must work as it is written.
RESUME = """
docker run --rm \\
  -v $(pwd)/config:/app/config:ro \\
  -v $(pwd)/input:/app/input:ro \\
  -v $(pwd)/output:/app/output \\
  -v $(pwd)/state:/app/state \\
  ghcr.io/johnm-dta/elspeth:v0.1.0 \\
  resume <RUN_ID>
"""


def begin(pipeline: Folders, name: str, *options: str, words: tuple[str, ...] = RUN) -> None:
    """Start the pipeline in a container, and return when some of its rows are in the outputs."""
    started = docker("run", "--detach", "--name", name, *options, *pipeline.mounts, IMAGE, *words)
    assert started.returncode == 0, started.stderr
    wait_until(lambda: pipeline.progress() > 3000 or not running(name), name)
    assert running(name), logs(name)


def running(name: str) -> bool:
    return bool(inspected(name)["State"]["Running"])


def ended(name: str) -> int:
    """Wait for the end of a container; answers its exit code."""
    wait_until(lambda: not running(name), name)
    return int(inspected(name)["State"]["ExitCode"])


def run_id_in(name: str) -> str:
    found = re.search(r"^Run (\w{8})", logs(name), re.M)
    assert found, logs(name)
    return found[1]


def status_in(pipeline: Folders, run_id: str) -> dict[str, object]:
    done = docker("run", "--rm", *pipeline.mounts, IMAGE, "status", run_id, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_image_adds_less_than_100_MB_to_its_base(base: str) -> None:
    sizes = [int(docker("image", "inspect", "--format", "{{.Size}}", name).stdout) for name in (IMAGE, base)]
    assert sizes[0] - sizes[1] < 100_000_000


def test_the_image_is_the_command(base: str) -> None:
    assert docker("run", "--rm", IMAGE, "--version").stdout == "elspeth 0.1.0\n"


def test_the_command_of_the_runbook_resumes_a_run_whose_container_was_killed(
    pipeline: Folders, container: str
) -> None:  # fmt: skip
    begin(pipeline, container)
    os.kill(inspected(container)["State"]["Pid"], signal.SIGKILL)
    assert ended(container) == 137
    run_id = run_id_in(container)

    command = RESUME.replace("<RUN_ID>", run_id)
    done = subprocess.run(["bash", "-c", command], cwd=pipeline.root, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout + done.stderr
    assert pipeline.written() == expected()
    assert pipeline.owners() == {OWNER}
    verified = docker("run", "--rm", *pipeline.mounts, IMAGE, "verify", run_id, "--outputs")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_an_image_with_every_privilege_taken_runs_for_a_given_user(base: str, tmp_path: Path, container: str) -> None:
    pipeline = folders(tmp_path, OWNER, rows=300)
    done = docker(
        "run", "--name", container, "--user", f"{OWNER}:{OWNER}", *HARDENED, *pipeline.mounts, IMAGE, *RUN
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert pipeline.written() == expected(300)
    assert pipeline.owners() == {OWNER}


def test_root_without_privileges_is_told_the_option_to_add(base: str, tmp_path: Path) -> None:
    pipeline = folders(tmp_path, OWNER, rows=3)
    done = docker("run", "--rm", *HARDENED, *pipeline.mounts, IMAGE, *RUN)
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"; add --user {OWNER}:{OWNER}\n")


def test_a_user_who_may_not_write_is_told_the_option_to_add(base: str, tmp_path: Path) -> None:
    pipeline = folders(tmp_path, OWNER, rows=3)
    done = docker("run", "--rm", "--user", "4321", *pipeline.mounts, IMAGE, *RUN)
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"; add --user {OWNER}:{OWNER}\n")


def test_folders_of_root_stay_roots(base: str, tmp_path: Path) -> None:
    pipeline = folders(tmp_path, 0, rows=3)
    done = docker("run", "--rm", *pipeline.mounts, IMAGE, *RUN)
    assert done.returncode == 0, done.stderr
    assert pipeline.owners() == {0}


def test_a_stopped_container_ends_its_run_in_order_and_can_be_resumed(pipeline: Folders, container: str) -> None:
    begin(pipeline, container)
    assert docker("stop", "--time", "15", container).returncode == 0
    assert ended(container) == 143
    run_id = run_id_in(container)
    assert status_in(pipeline, run_id)["status"] == "interrupted"
    done = docker("run", "--rm", *pipeline.mounts, IMAGE, "resume", "latest")
    assert done.returncode == 0, done.stderr
    assert pipeline.written() == expected()


def health(name: str) -> dict[str, Any]:
    return dict(inspected(name)["State"]["Health"])


def test_health_is_asked_by_the_engine_itself(base: str, tmp_path: Path, container: str) -> None:
    pipeline = folders(tmp_path, OWNER, rows=20_000)
    begin(pipeline, container, "--health-interval", "1s", "--health-start-period", "0s")
    words = f"{run_id_in(container)} is driven, its heartbeat moves"
    wait_until(lambda: any(words in told["Output"] for told in health(container)["Log"]), container)
    wait_until(lambda: health(container)["Status"] == "healthy", container)
    assert running(container)
    assert pipeline.owners() == {OWNER}


def test_a_main_process_that_hangs_ends_the_container(pipeline: Folders, container: str) -> None:
    """Its own watchdog kills it, which the kernel would not allow if it were process 1."""
    begin(pipeline, container, words=(*RUN, "--set", "supervisor.watchdog_seconds=2"))
    processes = docker("top", container, "-eo", "pid,ppid,args").stdout.splitlines()[1:]
    first = str(inspected(container)["State"]["Pid"])
    (main,) = [int(line.split()[0]) for line in processes if line.split()[1] == first]
    os.kill(main, signal.SIGSTOP)
    assert ended(container) == 137


ORPHAN = """
import os, sys
if os.fork() == 0:
    if os.fork() == 0:
        sys.exit()  # nobody waits for this one but process 1
    sys.exit()
os.wait()
"""

ZOMBIES = """
import pathlib
words = [file.read_text().rpartition(")")[2].split() for file in pathlib.Path("/proc").glob("[0-9]*/stat")]
print(sum(word[0] == "Z" for word in words))
"""


def test_orphans_are_reaped(pipeline: Folders, container: str) -> None:
    begin(pipeline, container)
    for _ in range(3):
        assert docker("exec", container, "python", "-c", ORPHAN).returncode == 0
    wait_until(lambda: docker("exec", container, "python", "-c", ZOMBIES).stdout == "0\n", container)
    assert running(container)
