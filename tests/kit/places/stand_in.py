"""A cluster for whole runs, of processes of this machine, in place of the engine that the settings name.

`environment()` are the variables with which the command uses it.
"""

from __future__ import annotations

import os
from typing import Any

from actors.places.far.transport import Node, Transport
from actors.places.sockets.transport import SocketTransport
from elspeth.settings.cluster import STAND_IN
from tests.kit.places.faulty import FaultyTransport
from tests.kit.processes.program import ROOT

ROOM, SEED, NOBODY, REFUSES = "STAND_IN_ROOM", "STAND_IN_SEED", "STAND_IN_NOBODY", "STAND_IN_REFUSES"


def environment(
    *, room: int | None = None, seed: int | None = None, nobody: bool = False, refuses: str = ""
) -> dict[str, str]:
    """Variables for the command. `room`: for so many workers on each of two nodes; `seed`: pieces come late, doubled
    and in any order; `nobody`: nothing is reached at the address; `refuses`: the nodes do, with these words."""
    found = {STAND_IN: f"{__name__}:transport", "PYTHONPATH": str(ROOT)}
    if room is not None:
        found[ROOM] = str(room)
    if seed is not None:
        found[SEED] = str(seed)
    if refuses:
        found[REFUSES] = refuses
    return found | ({NOBODY: "1"} if nobody else {})


def transport(_cluster: Any) -> Transport:
    """What the variables ask for."""
    if os.environ.get(NOBODY):
        return Nobody("cannot be begun: ConnectionError: nothing answers at 10.0.0.9:6379")
    if refuses := os.environ.get(REFUSES):
        return Nobody(refuses, refused=True)
    room = os.environ.get(ROOM)
    sockets = SocketTransport(("east", "west"), None if room is None else int(room))
    seed = os.environ.get(SEED)
    return sockets if seed is None else FaultyTransport(sockets, int(seed))


class Nobody:
    """Where no agent begins: nothing answers, or what answers will not have one."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        self._why, self._refused = why, refused

    def ask(self, title: str, ear: Any) -> Nobody:
        ear.gone(self._why, self._refused)
        return self

    def send(self, piece: bytes) -> None:
        """Nobody hears it."""

    def kill(self) -> None:
        """There is nothing to end."""

    def nodes(self) -> tuple[Node, ...]:
        """None is known, unless one refused."""
        return (Node("east", "127.0.0.1"),) if self._refused else ()

    def close(self) -> None:
        """Nothing is held."""
