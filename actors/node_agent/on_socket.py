"""An agent at the end of a socket: pieces, each led by its length."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading

from actors.node_agent.agent import NodeAgent

LENGTH = struct.Struct("<I")

LAST_WORDS_SECONDS = 5.0
"""So long may it take at the end until the socket has all that was said."""


def serve(descriptor: int) -> None:
    """Be an agent for whoever holds the other end; when it is closed, there is nobody to be one for."""
    sock = socket.socket(fileno=descriptor)
    outgoing: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    agent = NodeAgent(outgoing.put)
    writer = threading.Thread(target=_write, args=(sock, outgoing), daemon=True)
    writer.start()
    threading.Thread(target=_read, args=(sock, agent), daemon=True).start()
    agent.run()
    outgoing.put(b"")
    writer.join(LAST_WORDS_SECONDS)


def _write(sock: socket.socket, outgoing: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError):
        while piece := outgoing.get():
            sock.sendall(LENGTH.pack(len(piece)) + piece)


def _read(sock: socket.socket, agent: NodeAgent) -> None:
    with contextlib.suppress(OSError), sock.makefile("rb") as stream:
        while len(head := stream.read(LENGTH.size)) == LENGTH.size:
            agent.hear(stream.read(LENGTH.unpack(head)[0]))
    agent.hear(b"")
