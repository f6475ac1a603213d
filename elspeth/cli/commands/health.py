"""`elspeth health`: one answer for a container's health check."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from elspeth import __version__
from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.errors import EXIT_FAILED, EXIT_OK
from elspeth.runs.views.health import WATCH_SECONDS, check_health


@click.command(
    "health",
    cls=Examples,
    epilog="""
        elspeth health
        elspeth health --json
        elspeth health --watch 10 --database /app/state/audit.db
    """,
)
@click.option(
    "--watch", "seconds", type=click.FloatRange(min=0), default=WATCH_SECONDS, show_default=True, metavar="SECONDS",
    help="How long the heartbeat of a run that is driven here may take to move; it is due every 5 seconds.",
)  # fmt: skip
@database_option
@json_option
@pass_context
def command(context: CliContext, seconds: float) -> int:
    """Check version, plugins and audit database, and that a run which is driven here gets on.

    Exits with 0 if all is well, else with 1. Where no run is driven it answers at once.
    """
    checks = check_health(context.database, os.environ, Path.cwd(), seconds=seconds)
    well = all(check.well for check in checks)
    code = EXIT_OK if well else EXIT_FAILED
    if context.json:
        output.result_json(
            {"healthy": well, "version": __version__, "checks": [asdict(check) for check in checks], "exit_code": code}
        )
    else:
        for check in checks:
            mark = output.styled("well ", "green") if check.well else output.styled("wrong", "red")
            output.result(f"{mark}  {check.name}: {check.message}")
    return code
