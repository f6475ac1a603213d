"""A main process to be killed: starts a ping actor behind an agent, prints the pids of both, and waits."""

from __future__ import annotations

import sys

from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.sockets.transport import SocketTransport
from tests.kit.places.faulty import FaultyTransport
from tests.kit.processes.family import Family
from tests.kit.processes.waiting import wait_until

if __name__ == "__main__":
    transport = FaultyTransport(SocketTransport())
    with Family(places={"far": FarPlace(transport, Terms(unreachable_seconds=1.5, beat_seconds=0.25))}) as family:
        family.start(place="far")
        [agent] = transport.agents
        sys.stdout.write(f"{agent.pid} {family.ups('ping')[0].identity.pid}\n")  # type: ignore[attr-defined]
        sys.stdout.flush()
        wait_until(lambda: False, timeout=600)
