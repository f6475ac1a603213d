"""A run on a Ray cluster of three nodes, any process of which may die: same bytes, exact accounting, nothing left."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.places.ray_cluster import RayCluster, ray_cluster, require_ray
from tests.kit.processes.tree import Tree, committed, descendants_of, events, outputs, query, run_of, title_of
from tests.kit.processes.waiting import wait_until

pytestmark = [pytest.mark.campaign, pytest.mark.filterwarnings("ignore")]  # Ray's warnings are not ours to heed

ROWS = 150
BLOWS = 60
NODES = ("east", "west", "north")
PAUSE_SECONDS = (0.3, 2.5)

RAYS_OWN = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE")
"""What a node runs beside agents; without the first two it ends itself."""


def wanted(address: str, here: int, **cluster: object) -> dict[str, Any]:
    value = settings(ordered=True, delay=0.2, workers=here, max_restarts=100_000, poison_attempts=1000)
    value["cluster"] = {
        "address": address, "workers": 3, "unreachable_seconds": 5.0, "outage_seconds": 300.0,
        "resources": {"cpu": 1}, **cluster,
    }  # fmt: skip
    return value


@pytest.fixture
def calm(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS, ordered=True)


def shared() -> set[Path]:
    """What Ray, and what we have for it, makes where all programs of a machine do."""
    found = [path for path in Path("/dev/shm").iterdir() if "ray" in path.name or "plasma" in path.name]
    return {*found, *Path("/tmp").glob("actors-*"), *Path("/tmp").glob("ray*"), *(Path.home() / ".ray").glob("*")}


def belonging_to(folder: Path) -> list[str]:
    """The processes whose environment names this folder: whatever was begun by, or for, the cluster in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(process.name) != os.getpid() and os.fsencode(folder) in (process / "environ").read_bytes():
                found.append(title_of(int(process.name)) or process.name)
    return found


@contextmanager
def three_nodes() -> Iterator[RayCluster]:
    """And a head; when it is closed, neither a process nor a file is left."""
    require_ray()
    before = shared()
    with ray_cluster(*NODES) as cluster:
        yield cluster
    wait_until(lambda: not belonging_to(cluster.folder), "the ends of all that was begun for the cluster", timeout=120)
    wait_until(lambda: not shared() - before and not cluster.folder.exists(), "the ends of its files", timeout=60)


class Victims:
    """The processes of a run and of its cluster, by kind."""

    def __init__(self, cluster: RayCluster, tree: Tree) -> None:
        self._cluster, self._tree = cluster, tree

    def by_kind(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"main": [self._tree.pid], "here": [*self._tree.children().values()]}
        found["raylet"] = [*self._cluster.raylets.values()]
        for node in found["raylet"]:
            for pid in descendants_of(node):
                found.setdefault(_kind(title_of(pid)), []).append(pid)
        return {kind: pids for kind, pids in found.items() if pids and kind}


def _kind(title: str) -> str:
    if title.startswith("elspeth "):
        return "far worker"
    if title == "fork_server":
        return "far fork server"
    if title.startswith(RAYS_OWN):
        return "of the node"
    return "agent" if title.startswith("ray::") else ""


KINDS = ("main", "here", "raylet", "agent", "far worker", "far fork server", "of the node")


def strike(cluster: RayCluster, tree: Tree, chance: random.Random, blows: Counter[str]) -> bool:
    """One blow at a kind that had few; false where the run is not yet, or not any more, one that can be resumed."""
    victims = Victims(cluster, tree).by_kind()
    if not query(tree.folder, "SELECT count(*) FROM checkpoints") or run_of(tree.folder)[1] == "completed":
        return False
    kind = chance.choice(sorted((kind for kind in KINDS if kind in victims), key=lambda kind: blows[kind])[:3])
    with suppress(ProcessLookupError):
        os.kill(chance.choice(victims[kind]), signal.SIGKILL)
        blows[kind] += 1
    return True


def assert_as_calm(folder: Path, calm: dict[str, str]) -> None:
    assert outputs(folder) == calm
    assert violations(folder, recompute=False) == []
    assert events(folder, "quarantined") == []
    assert run_of(folder)[1] == "completed"


def storm(cluster: RayCluster, folder: Path, calm: dict[str, str], chance: random.Random) -> None:
    blows, runs = Counter[str](), 0
    while blows.total() < BLOWS:
        run = lay(folder / f"run-{runs}", ROWS, wanted(cluster.address, here=runs % 2))
        start: Callable[[Path], Tree] = Tree.run
        code = -1
        while code:
            with start(run) as tree:
                while tree.running and blows.total() < BLOWS:
                    pause = time.monotonic() + chance.uniform(*PAUSE_SECONDS)
                    while tree.running and time.monotonic() < pause:
                        time.sleep(0.02)
                    strike(cluster, tree, chance, blows)
                    cluster.mend()
                code = tree.wait()
                assert code in (0, -signal.SIGKILL), tree.log
            wait_until(lambda: not tree.survivors(), "the ends of the processes here")
            start = Tree.resume
        assert_as_calm(run, calm)
        runs += 1
    assert set(blows) == set(KINDS), blows


def test_whatever_dies_of_a_run_and_of_its_cluster_it_ends_as_if_nothing_had(
    tmp_path: Path, calm: dict[str, str]
) -> None:
    with three_nodes() as cluster:
        storm(cluster, tmp_path, calm, random.Random(21))


def test_without_the_server_that_knows_the_cluster_a_run_goes_on_with_the_workers_that_it_has(
    tmp_path: Path, calm: dict[str, str]
) -> None:
    with three_nodes() as cluster:
        folder = lay(tmp_path / "run", ROWS, wanted(cluster.address, here=0))
        with Tree.run(folder) as tree:
            wait_until(lambda: not tree.running or committed(folder) > 20)
            assert tree.running, tree.log
            cluster.lose_control()
            assert tree.wait() == 0, tree.log
    assert_as_calm(folder, calm)
    assert events(folder, "exited") == []


def test_a_cluster_that_ends_for_want_of_that_server_has_the_run_give_way_and_another_one_finishes_it(
    tmp_path: Path, calm: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "2")  # of nodes; the main process heeds no such thing
    with three_nodes() as cluster:
        folder = lay(tmp_path / "run", ROWS, wanted(cluster.address, here=0, outage_seconds=20.0))
        with Tree.run(folder) as tree:
            wait_until(lambda: not tree.running or committed(folder) > 20)
            assert tree.running, tree.log
            cluster.lose_control()
            assert tree.wait() == 75, tree.log
            assert "the cluster has had no worker for 20 s" in tree.log
    assert run_of(folder)[1] == "interrupted"
    assert {event["reason"] for event in events(folder, "exited")} == {"place"}
    with three_nodes() as cluster:
        words = ("--set", f"cluster.address={cluster.address}", "--set", "cluster.outage_seconds=300")
        with Tree.resume(folder, *words) as tree:
            assert tree.wait() == 0, tree.log
    assert_as_calm(folder, calm)


def test_without_rays_node_on_its_own_machine_a_run_gives_way_when_it_has_lost_its_workers(
    tmp_path: Path, calm: dict[str, str]
) -> None:
    with three_nodes() as cluster:
        folder = lay(tmp_path / "run", ROWS, wanted(cluster.address, here=0, outage_seconds=20.0))
        with Tree.run(folder) as tree:
            wait_until(lambda: not tree.running or committed(folder) > 20)
            assert tree.running, tree.log
            cluster.lose_head()
            for agent in Victims(cluster, tree).by_kind()["agent"]:
                os.kill(agent, signal.SIGKILL)
            assert tree.wait() == 75, tree.log
            assert "Ray's node on this machine is gone" in " ".join(tree.log.split())
    assert run_of(folder)[1] == "interrupted"
    with three_nodes() as cluster:
        words = ("--set", f"cluster.address={cluster.address}", "--set", "cluster.outage_seconds=300")
        with Tree.resume(folder, *words) as tree:
            assert tree.wait() == 0, tree.log
    assert_as_calm(folder, calm)
