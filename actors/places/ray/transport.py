"""Agents as actors of a Ray cluster."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from actors.places.far.transport import AGENT, Ear, Node, Resources
from actors.places.ray.cluster import Connection
from actors.places.ray.on_node import parted
from actors.wire.conversation import PIECE_BYTES

logger = logging.getLogger("actors")

TAKES = 2
"""So many answers are waited for at most: while one is on its way, the next piece has a way, too."""

PIECES_AT_ONCE = 8
"""So many are handed over in one call, along with which Ray takes each."""

PATIENCE_SECONDS, NO_PATIENCE_SECONDS = 10.0, 1.0
"""So long is waited at the end for Ray, and where it is still reaching or starting a cluster: that ends with us.

Ray itself waits five seconds for a server that is gone.
"""


class RayTransport:
    """Asks a Ray cluster for an actor for each agent, with these resources.

    `address` is "auto" (the cluster that this machine is part of), "ray://HOST:PORT" (one that is reached from
    outside), an address of Ray's own, or "local" (one is started here, and ended). `runtime` is what Ray is to
    have ready for workers, in the form of its runtime environments. Nothing waits for Ray but the threads in here:
    where it cannot be reached, agents are gone.
    """

    def __init__(
        self, address: str = "auto", resources: Resources | None = None, runtime: Mapping[str, Any] | None = None
    ) -> None:
        self._connection = Connection(address, dict(runtime or {}))
        self._resources = resources or Resources()
        self._slow, self._quick = _Errands("ray-asks"), _Errands("ray-calls")
        self._lock = threading.Lock()
        self._agents: dict[RayAgent, None] = {}

    def ask(self, title: str, ear: Ear) -> RayAgent:
        """See `Transport.ask`."""
        agent = RayAgent(self, title, ear)
        with self._lock:
            self._agents[agent] = None
        self._slow.add(lambda: agent.begin(self._connection, self._resources))
        return agent

    def nodes(self) -> tuple[Node, ...]:
        """Those that are alive, as they were asked about last."""
        return self._connection.nodes()

    def close(self) -> None:
        """End all actors that are left, and the connection."""
        with self._lock:
            left = list(self._agents)
        for agent in left:
            agent.kill()
        self._connection.leave()
        self._slow.add(self._connection.close)
        deadline = time.monotonic() + (PATIENCE_SECONDS if self._connection.is_open else NO_PATIENCE_SECONDS)
        for errands in (self._quick, self._slow):
            errands.close(deadline)

    def call(self, errand: Callable[[], None]) -> None:
        """Have an actor called; in order, from any thread."""
        self._quick.add(errand)

    def order(self, errand: Callable[[], None]) -> None:
        """Have done what waits for the servers of the cluster, which may be gone; in order, from any thread."""
        self._slow.add(errand)

    def forget(self, agent: RayAgent) -> None:
        """It is gone."""
        with self._lock:
            self._agents.pop(agent, None)


class _Errands:
    """A thread that asks Ray for one thing after the other; it is there when it is needed."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._lock = threading.Lock()
        self._begun = False

    def add(self, errand: Callable[[], None]) -> None:
        """Behind all others; from any thread."""
        self._queue.put(errand)
        with self._lock:
            if not self._begun:
                self._begun = True
                self._thread.start()

    def close(self, deadline: float) -> None:
        """Wait for all that was added, until this moment of the monotonic clock at most."""
        with self._lock:
            begun = self._begun
        if begun:
            self._queue.put(None)
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (errand := self._queue.get()) is not None:
            try:
                errand()
            except Exception:  # of one agent, which falls silent and is lost for it
                logger.exception("Ray could not be asked")


class RayAgent:
    """One of them, as an actor of Ray."""

    def __init__(self, transport: RayTransport, title: str, ear: Ear) -> None:
        self._transport, self._title, self._ear = transport, title, ear
        self._actor: Any = None
        self._connection: Connection | None = None
        self._over = False
        self._lock = threading.Lock()  # guards what follows
        self._taking = 0  # calls under way that answer with what it says
        self._pieces: deque[bytes] = deque()  # to be handed over

    def begin(self, connection: Connection, resources: Resources) -> None:
        """Have the actor made, when there is room for it."""
        if self._over:
            return
        try:
            connection.open()
            self._connection = connection
            try:
                self._actor = connection.actor(AGENT, self._title, resources)
            except ValueError as error:  # these resources cannot be asked for: no cluster and no time would mend it
                self._end(f"cannot be begun: {error}", refused=True)
                return
            connection.then(
                self._actor.where.remote(), lambda where: self._transport.order(lambda: self._arrive(where)), self._fail
            )
        except Exception as error:  # noqa: BLE001 - Ray's errors have no root of their own
            self._end(f"cannot be begun: {first_line(error)}", refused=False)

    def send(self, piece: bytes) -> None:
        """See `Agent.send`."""
        with self._lock:
            self._pieces.append(piece)
            first = len(self._pieces) == 1
        if first:
            self._transport.call(self._exchange)

    def kill(self) -> None:
        """See `Agent.kill`."""
        self._over = True
        self._transport.order(self._kill)

    def _kill(self) -> None:
        self._transport.forget(self)
        actor, self._actor = self._actor, None
        if actor is not None and self._connection is not None:
            self._connection.kill(actor)

    def _exchange(self, takes: int = 1) -> None:
        """Hand over what there is to be, and have so many answers waited for.

        A call costs this process 0.3 ms, whatever it carries. So one that hands something over waits for an answer,
        too, where one more may be waited for: who is told something, and answers, takes one call.
        """
        while not self._over and (actor := self._actor) is not None and self._connection is not None:
            with self._lock:
                pieces = [self._pieces.popleft() for _ in range(min(len(self._pieces), PIECES_AT_ONCE))]
                take = self._taking < (TAKES if pieces else takes)
                self._taking += take
            if take:
                self._connection.then(actor.take.remote(*pieces), self._taken, self._fail)
            elif pieces:
                actor.hear.remote(*pieces)
            else:
                return

    def _arrive(self, where: tuple[str, str, str]) -> None:
        if self._over or self._connection is None:
            return
        self._ear.arrived(self._connection.node(*where))
        self._transport.call(self._exchange)

    # --- in threads of Ray's, which would wait for themselves if they asked it for something ---------------------

    def _taken(self, data: bytes) -> None:
        if self._over:
            return
        with self._lock:
            self._taking -= 1
            none_left = not self._taking
        if len(data) > PIECE_BYTES:  # a whole piece, which has others behind it
            self._transport.call(partial(self._exchange, TAKES))
        elif none_left:
            self._transport.call(self._exchange)
        for piece in parted(data):
            self._ear.heard(piece)

    def _fail(self, error: Exception) -> None:
        assert self._connection is not None
        why, refused = self._connection.explain(error)
        self._end(why, refused)

    def _end(self, why: str, refused: bool) -> None:
        if not self._over:
            self._over = True
            self._ear.gone(why, refused)
        self._transport.order(self._kill)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
