"""A transport with faults: what is on its way comes late, twice, in another order, or not while the link is cut."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from actors.places.far.transport import Agent, Ear, Node, Transport


class FaultyTransport:
    """Another transport, with faults in both directions.

    With a `seed` pieces are mixed up: each may be doubled, and overtaken by those after it. While `cut`, whatever
    is sent is lost, both ways, and no end is seen. While `held`, everything waits.
    """

    def __init__(self, transport: Transport, seed: int | None = None) -> None:
        self.transport = transport
        self.agents: list[Agent] = []
        self.told: list[str] = []  # why agents were gone, as the transport said
        self.cut = False
        self._chance = None if seed is None else random.Random(seed)
        self._lock = threading.Condition()
        self._held = False
        self._under_way: list[Callable[[], None]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()

    @property
    def held(self) -> bool:
        """Whether everything waits."""
        return self._held

    @held.setter
    def held(self, flag: bool) -> None:
        with self._lock:
            self._held = flag
            self._lock.notify_all()

    def ask(self, title: str, ear: Ear) -> Agent:
        """See `Transport.ask`."""
        agent = _FaultyAgent(self, _FaultyEar(self, ear), title)
        self.agents.append(agent.agent)
        return agent

    def nodes(self) -> tuple[Node, ...]:
        """See `Transport.nodes`."""
        return self.transport.nodes()

    def close(self) -> None:
        """See `Transport.close`."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._thread.join()
        self.transport.close()

    def carry(self, deliver: Callable[[], None]) -> None:
        """Something is sent."""
        if self.cut:
            return
        if self._chance is None and not self._held:
            deliver()
            return
        with self._lock:
            self._under_way.append(deliver)
            self._lock.notify_all()

    def _deliver(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closing or (self._under_way and not self._held))
                if self._closing:
                    return
                batch, self._under_way = self._under_way, []
                if self._chance is not None:
                    batch += [piece for piece in batch if self._chance.random() < 0.2]
                    self._chance.shuffle(batch)
                    late = len(batch) // 10
                    self._under_way, batch = batch[:late], batch[late:]
            for deliver in batch:
                deliver()


class _FaultyEar:
    def __init__(self, transport: FaultyTransport, ear: Ear) -> None:
        self._transport, self._ear = transport, ear

    def arrived(self, node: Node) -> None:
        self._ear.arrived(node)

    def heard(self, piece: bytes) -> None:
        self._transport.carry(lambda: self._ear.heard(piece))

    def gone(self, why: str, refused: bool = False) -> None:
        self._transport.told.append(why)
        if not self._transport.cut:
            self._ear.gone(why, refused)


class _FaultyAgent:
    def __init__(self, transport: FaultyTransport, ear: Ear, title: str) -> None:
        self._transport = transport
        self.agent = transport.transport.ask(title, ear)

    def send(self, piece: bytes) -> None:
        self._transport.carry(lambda: self.agent.send(piece))

    def kill(self) -> None:
        if not self._transport.cut:
            self.agent.kill()
