"""Children beside agents, which are processes of this machine behind sockets; afterwards nothing of them is left."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors import ChildUp, Identity
from actors.node_agent.folder import PREFIX
from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.sockets.transport import SocketAgent, SocketTransport
from tests.kit.places.faulty import FaultyTransport
from tests.kit.processes.family import Family
from tests.kit.processes.waiting import wait_until

PATIENT = Terms(unreachable_seconds=600.0)
QUICK = Terms(unreachable_seconds=1.5, beat_seconds=0.25)


class FarFamily(Family):
    """A family whose children are elsewhere; how that is reached, and what is said of each process there."""

    def __init__(self, transport: FaultyTransport, terms: Terms = PATIENT, **options: Any) -> None:
        self.transport = transport
        self.place = FarPlace(transport, terms)
        super().__init__(places={"far": self.place}, **options)

    def begin(self, name: str = "ping", **fields: Any) -> Identity:
        """Start a far ping actor; the identity of its process."""
        before = len(self.ups(name))
        self.start(name, place="far", **fields)
        return self.await_up(name, before + 1).identity

    def ask(self, name: str, what: str) -> Any:
        """What an expression gives in this child."""
        before = len(self.frames(name))
        self.send(name, b"tell", what.encode())
        return json.loads(self.await_frames(name, before + 1)[-1][0])

    def agent(self, number: int = -1) -> SocketAgent:
        agent = self.transport.agents[number]
        assert isinstance(agent, SocketAgent)
        return agent


@contextmanager
def far(terms: Terms = PATIENT, seed: int | None = None, **options: Any) -> Iterator[FarFamily]:
    """A family elsewhere; afterwards nothing of it is left, in the temporary folder of its own that its agents have."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield from _far(terms, seed, options)
        finally:
            os.environ.pop("TMPDIR")
            os.environ.update({"TMPDIR": before} if before else {})


def _far(terms: Terms, seed: int | None, options: dict[str, Any]) -> Iterator[FarFamily]:
    transport = FaultyTransport(SocketTransport(**options), seed)
    with FarFamily(transport, terms) as family:
        yield family
        transport.cut = False
    agents = [Identity.of(a.pid) for a in transport.agents if isinstance(a, SocketAgent) and there(a.pid)]
    wait_until(lambda: all(agent.state() == "gone" for agent in agents), "the ends of the agents")
    wait_until(lambda: not left_folders(), "the ends of their folders")
    identities = [event.identity for event in family.told if isinstance(event, ChildUp)]
    wait_until(lambda: all(map(is_gone, identities)), "the ends of the children")


def there(pid: int) -> bool:
    return pid != 0 and Path(f"/proc/{pid}").exists()


def left_folders() -> list[Path]:
    return list(Path(os.environ["TMPDIR"]).glob(f"{PREFIX}*"))


def is_gone(identity: Identity) -> bool:
    return identity.state() == "gone"
