"""A connection to a Ray cluster: made once for this process, and where the cluster is one of our own, with it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import logging
import os
import re
import secrets
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from actors.guarded_folder import GuardedFolder
from actors.places.far.transport import Node, Resources
from actors.places.ray.on_node import OnNode
from actors.places.ray.server import Server, require_answer

_STORE_BYTES = 80 << 20
"""The least that Ray takes for its store, which nothing of ours goes through."""

_SIGNALS = (
    signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS,
)  # fmt: skip
_SIGACTION_BYTES = 256
"""More than a `struct sigaction` has anywhere."""

CALLS_AT_ONCE = 4
"""Threads of an actor: for what is taken from it, which waits, and for what it is handed."""


class Connection:
    """To the cluster at `address`; "local" is one of this machine that is begun with it, and ends with it."""

    def __init__(self, address: str, runtime: dict[str, Any]) -> None:
        self.address, self._runtime = address, runtime
        self._folder: GuardedFolder | None = None
        self.is_open = False
        """Whether it is connected."""
        self._server = Server(address)
        self._nodes: dict[str, Node] = {}
        self._asking = threading.Lock()

    def open(self) -> None:
        """Connect, unless it is done. Takes some seconds, and raises what Ray does when it cannot.

        Ray is told not to start a cluster unasked, to send no statistics, to leave this process's log and signals
        alone, and not to end it where it looks in vain for the server that knows the cluster.
        """
        if self.is_open:
            return
        require_answer(self.address)
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.update(RAY_gcs_rpc_server_reconnect_timeout_s=str(10**6))  # what is set of it is meant for nodes
        options: dict[str, Any] = {}
        if self.address == "local":
            options = self._own_cluster()
        import ray

        try:
            _hush()
            with _signals_kept(), warnings.catch_warnings(action="ignore"):
                ray.init(
                    self.address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
                    runtime_env=self._runtime or None, **options,
                )  # fmt: skip
        except Exception:
            # Ray takes itself for a client of what it could not reach, and would be in the way of another try.
            with contextlib.suppress(Exception):
                ray.shutdown()
            self._remove_folder()
            raise
        atexit.unregister(ray.shutdown)  # it is ours to end, and would wait for servers that are gone
        self.is_open = True
        if self._folder is not None:
            _take_helpers_along(self._folder)
        if not self.address.startswith("ray://"):  # what stands at that address leads there, and is asked in its place
            self._server.address = ray.get_runtime_context().gcs_address
        self._refresh()

    def leave(self) -> None:
        """Nothing is waited for any more; from any thread."""
        self._server.leave()

    def close(self) -> None:
        """Let go of it; a cluster of our own ends."""
        if self.is_open:
            import ray

            self.is_open = False
            ray.shutdown()
        self._remove_folder()

    def actor(self, agent: str, title: str, resources: Resources) -> Any:
        """A new actor, which may have to wait for room; it is not started a second time, and nothing of it repeated.

        Waits while the server is gone.
        """
        self._server.wait()
        import ray

        options: dict[str, Any] = {
            "num_cpus": resources.cpus, "max_concurrency": CALLS_AT_ONCE, "max_restarts": 0, "max_task_retries": 0,
            "enable_task_events": False,
        }  # fmt: skip
        if resources.memory_bytes:
            options["memory"] = resources.memory_bytes
        custom = dict(resources.custom)
        if gpus := custom.pop("gpu", 0.0):
            options["num_gpus"] = gpus
        return ray.remote(OnNode).options(**options, resources=custom).remote(agent)

    def kill(self, actor: Any) -> None:
        """End an actor, wherever it is; without a word where that cannot be asked for any more.

        Then its agent ends it: it does not hear of us.
        """
        if self._server.answers():
            import ray

            with contextlib.suppress(Exception):
                ray.kill(actor, no_restart=True)

    def then(self, reference: Any, answered: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        """Have one of these called when there is an answer, in a thread of Ray's."""
        reference.future().add_done_callback(lambda future: _tell(future, answered, failed))

    def node(self, node_id: str, machine: str, address: str) -> Node:
        """The node of this id, which said this of itself; a new one is asked about, for it may have a name."""
        if node_id not in self._nodes:
            self._refresh()
        return self._nodes.setdefault(node_id, Node(machine, address))

    def nodes(self) -> tuple[Node, ...]:
        """Those that are alive and have processors to give, as known; they are asked about anew, for the next time."""
        if self.is_open and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask, name="ray-nodes", daemon=True).start()
        return tuple(self._nodes.values())

    def explain(self, error: Exception) -> tuple[str, bool]:
        """Why an actor is gone, as a clause; and whether another would fare no better."""
        import ray

        text = str(error)
        last = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
        if isinstance(error, ray.exceptions.RuntimeEnvSetupError):
            return f"cannot be begun: Ray cannot make what it is to run in ({last[-1]})", True
        if "creation task" in text or isinstance(error, ray.exceptions.RayTaskError):
            return f"cannot be begun: {last[-1]}", True
        if isinstance(error, ray.exceptions.ActorUnavailableError):
            return "cannot be reached any more", False
        if isinstance(error, ray.exceptions.ActorDiedError):
            return f"ended ({_cause(text)})", False
        return f"is gone ({type(error).__name__}: {last[0]})", False

    # --- ours -----------------------------------------------------------------------------------------------------

    def _own_cluster(self) -> dict[str, Any]:
        """What Ray is told of a cluster of our own: alone, in a folder that goes, and without a file for its token."""
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        os.environ.setdefault("RAY_worker_niceness", "0")
        self._folder = GuardedFolder("actors-ray-", within="/tmp")  # names of sockets in it must be short
        return {
            "include_dashboard": False, "object_store_memory": _STORE_BYTES, "_temp_dir": str(self._folder.path),
            "_node_ip_address": "127.0.0.1",
        }  # fmt: skip

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def _ask(self) -> None:
        try:
            self._refresh()
        finally:
            self._asking.release()

    def _refresh(self) -> None:
        if not self._server.answers():
            return  # they are as they were
        import ray

        with contextlib.suppress(Exception):  # then, too
            found = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}
            for node_id in set(self._nodes) - set(found):
                del self._nodes[node_id]
            for node_id, node in found.items():
                name, address = node.get("NodeName") or "", node["NodeManagerAddress"]
                self._nodes.setdefault(
                    node_id, Node(node["NodeManagerHostname"] if name in ("", address) else name, address)
                )


def _take_helpers_along(folder: GuardedFolder) -> None:
    """What the cluster's node has begun ends with it; what of that is Ray's own, else only after a minute.

    So long it tries to tell the end of all to servers that are dead, too.
    """
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "raylet":
                for helper in child.children():
                    folder.take_along(helper.pid)


def _hush() -> None:
    """Keep Ray from writing to the standard output and the log of this process: what concerns it, it is told as errors.

    `log_to_driver` leaves out what workers print, and not what is said of the death of one.
    """
    from ray._private import worker

    logging.getLogger("ray").setLevel(logging.ERROR)
    worker.print_to_stdstream = lambda *_, **__: None


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Have signals do what they did before: Ray takes those that end a process, to print the stack of its own code.

    Asked of the C library, for Python only lets its main thread.
    """
    sigaction = ctypes.CDLL(None).sigaction
    kept = {number: ctypes.create_string_buffer(_SIGACTION_BYTES) for number in _SIGNALS}
    for number, was in kept.items():
        sigaction(number, None, was)
    try:
        yield
    finally:
        for number, was in kept.items():
            sigaction(number, was, None)


def _tell(future: Any, answered: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
    if (error := future.exception()) is None:
        answered(future.result())
    else:
        failed(error)


def _cause(text: str) -> str:
    """Of what Ray writes of a death, which is a page, the reason. The owner of all actors is this process."""
    found = re.search(r"because (\w[^.\n]*)", text)
    if found and found[1] == "its owner has died":
        return "Ray's node on this machine is gone, and Ray takes this process for gone with it"
    return found[1] if found else text.strip().partition("\n")[0]
