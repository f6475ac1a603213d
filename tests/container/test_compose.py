"""The compose file finishes what it began: killed three times, restarted by the engine, complete once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine import IMAGE, ROOT, Folders, docker, expected, inspected, logs, wait_until

pytestmark = pytest.mark.container


class Service:
    """The service of the compose file, in the folder of a pipeline."""

    def __init__(self, pipeline: Folders) -> None:
        self.pipeline = pipeline
        shutil.copy(ROOT / "ops" / "deploy" / "compose.yaml", pipeline.root)
        self.container = ""
        self.reached = 0  # where it was killed last: how far it got while compose came back from starting it counts

    def compose(self, *words: str) -> str:
        """One command of compose; answers what it printed."""
        client = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        done = subprocess.run(
            [*client, "--project-name", f"elspeth-test-{os.getpid()}", "--file", "compose.yaml", *words],
            cwd=self.pipeline.root, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        """Start the service in the background."""
        self.compose("up", "--detach")
        self.container = self.compose("ps", "--quiet").strip() or self.container

    def kill(self, restarts: int) -> None:
        """End the container's first process, once it has got on since its last start, as a crash would."""
        wait_until(lambda: self.pipeline.progress() > self.reached + 1000, self.container)
        os.kill(inspected(self.container)["State"]["Pid"], signal.SIGKILL)
        self.reached = self.pipeline.progress()
        wait_until(lambda: inspected(self.container)["RestartCount"] == restarts, self.container)

    def ended(self) -> bool:
        return inspected(self.container)["State"]["Status"] == "exited"


@pytest.fixture
def service(pipeline: Folders) -> Iterator[Service]:
    service = Service(pipeline)
    yield service
    service.compose("down", "--timeout", "1")


def runs_of(pipeline: Folders) -> list[dict[str, object]]:
    done = docker("run", "--rm", *pipeline.mounts, IMAGE, "runs", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["runs"])


def test_a_run_killed_three_times_ends_once_and_complete_and_stays_so(service: Service) -> None:
    pipeline = service.pipeline
    service.up()
    for restarts in (1, 2, 3):
        service.kill(restarts)
    wait_until(service.ended, service.container)
    state = inspected(service.container)
    assert (state["State"]["ExitCode"], state["RestartCount"]) == (0, 3), logs(service.container)
    assert pipeline.written() == expected()
    (run,) = runs_of(pipeline)
    assert (run["status"], run["attempts"]) == ("completed", 4)

    service.up()
    wait_until(service.ended, service.container)
    assert inspected(service.container)["State"]["ExitCode"] == 0
    assert pipeline.written() == expected()
    assert runs_of(pipeline) == [run]
    assert "neither settings nor source changed" in logs(service.container)


def test_a_server_belongs_to_the_profile_alone(service: Service) -> None:
    assert set(service.compose("--profile", "postgres", "config", "--services").split()) == {"elspeth", "postgres"}
    service.compose("up", "--no-start")  # with the profile it would ask for the server's image, which is not here
    assert service.compose("ps", "--all", "--quiet", "postgres") == ""


def test_the_compose_file_uses_the_image_by_its_name() -> None:
    assert f"image: {IMAGE}\n" in Path(ROOT / "ops" / "deploy" / "compose.yaml").read_text()
