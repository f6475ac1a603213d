"""Agents as processes of this machine, each behind a socket."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections import deque

from actors.import_path import import_path
from actors.places.far.transport import Ear, Node

_BOOT = (
    "import sys; a = sys.argv; sys.path[:] = a[2:]; "
    "from actors.node_agent.on_socket import serve; serve(int(a[1]))"
)  # fmt: skip
_LENGTH = struct.Struct("<I")


class SocketTransport:
    """Begins agents in turn for nodes of these names; with `room` for so many on each, the others wait.

    They work in "/", as they would elsewhere, and see nothing of this process but its environment.
    """

    def __init__(self, names: tuple[str, ...] = ("node-1",), room: int | None = None) -> None:
        self._nodes = tuple(Node(name, "127.0.0.1") for name in names)
        self._room = room
        self._lock = threading.Lock()
        self._waiting: deque[SocketAgent] = deque()
        self._running: dict[SocketAgent, Node] = {}

    def ask(self, title: str, ear: Ear) -> SocketAgent:
        """Begin one, as soon as there is room."""
        agent = SocketAgent(self, title, ear)
        with self._lock:
            self._waiting.append(agent)
        self._begin()
        return agent

    def nodes(self) -> tuple[Node, ...]:
        """Those that it was made with."""
        return self._nodes

    def close(self) -> None:
        """End every agent that is left."""
        with self._lock:
            self._waiting.clear()
            left = list(self._running)
        for agent in left:
            agent.kill()
        for agent in left:
            agent.join()

    def ended(self, agent: SocketAgent) -> None:
        """There is room again. From any thread."""
        with self._lock:
            self._running.pop(agent, None)
            if agent in self._waiting:
                self._waiting.remove(agent)
        self._begin()

    def _begin(self) -> None:
        with self._lock:
            while self._waiting and (node := self._free()) is not None:
                agent = self._waiting.popleft()
                if agent.begin(node):
                    self._running[agent] = node

    def _free(self) -> Node | None:
        taken = list(self._running.values())
        node = min(self._nodes, key=taken.count)
        return node if self._room is None or taken.count(node) < self._room else None


class SocketAgent:
    """One of them; two threads serve its socket."""

    def __init__(self, transport: SocketTransport, title: str, ear: Ear) -> None:
        self._transport, self._title, self._ear = transport, title, ear
        self._outgoing: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._killed = False

    @property
    def pid(self) -> int:
        """Of its process; 0: none yet."""
        return self._process.pid if self._process else 0

    def send(self, piece: bytes) -> None:
        """See `Agent.send`."""
        self._outgoing.put(piece)

    def kill(self) -> None:
        """See `Agent.kill`."""
        with self._lock:
            self._killed = True
            process = self._process
            if process is not None:
                process.kill()
        if process is None:
            self._transport.ended(self)

    def begin(self, node: Node) -> bool:
        """Start its process; whether there is one now."""
        with self._lock:
            if self._killed:
                return False
            ours, theirs = socket.socketpair()
            words = [sys.executable, "-u", "-c", _BOOT, str(theirs.fileno()), *import_path()]
            try:
                with theirs:
                    self._process = subprocess.Popen(
                        words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                    )
            except OSError as error:
                ours.close()
                self._ear.gone(f"on {node} could not be started: {error.strerror}")
                return False
        self._reader = threading.Thread(target=self._read, args=(ours, self._process), daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=(ours,), daemon=True).start()
        self._ear.arrived(node)
        return True

    def join(self) -> None:
        """Wait until it has ended."""
        if self._reader is not None:
            self._reader.join()

    def _write(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := self._outgoing.get():
                sock.sendall(_LENGTH.pack(len(piece)) + piece)

    def _read(self, sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb") as stream:
            while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
                size = _LENGTH.unpack(head)[0]
                if len(piece := stream.read(size)) < size:
                    break
                self._tell(piece)
        code = process.wait()
        self._outgoing.put(b"")
        sock.close()
        self._transport.ended(self)
        if not self._killed:
            self._ear.gone(f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}")

    def _tell(self, piece: bytes) -> None:
        if not self._killed:
            self._ear.heard(piece)
