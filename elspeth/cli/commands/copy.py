"""`elspeth copy`: bring the evidence of a run into another audit database."""

from __future__ import annotations

import os
from pathlib import Path

import click

from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context, reason_option
from elspeth.cli.references import require_run
from elspeth.cli.view.logs import Log
from elspeth.errors import EXIT_OK


@click.command(
    "copy",
    cls=Examples,
    epilog="""
        elspeth copy latest --to archive/audit.db
        elspeth copy mf3k2a9x --to "postgresql://ada@db.example/audit?schema=elspeth"
        elspeth copy mf3k2a9x --to runs/audit.db --database "postgresql://ada@db.example/audit"
    """,
)
@click.argument("reference", metavar="RUN_ID", shell_complete=completion.runs())
@click.option(
    "--to", "target", required=True, metavar="URL", type=click.Path(),
    help="The database that it is copied into: a file or an URL, made if it does not exist.",
)  # fmt: skip
@reason_option
@database_option
@json_option
@pass_context
def command(context: CliContext, reference: str, target: str, reason: str | None) -> int:
    """Copy everything on record about a finished run into another audit database, and verify it there.

    All of it is there afterwards, or nothing; done twice it is done once. Payloads are files, and stay where they are:
    it is said how many, and where.
    Where the run is signed, ELSPETH_SIGNING_KEY must be in the environment.
    """
    from elspeth.audit.query.locate import locate
    from elspeth.audit.store.place import place_of
    from elspeth.runs.operate.copying import copy_run

    require_run(reference)
    origin, place = locate(context.database, os.environ, Path.cwd()), place_of(context.filled(target))
    copied = copy_run(origin, reference, place, reason=reason, notify=Log(context.log_format).notify)
    context.run_id = copied.run_id
    if context.json:
        output.result_json(
            {"run_id": copied.run_id, "database": str(origin), "to": str(place), "already_there": copied.already,
             "head": {"commit_no": copied.head.commit_no, "digest": copied.head.digest}, "records": copied.records,
             "arrived_in_commit": copied.arrived, "payloads": {"count": copied.payloads, "kept_in": copied.kept_in},
             "exit_code": EXIT_OK}
        )  # fmt: skip
        return EXIT_OK
    head = f"head {copied.head.digest[:12]}, commit {copied.head.commit_no}"
    if copied.already:
        output.result(f"Run {copied.run_id} is in {place} already: {head}.")
    else:
        what = output.count(copied.records, "record")
        output.result(f"Copied run {copied.run_id} to {place}: {what}, {head}; it holds there.")
    if copied.payloads:
        what = output.count(copied.payloads, "payload of it stays a file", "payloads of it stay files")
        where = " or ".join(copied.kept_in)
        output.result(f"{what} in {where}: not copied. Whoever reads the copy elsewhere needs them there.")
    verify = output.command("elspeth", "verify", copied.run_id, "--database", str(place))
    output.result(f"Check it any time: {verify}")
    return EXIT_OK
