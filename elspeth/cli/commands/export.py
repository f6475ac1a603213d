"""`elspeth export`: write the whole evidence of a run into a folder that can be verified without the database."""

from __future__ import annotations

import os
from pathlib import Path

import click

from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import require_run
from elspeth.errors import EXIT_OK


@click.command(
    "export",
    cls=Examples,
    epilog="""
        elspeth export latest -o evidence
        elspeth verify evidence
    """,
)
@click.argument("reference", metavar="RUN_ID", shell_complete=completion.runs())
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="A new folder, or an empty one.",
)  # fmt: skip
@database_option
@json_option
@pass_context
def command(context: CliContext, reference: str, folder: Path) -> int:
    """Write everything on record about a run as JSON lines, a file per table, with a manifest that vouches for them.

    With ELSPETH_SIGNING_KEY in the environment the manifest is signed. Row data is in it, as it is in the database.
    """
    from elspeth.audit.export.folder import MANIFEST, export_run
    from elspeth.audit.query.locate import locate
    from elspeth.audit.query.reader import AuditReader

    key = os.environ.get(SIGNING_KEY)
    require_run(reference)
    path = locate(context.database, os.environ, Path.cwd())
    with AuditReader(path) as reader:
        run = reader.run(reference)
        context.run_id = run.run_id
        manifest = export_run(reader, run.run_id, folder, key.encode() if key else None)
    if context.json:
        output.result_json({"database": str(path), "folder": str(folder.absolute()), "exit_code": EXIT_OK, **manifest})
        return EXIT_OK
    records = sum(facts["records"] for facts in manifest["files"].values())
    held = sum(facts["bytes"] for facts in manifest["files"].values())
    signed = "signed" if "signature" in manifest else "not signed"
    output.result(
        f"Run {run.run_id}: {output.count(records, 'record')}, {output.size(held)}, in {folder};"
        f" {MANIFEST} is {signed}, head {manifest['head']['digest'][:12]}"
    )
    if run.status == "running":
        output.message("The run is under way, or was when it died: this is what had been committed.")
    output.result(f"Check it anywhere: {output.command('elspeth', 'verify', folder)}")
    return EXIT_OK
