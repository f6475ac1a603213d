"""What a far place needs of whatever reaches other machines: agents to ask for, pieces both ways, their ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

AGENT = "actors.node_agent.agent:NodeAgent"
"""What is to run on the node; a name, for it is imported there and not here."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine with room for children, by its name and its address."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.address else self.name


@dataclass(frozen=True, slots=True)
class Resources:
    """What a child takes of a node: processors, memory in bytes (0: not counted), and what else nodes say they have."""

    cpus: float = 1.0
    memory_bytes: int = 0
    custom: Mapping[str, float] = field(default_factory=dict)


class Ear(Protocol):
    """Who is told what becomes of one agent; from any thread, and never for long."""

    def arrived(self, node: Node) -> None:
        """It runs, on this node, and can be sent pieces."""

    def heard(self, piece: bytes) -> None:
        """It sent a piece; they may come late, doubled, and in any order."""

    def gone(self, why: str, refused: bool = False) -> None:
        """It ended, or cannot be reached any more, or never will be; a clause that goes on from its name.

        `refused`: another one of its kind would fare no better.
        """


class Agent(Protocol):
    """One agent, on its way or on a node, as this machine holds it. Neither method waits for another machine."""

    def send(self, piece: bytes) -> None:
        """Send it a piece; in order or not. Dropped where it is gone."""

    def kill(self) -> None:
        """End it, and its child with it, or see that it is never begun; nothing is told of it any more."""


class Transport(Protocol):
    """A way to nodes. Used in any thread."""

    def ask(self, title: str, ear: Ear) -> Agent:
        """Have an agent begun where there is room for it, now or later; `title` says for whom. Raises `OSError`."""

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are known now; does not ask them."""

    def close(self) -> None:
        """End every agent that is left, and whatever was begun for them."""
