"""A main process with a child on a Ray cluster: prints pids of the child and what is above it, and waits for a line.

Argument: the address of the cluster, or "local".
"""

from __future__ import annotations

import json
import sys

from actors.places.far.place import FarPlace
from actors.places.ray.transport import RayTransport
from tests.kit.places.far_family import PATIENT
from tests.kit.processes.family import Family

if __name__ == "__main__":
    transport = RayTransport(sys.argv[1], runtime={"env_vars": {"PYTHONPATH": sys.path[0]}})
    with Family(places={"far": FarPlace(transport, PATIENT)}) as family:
        family.start(place="far")
        family.send("ping", b"tell", b"[os.getpid(), os.getppid()]")
        pids = json.loads(family.await_frames("ping", 2)[1][0])
        sys.stdout.write(" ".join(map(str, pids)) + "\n")
        sys.stdout.flush()
        sys.stdin.readline()
