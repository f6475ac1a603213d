"""`elspeth watch`: the progress of a run that somebody else drives, until it ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import AuditReader
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import require_run
from elspeth.cli.view.error_text import next_step
from elspeth.cli.view.logs import Log
from elspeth.cli.view.progress import drawing
from elspeth.cli.view.rate import RateMeter
from elspeth.cli.view.sight import Sight, facts
from elspeth.errors import EXIT_FAILED, EXIT_OK, ElspethError
from elspeth.runs.views.watching import Look, look

SECONDS = 1.0


@click.command(
    "watch",
    cls=Examples,
    epilog="""
        elspeth watch latest
        elspeth watch mf3k2a9x --database /app/state/audit.db
        elspeth watch latest --once --json
    """,
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completion.runs())
@click.option("--once", is_flag=True, help="Look once, say what is to be seen, and end.")
@database_option
@json_option
@pass_context
def command(context: CliContext, run_id: str, once: bool) -> int:
    """Show how a run gets on, from another terminal than that in which it is driven.

    RUN_ID is a run's id, the beginning of one, or `latest`. Disturbs nobody. Ends with the run, or where nobody drives
    it: with 0 if it is complete or, with --once, driven; else with 1, and the command that continues it.
    """
    require_run(run_id)
    with AuditReader(locate(context.database, os.environ, Path.cwd())) as reader:
        run_id = reader.run(run_id).run_id
        log, meter = Log(context.log_format, run_id), RateMeter()
        with drawing(log) as show:
            while True:
                found = look(reader, run_id)
                meter.see(time.monotonic(), found.counters.rows, found.offset)
                sight = _sight(found, meter)
                if once or found.over:
                    break
                show(sight)
                time.sleep(SECONDS)
    return _last_word(context, found, sight)


def _sight(found: Look, meter: RateMeter) -> Sight:
    return Sight(
        found.run.run_id,
        found.counters.rows,
        found.counters.seconds,
        found.offset,
        found.size,
        meter.rows_per_second,
        meter.seconds_left(found.size),
        found.counters.written,
        found.found.waiting,
        found.restarts,
    )


def _last_word(context: CliContext, found: Look, sight: Sight) -> int:
    run, verdict = found.run, found.found.verdict
    status = run.status if run.status != "running" else verdict.state
    well = status in ("completed", "alive")
    code = EXIT_OK if well else EXIT_FAILED
    command = next_step(ElspethError("", next_step=found.next_command), context)
    if context.json:
        output.result_json(
            {"run_id": run.run_id, "status": run.status, "state": verdict.state if run.status == "running" else None,
             **facts(sight), "next_command": command or None, "exit_code": code}
        )  # fmt: skip
        return code
    written = ", ".join(f"{sink} {rows:,}" for sink, rows in sight.written.items())
    line = f"Run {run.run_id} {output.styled(status, 'green' if well else 'yellow')}: {output.count(sight.rows, 'row')}"
    output.report(f"{line} in {output.seconds(sight.seconds)}" + (f"; {written}" if written else ""))
    if sight.waiting:
        output.report(sight.waiting)
    if not well:
        output.report(verdict.sentence if run.status == "running" else run.failure or "")
    if command:
        output.report(f"Next: {command}")
    return code
