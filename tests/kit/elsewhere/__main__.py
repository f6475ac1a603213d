"""The command, with every worker in an empty folder elsewhere: `python -m tests.kit.elsewhere run pipeline.yaml -x`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.spec import ChildSpec
from actors.supervisor import Supervisor
from elspeth.calls.journal.journal import journal_folder
from elspeth.cli.app import main
from elspeth.coordinator.keeper import Stores
from elspeth.coordinator.topology import Topology
from elspeth.roles.plan import Plan, decode_plan
from elspeth.runs.lifecycle import drive, resume, start
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.travel import pack
from tests.kit.elsewhere.place import Elsewhere

PLACE = "elsewhere"
topology_of, supervise = drive.topology_of, Supervisor.start


def with_workers_elsewhere(pipeline: Pipeline, plan: Plan, *arguments: Any, **more: Any) -> Topology:
    here = topology_of(pipeline, plan, *arguments, **more)
    luggage = pack(pipeline, plan)

    def worker(number: int) -> ChildSpec:
        spec = here.worker(number)
        return luggage.worker(spec, decode_plan(spec.argument), PLACE)

    journals = journal_folder(Path(plan.state_directory), plan.run_id)
    return replace(here, worker=worker, stores=Stores(Path(plan.payload_base), journals, plan.attempt))


def supervised(*arguments: Any, **more: Any) -> Any:
    return supervise(*arguments, **more, places={PLACE: Elsewhere(Path.cwd())})


if __name__ == "__main__":
    for module in (start, resume):
        module.topology_of = with_workers_elsewhere  # type: ignore[attr-defined]
    Supervisor.start = supervised  # type: ignore[method-assign]
    sys.exit(main())
