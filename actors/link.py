"""What the main process keeps for one child process, shared by the I/O thread, the supervisor and whoever sends."""

from __future__ import annotations

import threading

from actors.channel import FrameReader, Outgoing
from actors.places.local.output import LineSplitter
from actors.places.place import PlacedChild


class Link:
    """The channel and the output of one incarnation of a child."""

    def __init__(self, name: str, incarnation: int, process: PlacedChild) -> None:
        self.name = name
        self.incarnation = incarnation
        self.process = process
        self.reader = FrameReader(process.sock)
        self.outgoing = Outgoing()
        self.lock = threading.Lock()  # guards `outgoing`, `sent`, `open` between senders and the I/O thread
        self.open = True
        self.blocked = False  # waits until the socket takes more
        self.sent = 0  # messages, whether they left already or not
        self.splitter = LineSplitter()
        self.ended = threading.Event()
