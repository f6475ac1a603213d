"""Other machines as a place: children that run beside agents, which a transport reaches."""

from __future__ import annotations

from collections.abc import Callable

from actors.places.far.child import FarChild
from actors.places.far.courier import Courier
from actors.places.far.terms import Terms
from actors.places.far.transport import Node, Transport
from actors.spec import ChildSpec


class FarPlace:
    """Has children run wherever `transport` finds room for them, which it is the place's to close.

    place = FarPlace(SocketTransport(), Terms(required={"shop": "1.4"}, facts="shop.version:facts"))
    supervisor = Supervisor.start(listener, RestartIntensity(), print, places={"far": place}).proxy()
    supervisor.start_child(ChildSpec("store", "shop.store:Store", place="far"))  # `ChildUp` when it has begun
    """

    def __init__(self, transport: Transport, terms: Terms | None = None) -> None:
        self._transport = transport
        self._terms = terms or Terms()
        self._courier = Courier()
        self._children: list[FarChild] = []
        self._nodes: dict[Node, Node] = {}

    def start(self, spec: ChildSpec, announce: Callable[[], None]) -> FarChild:
        """Have it started where there is room; it is on its way when this returns. Raises `OSError`."""
        if not self._courier.is_alive():
            self._courier.start()
        child = FarChild(spec, self._terms, self._courier, announce, lambda node: self._nodes.setdefault(node, node))
        try:
            child.asked(self._transport.ask(spec.title or spec.name, child))
        except OSError:
            child.close()
            raise
        self._children = [*(other for other in self._children if not other.over), child]
        return child

    def look(self) -> None:
        """A tick: nothing that is not looked at in the children."""

    def close(self) -> None:
        """Let go of the transport; no child is left."""
        self._courier.close()
        self._transport.close()

    def waiting(self) -> tuple[str, ...]:
        """The names of children for which no node was found yet, the longest waiting first. From any thread."""
        return tuple(child.name for child in self._children if child.node is None and not child.over)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are known now. From any thread."""
        return self._transport.nodes()
