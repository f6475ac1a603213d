"""A recorded run without any process, for tests of what operators do to one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from elspeth.audit.writer import AuditWriter
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.locks import lock_path

RUN = "mf3k2a9x"


def record_run(database: Path, run_id: str = RUN, **identity: Any) -> AttemptIdentity:
    """A run that says it is driven by a process that is no more; the identity can be given otherwise."""
    who = replace(current(lock_path(database, run_id, 1)), **{"process_start_ticks": 1, **identity})
    run = {
        "run_id": run_id, "settings_path": "pipeline.yaml", "settings_json": "{}", "settings_hash": "aa",
        "pipeline_hash": "bb", "working_directory": os.fspath(database.parent), "elspeth_version": "0.1.0",
        "canonical_version": "1",
    }  # fmt: skip
    writer = AuditWriter(database)
    writer.create_run(run, who.start().to_columns(), {})
    writer.close()
    return who
