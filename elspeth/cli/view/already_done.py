"""What `run` and `resume` say of a run that was complete before they were called: nothing is done twice."""

from __future__ import annotations

from pathlib import Path

from elspeth.audit.query.counters import counters
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.query.verdict import all_failed
from elspeth.audit.store.place import Place
from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.cli.view.result import ALL_FAILED, BAD_OUTCOMES, SHAPE
from elspeth.errors import EXIT_OK, EXIT_ROWS_FAILED
from elspeth.runs.lifecycle import evidence_delivery


def already(
    context: CliContext, database: Place, run: Run, why: str, *, fail_on_rows: bool,
    working_directory: Path | None = None,
) -> int:  # fmt: skip
    """Say so, with the counts that the audit database holds; answers the exit code.

    Copies of its evidence that the settings ask for are made where they are missing, from the recorded directory or
    the one that is named in its place.
    """
    database = database.absolute()
    made = evidence_delivery.finish(database, run, dotenv=context.dotenv, working_directory=working_directory)
    with AuditReader(database) as reader:
        found = counters(reader, run.run_id)
        none_passed = all_failed(reader, run.run_id)
    rows, sinks = found.rows, dict(found.written)
    outcomes = {name: number for name, number in found.outcomes.items() if name != "buffered"}
    bad = any(outcomes.get(name) for name in BAD_OUTCOMES)
    failed = (fail_on_rows and bad) or (none_passed and not context.allow_all_failed)
    code = EXIT_ROWS_FAILED if failed else EXIT_OK
    if context.json:
        output.result_json(
            SHAPE | {
                "status": "completed", "run_id": run.run_id, "rows": rows, "outcomes": outcomes, "sinks": sinks,
                "database": str(database.absolute()), "exit_code": code,
                "all_failed": none_passed,
            }
        )  # fmt: skip
    else:
        output.report(f"Run {run.run_id} was completed at {run.completed_at}, with {output.count(rows, 'row')}{why}.")
        if none_passed:
            output.report(ALL_FAILED)
        output.report("\n".join(made) or "Nothing was done.")
    return code
