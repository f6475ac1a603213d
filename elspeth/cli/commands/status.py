"""`elspeth status`: one run, also while it is driven: counts, processes, checkpoints, what happened to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import AuditReader
from elspeth.cli import completion, output
from elspeth.cli.commands.runs import shown_status
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import require_run
from elspeth.cli.view.error_text import next_step
from elspeth.cli.view.status_style import style_of
from elspeth.errors import EXIT_OK, ElspethError
from elspeth.runs.lifecycle.driver import changes
from elspeth.runs.views.status import Status, status

SHOWN = 15
"""So many of the last things that happened are shown; --json has all."""


@click.command(
    "status",
    cls=Examples,
    epilog="""
        elspeth status latest
        elspeth status mf3k2a9x --json
        watch -n 5 elspeth status latest
    """,
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completion.runs())
@database_option
@json_option
@pass_context
def command(context: CliContext, run_id: str) -> int:
    """Show one run: nodes and counts, whether every row is accounted for, its processes, what happened to it.

    RUN_ID is a run's id, the beginning of one, or `latest`. Works while the run is driven, without disturbing it.
    """
    require_run(run_id)
    with AuditReader(locate(context.database, os.environ, Path.cwd())) as reader:
        found = status(reader, run_id)
        path = reader.path
    command = next_step(ElspethError("", next_step=found.next_command), context)
    if context.json:
        output.result_json(found.to_value() | {"database": str(path), "next_command": command or None})
    else:
        output.result("\n".join(_words(found, command)))
    return EXIT_OK


def _words(found: Status, command: str) -> Iterator[str]:
    run, line = found.summary.run, found.summary
    shown = shown_status(line)
    yield output.styled(f"Run {run.run_id}: ", "bold") + output.styled(shown, style_of(shown))
    rate = line.rows_per_second
    pace = f", {rate:,.0f} rows/s" if rate is not None else ""
    facts = {
        "because": found.evidence,
        "waits": found.waiting,
        "failure": run.failure or "",
        "rows": f"{output.count(line.rows, 'row')} in {output.seconds(line.seconds)}{pace}",
        "failures": ", ".join(f"{count:,} {name}" for name, count in line.troubled.items()),
        "started": run.started_at,
        "ended": run.completed_at or "",
        "attempts": str(run.attempt),
        **{
            "driven by" if attempt == 1 else f"attempt {attempt} by": driver
            for attempt, driver in changes(found.drivers, run.attempt).items()
        },
        "settings": run.settings_path or "",
        "directory": run.working_directory,
        "given up for": run.superseded_by or "",
    }
    yield from (f"  {name:<13}{value}" for name, value in facts.items() if value)
    yield ""
    yield output.table(["node", "kind", "plugin", "counts"], [
        (node.node_id, node.kind, node.plugin, ", ".join(f"{count:,} {name}" for name, count in node.counts.items()))
        for node in found.nodes
    ])  # fmt: skip
    yield ""
    yield _balance(found)
    if line.calls:
        yield ""
        yield output.table(["provider", "calls", "answered", "unknown", "tokens in", "tokens out", "cost"], [
            (provider, one.exchanges, one.answered, one.unknown, one.input_tokens, one.output_tokens, str(one.cost))
            for provider, one in sorted(line.calls.items())
        ])  # fmt: skip
    yield ""
    yield output.table(["process", "pid", "state", "memory", "restarts"], [
        (one.role, str(one.pid or ""), one.state, "" if one.resident_bytes is None else output.size(one.resident_bytes),
         one.restarts)
        for one in found.processes
    ])  # fmt: skip
    if found.checkpoints:
        yield ""
        yield output.table(["checkpoint", "rows", "attempt", "at"], [
            (held.checkpoint_id, held.read().row_count, held.attempt, held.created_at)
            for held in found.checkpoints
        ])  # fmt: skip
    if found.happenings:
        yield ""
        if (left := len(found.happenings) - SHOWN) > 0:
            yield f"({left:,} earlier events are not shown)"
        yield from (f"{event.at[:19].replace('T', ' ')}  {event.sentence}" for event in found.happenings[-SHOWN:])
    if command:
        yield ""
        yield f"Next: {command}"


def _balance(found: Status) -> str:
    balance = found.balance
    outcomes = ", ".join(f"{count:,} {name}" for name, count in balance.outcomes.items())
    head = f"{output.count(balance.rows, 'row')}, {output.count(balance.tokens, 'token')}: "
    if balance.open:
        state = f"{balance.terminal:,} have ended, {balance.open:,} are open"
        return head + (output.styled(state, "yellow") if found.summary.run.status != "completed" else
                       output.styled(state, "red")) + (f" ({outcomes})" if outcomes else "")  # fmt: skip
    return head + "every one has its outcome" + (f" ({outcomes})" if outcomes else "")
