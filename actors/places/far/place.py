"""Other machines as a place: children that run beside agents, which a transport reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from actors.places.far.transport import Node, Transport
from actors.places.place import PlacedChild
from actors.spec import ChildSpec


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed with every agent.

    `facts` names a function, "module:function", that says on the node what is there, as names with versions or hashes;
    what `required` has must be the same, or the node is refused. Without a word from an agent for `unreachable_seconds`
    its child is lost; without a word from here for as long, the agent ends its child and itself. Both show every
    `beat_seconds` that they are there. `environment` is set for the child, over what the node has.
    """

    required: Mapping[str, str] = field(default_factory=dict)
    facts: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    unreachable_seconds: float = 30.0
    beat_seconds: float = 2.0


class FarPlace:
    """Has children run wherever `transport` finds room for them, which it is the place's to close."""

    def __init__(self, transport: Transport, terms: Terms | None = None) -> None:
        self._transport = transport
        self._terms = terms or Terms()

    def start(self, spec: ChildSpec, announce: Callable[[], None]) -> PlacedChild:
        """Have it started where there is room; it is on its way when this returns."""
        raise NotImplementedError

    def look(self) -> None:
        """A tick."""

    def close(self) -> None:
        """Let go of the transport; no child is left."""
        self._transport.close()

    def waiting(self) -> tuple[str, ...]:
        """The names of children for which no node has been found yet, the longest first."""
        return ()

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are known now."""
        return self._transport.nodes()
