"""A node of a Ray cluster in a network of its own, whose link is cut and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from actors import Identity
from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.ray.transport import RayTransport
from tests.docs.repository import ROOT
from tests.kit.places.far_family import is_gone
from tests.kit.places.ray_cluster import STORE_BYTES, ray_cluster
from tests.kit.processes.family import Family
from tests.kit.processes.waiting import wait_until

SPACE, LINK, PEER = f"rc{os.getpid()}", f"rh{os.getpid()}", f"rn{os.getpid()}"
HERE, THERE = "10.231.77.1", "10.231.77.2"


def ip(*words: str) -> int:
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode


@contextmanager
def network() -> Iterator[None]:
    """A network namespace, with a link to here."""
    try:
        for words in (
            ["netns", "add", SPACE], ["link", "add", LINK, "type", "veth", "peer", "name", PEER, "netns", SPACE],
            ["addr", "add", f"{HERE}/24", "dev", LINK], ["link", "set", LINK, "up"],
            ["-n", SPACE, "addr", "add", f"{THERE}/24", "dev", PEER], ["-n", SPACE, "link", "set", PEER, "up"],
            ["-n", SPACE, "link", "set", "lo", "up"],
        ):  # fmt: skip
            if ip(*words):
                pytest.skip(f"ip {' '.join(words)} is refused")
        yield
    finally:
        ip("link", "del", LINK)
        ip("netns", "del", SPACE)


def island(address: str) -> subprocess.Popen[bytes]:
    """A node of the cluster behind the link."""
    ray = str(Path(sys.executable).with_name("ray"))
    return subprocess.Popen(
        ["ip", "netns", "exec", SPACE, ray, "start", f"--address={address}", f"--node-ip-address={THERE}",
         "--num-cpus=1", "--node-name=island", f"--object-store-memory={STORE_BYTES}", "--block"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root, and iproute2")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("unreachable", "away"), [(3.0, 0.0), pytest.param(30.0, 120.0, marks=pytest.mark.campaign)])
def test_a_node_that_is_cut_off_ends_what_runs_there_and_nothing_of_it_is_heard_when_it_is_back(
    unreachable: float, away: float
) -> None:
    """After two minutes the cluster has given the node up as well, and its servers end; it is begun anew then."""
    with network(), ray_cluster(address=HERE) as cluster:
        node = island(cluster.address)
        try:
            transport = RayTransport(cluster.address, runtime={"env_vars": {"PYTHONPATH": str(ROOT)}})
            place = FarPlace(transport, Terms(unreachable_seconds=unreachable, beat_seconds=0.5))
            with Family(places={"far": place}) as family:
                family.start(place="far")
                assert family.ups("ping")[0].where == f"island ({THERE})"
                child = family.ups("ping")[0].identity
                agent = Identity.of(psutil.Process(child.pid).parent().parent().pid)  # type: ignore[union-attr]
                assert not ip("link", "set", LINK, "down")
                cut = time.monotonic()
                down = family.await_down()
                assert (down.reason, down.lost) == (
                    "place", f"the node agent on island ({THERE}) has not been heard of for {unreachable:.0f} s",
                )  # fmt: skip
                wait_until(lambda: is_gone(child) and is_gone(agent), "the end of both, each of its own accord")
                wait_until(lambda: time.monotonic() - cut > away, "the link was down for long enough")
                assert not ip("link", "set", LINK, "up")
                heard = len(family.frames("ping"))
                if away:
                    node.wait()
                    node = island(cluster.address)
                family.supervisor.restart_child("ping").get()
                family.await_up("ping", 2)
                family.send("ping", b"ping", b"new")
                frames = family.await_frames("ping", heard + 2)
                assert frames[heard:] == [[b"hello", b""], [b"pong", b"new"]]
        finally:
            below = [Identity.of(process.pid) for process in psutil.Process(node.pid).children(recursive=True)]
            node.send_signal(signal.SIGTERM)
            node.wait()
            for process in below:
                process.kill()
