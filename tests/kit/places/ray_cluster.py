"""A Ray cluster of the tests' own, of several nodes that are all this machine; afterwards nothing of it is left."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes.tree import state_of

STORE_BYTES = 80 << 20

TOKEN = secrets.token_hex(32)
"""Ray reads it once in a process."""

OPENED: list[Path] = []
"""The clusters that this process has had, by their folders."""

SETTINGS = {
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
}


def require_ray() -> None:
    """Skip the test where Ray is not installed. It is not imported for that: it reads once how to prove who it is."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")


class RayCluster:
    """The cluster, and its nodes by name."""

    def __init__(self, folder: Path, address: str | None = None, *, outside: bool = False) -> None:
        """Without what takes Ray long to start and nobody asks: what scales clusters, and what gathers logs."""
        from ray.cluster_utils import Cluster

        self.folder = folder
        head: dict[str, Any] = {
            "num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES, "node_name": "head",
            "no_monitor": True, "include_log_monitor": False,
        }  # fmt: skip
        self.client_address = ""
        """Where it is reached from outside, if it is to be."""
        if outside:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                head["ray_client_server_port"] = free.getsockname()[1]
            self.client_address = f"ray://127.0.0.1:{head['ray_client_server_port']}"
        if address is not None:
            head["node_ip_address"] = address
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """Of the cluster."""
        return str(self._cluster.address)

    def add(self, name: str, cpus: int = 2) -> None:
        """A node more; returns when the cluster has it."""
        self._nodes[name] = self._cluster.add_node(num_cpus=cpus, node_name=name, object_store_memory=STORE_BYTES)

    def raylet(self, name: str) -> int:
        """The pid of the process of Ray's that is this node."""
        return int(self._nodes[name].all_processes["raylet"][0].process.pid)

    @property
    def raylets(self) -> dict[str, int]:
        """Those that are alive, by the names of their nodes."""
        found = {name: self.raylet(name) for name in self._nodes}
        return {name: pid for name, pid in found.items() if state_of(pid) not in ("", "Z", "X")}

    def mend(self) -> None:
        """Have a new node in the place of each whose raylet is gone."""
        for name in self._nodes.keys() - self.raylets.keys():
            self._cluster.remove_node(self._nodes[name], allow_graceful=False)
            self.add(name)

    def lose_head(self) -> None:
        """Kill the node that main processes are connected to; its server that knows the cluster stays."""
        self._cluster.head_node.kill_raylet(check_alive=False)

    def lose_control(self) -> None:
        """Kill the server that knows the cluster."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def close(self) -> None:
        """End all of it."""
        self._cluster.shutdown()


@contextmanager
def ray_cluster(*names: str, address: str | None = None, outside: bool = False) -> Iterator[RayCluster]:
    """A cluster with nodes of these names, and a head that takes no children, at an address of this machine.

    `outside`: it can be reached from outside, too.
    """
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))  # names of sockets in it must be short
    (folder / "ray").mkdir()
    before = dict(os.environ)
    assert "ray" not in sys.modules or OPENED, "Ray was imported before it could be told how to prove who it is"
    OPENED.append(folder)
    os.environ.update(SETTINGS, RAY_AUTH_TOKEN=TOKEN, RAY_TMPDIR=str(folder), TMPDIR=str(folder))
    try:
        cluster = RayCluster(folder, address, outside=outside)
        try:
            for name in names:
                cluster.add(name)
            yield cluster
        finally:
            cluster.close()
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)
