"""The command, with every worker beside an agent, in a folder elsewhere: `python -m tests.kit.elsewhere run ...`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.far.transport import Transport
from actors.places.sockets.transport import SocketTransport
from actors.spec import ChildSpec
from actors.supervisor import Supervisor
from elspeth.calls.journal.journal import journal_folder
from elspeth.cli.app import main
from elspeth.coordinator.attempt.topology import Topology
from elspeth.coordinator.elsewhere.far_workers import ClusterTerms
from elspeth.coordinator.elsewhere.keeper import Stores
from elspeth.roles.plan import Plan, decode_plan
from elspeth.runs.lifecycle import drive, resume, start
from elspeth.runs.lifecycle.likeness import FACTS, required
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.travel import pack
from tests.kit.elsewhere import worker as worker_elsewhere
from tests.kit.places.faulty import FaultyTransport
from tests.kit.processes.program import SEED

PLACE = "elsewhere"
topology_of, supervise = drive.topology_of, Supervisor.start
terms = Terms()


def with_workers_elsewhere(pipeline: Pipeline, plan: Plan, *arguments: Any, **more: Any) -> Topology:
    global terms
    here = topology_of(pipeline, plan, *arguments, **more)
    luggage = pack(pipeline, plan)
    terms = Terms(required(pipeline.plugins.values()), FACTS, {worker_elsewhere.HEAD: str(Path.cwd())})

    def worker(number: int) -> ChildSpec:
        spec = replace(here.worker(number), target=f"{worker_elsewhere.__name__}:WorkerElsewhere")
        return luggage.worker(spec, decode_plan(spec.argument), PLACE)

    journals = journal_folder(Path(plan.state_directory), plan.run_id)
    count = here.policy.workers
    return replace(
        here, worker=worker, stores=Stores(Path(plan.payload_base), journals, plan.attempt),
        policy=replace(here.policy, far=count), far=ClusterTerms(workers=count),
    )  # fmt: skip


def supervised(*arguments: Any, **more: Any) -> Any:
    return supervise(*arguments, **{**more, "places": {PLACE: FarPlace(transport(), terms)}})


def transport() -> Transport:
    """Agents behind sockets; with a seed what they are sent and say comes late, doubled and out of order."""
    plain = SocketTransport(("east", "west"))
    seed = os.environ.get(SEED)
    return FaultyTransport(plain, int(seed)) if seed else plain


if __name__ == "__main__":
    root = Path(__file__).parents[3]
    sys.path[:] = [str(root), *(path for path in sys.path if path not in ("", str(Path.cwd()), str(root)))]
    for module in (start, resume):
        module.topology_of = with_workers_elsewhere  # type: ignore[attr-defined]
    Supervisor.start = supervised  # type: ignore[method-assign]
    sys.exit(main())
