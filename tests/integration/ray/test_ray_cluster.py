"""Children on the nodes of a Ray cluster: all that is promised of children elsewhere, and deaths of what is of Ray."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors import ChildSpec, GivenFile, Identity
from actors.node_agent.folder import PREFIX
from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.far.transport import Resources
from actors.places.ray import transport as ray_transport
from actors.places.ray.transport import RayTransport
from tests.docs.repository import ROOT
from tests.kit.places.far_family import PATIENT, is_gone
from tests.kit.places.ray_cluster import RayCluster, ray_cluster
from tests.kit.processes.family import Family
from tests.kit.processes.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own are not ours to heed

RUNTIME = {"env_vars": {"PYTHONPATH": str(ROOT)}}
TARGET = "tests.kit.processes.ping:Ping"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster("east", "west", outside=True) as cluster:
        yield cluster


class RayFamily(Family):
    """A family whose children are in the cluster."""

    def __init__(self, cluster: RayCluster, terms: Terms, **options: Any) -> None:
        self.place = FarPlace(RayTransport(**{"address": cluster.address, "runtime": RUNTIME, **options}), terms)
        super().__init__(places={"far": self.place})

    def begin(self, name: str = "ping", **fields: Any) -> Identity:
        before = len(self.ups(name))
        self.start(name, place="far", **fields)
        return self.await_up(name, before + 1).identity


@contextmanager
def on(cluster: RayCluster, terms: Terms = PATIENT, **options: Any) -> Iterator[RayFamily]:
    """A family there; afterwards nothing of it is left."""
    with RayFamily(cluster, terms, **options) as family:
        yield family
    wait_until(lambda: not list(cluster.folder.glob(f"{PREFIX}*")), "the ends of folders")


def agent_of(child: Identity) -> Identity:
    """The process of Ray's in which the agent of a child is: above its fork server."""
    return Identity.of(psutil.Process(child.pid).parent().parent().pid)  # type: ignore[union-attr]


def test_a_child_on_a_node_does_all_that_it_would_do_here(cluster: RayCluster, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "data").write_bytes(content)
    file = GivenFile("data", str(tmp_path / "data"), hashlib.sha256(content).hexdigest())
    large = os.urandom(10 << 20)
    with on(cluster) as family:
        family.begin(files=(file,))
        assert family.ups("ping")[0].where.split()[0] in ("east", "west")
        assert {node.name for node in family.place.nodes()} >= {"east", "west"}
        family.send("ping", b"tell", b"__import__('hashlib').sha256(open('data', 'rb').read()).hexdigest()")
        assert family.await_frames("ping", 2)[1] == [f'"{file.sha256}"'.encode()]
        family.send("ping", b"ping", large)
        for number in range(1000):
            family.send("ping", b"ping", b"%d" % number)
        frames = family.await_frames("ping", 1003)
        assert frames[2] == [b"pong", large]
        assert [frame[1] for frame in frames[3:]] == [b"%d" % number for number in range(1000)]
        family.send("ping", b"print", b"goodbye")
        family.supervisor.stop_child("ping")
        down = family.await_down()
        assert (down.exit_code, down.reason, down.output_tail) == (0, "exited", "goodbye")


def test_a_child_that_is_killed_is_told_as_it_would_be_here(cluster: RayCluster) -> None:
    with on(cluster) as family:
        identity = family.begin()
        family.send("ping", b"touch", b"42", b"3")
        family.send("ping", b"die")
        down = family.await_down()
        assert (down.signal, down.reason, down.identity, down.lost) == ("SIGKILL", "signal", identity, "")
        assert (down.position, down.detail) == (42, 3)
        assert family.frames("ping")[-1] == [b"last words"]


def test_an_agent_that_is_killed_is_told_as_lost_and_its_child_dies(cluster: RayCluster) -> None:
    with on(cluster) as family:
        identity = family.begin()
        agent_of(identity).kill()
        down = family.await_down()
        assert (down.reason, down.refused) == ("place", False)
        assert down.lost == f"the node agent on {down.where} ended (its worker process has died)"
        wait_until(lambda: is_gone(identity), "the end of the child")


def test_a_node_that_ends_takes_its_children_with_it_and_the_next_are_elsewhere(cluster: RayCluster) -> None:
    with on(cluster) as family:
        identity = family.begin(restart="permanent")
        node = family.ups("ping")[0].where.split()[0]
        os.kill(cluster.raylet(node), signal.SIGKILL)
        down = family.await_down()
        assert down.reason == "place"
        wait_until(lambda: is_gone(identity), "the end of the child")
        assert family.await_up("ping", 2).where.split()[0] != node
        cluster.add(node)


def test_an_agent_that_is_stopped_is_lost_and_ended(cluster: RayCluster) -> None:
    with on(cluster, Terms(unreachable_seconds=3.0, beat_seconds=0.5)) as family:
        identity = family.begin()
        agent = agent_of(identity)
        os.kill(agent.pid, signal.SIGSTOP)
        assert family.await_down().lost.endswith("has not been heard of for 3 s")
        wait_until(lambda: is_gone(identity) and is_gone(agent), "the ends of both")


def test_a_child_without_room_waits_and_can_be_called_off(cluster: RayCluster) -> None:
    with on(cluster, resources=Resources(custom={"nothing": 1.0})) as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary", place="far")).get()
        wait_until(family.place.nodes, "the cluster is known")
        assert family.place.waiting() == ("ping",)
        family.supervisor.stop_child("ping")
        assert family.await_down().reason == "killed:not wanted any more"


def test_a_node_on_which_an_agent_cannot_be_imported_is_refused(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_transport, "AGENT", "no_such_module:Agent")
    with on(cluster) as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary", place="far")).get()
        down = family.await_down()
        assert (down.reason, down.refused) == ("place", True)
        assert down.lost == "a node agent cannot be begun: ModuleNotFoundError: No module named 'no_such_module'"


def test_what_no_cluster_could_have_is_refused_at_once(cluster: RayCluster) -> None:
    with on(cluster, resources=Resources(custom={"gpu": 1.5})) as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary", place="far")).get()
        down = family.await_down()
        assert (down.reason, down.refused) == ("place", True)
        assert "1.5" in down.lost


def test_a_cluster_is_reached_from_outside(cluster: RayCluster) -> None:
    with on(cluster, address=cluster.client_address) as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary", place="far")).get()
        # Ray's server for clients gives up after half a minute where the machine is slow. A run asks anew then, too.
        for tries in count(1):
            wait_until(lambda tries=tries: family.ups("ping") or len(family.downs("ping")) == tries, "an answer")
            if family.ups("ping"):
                break
            assert "cannot be begun: ConnectionError" in family.downs("ping")[-1].lost
            family.supervisor.restart_child("ping").get()
        family.send("ping", b"ping", b"1")
        assert family.await_frames("ping", 2)[1] == [b"pong", b"1"]
        agent_of(family.ups("ping")[0].identity).kill()
        assert family.await_down(count=tries).reason == "place"


def test_who_could_not_connect_from_outside_is_not_taken_for_a_client_afterwards(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util.client import worker

    def refuse(*_: object) -> None:
        raise ConnectionError("not now")

    monkeypatch.setattr(worker.Worker, "_server_init", refuse)
    with on(cluster, address=cluster.client_address) as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary", place="far")).get()
        assert "ConnectionError: not now" in family.await_down().lost
    monkeypatch.undo()
    with on(cluster) as family:
        family.begin()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_a_main_process_that_is_ended_leaves_nothing_in_the_cluster(cluster: RayCluster, blow: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kit.places.ray_head", cluster.address],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child, fork_server = (Identity.of(int(pid)) for pid in process.stdout.readline().split())
        agent = agent_of(child)
        process.send_signal(blow)
        wait_until(lambda: all(map(is_gone, (child, fork_server, agent))), "the ends of all")
        assert process.communicate() == ("", "")  # a signal does what it did, and Ray says nothing
        assert process.returncode == -blow
    wait_until(lambda: not list(cluster.folder.glob(f"{PREFIX}*")), "the ends of folders")
