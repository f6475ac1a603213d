"""`elspeth report`: everything about a run as one page, in one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import require_run
from elspeth.durable import keep, why
from elspeth.errors import EXIT_OK, SettingsError, Temporary
from elspeth.file_identity import NotRegularFile, open_regular

HEAD_BYTES = 200
"""So much of a file is looked at to tell whether it is a report."""


@click.command(
    "report",
    cls=Examples,
    epilog="""
        elspeth report latest -o run.html
        elspeth report mf3k2a9x -o run.html --no-data --verify
        elspeth report latest -o run.html --against mf3k1b7q
    """,
)
@click.argument("reference", metavar="RUN_ID", shell_complete=completion.runs())
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="The page to write; an older report may be there.",
)  # fmt: skip
@click.option("--no-data", is_flag=True, help="Leave out whatever people wrote into rows.")
@click.option("--against", metavar="RUN_ID", help="Tell what differs from this run: settings, counts, reasons.",
              shell_complete=completion.runs())  # fmt: skip
@click.option("--verify", is_flag=True, help="Verify the evidence first, and say in the report whether it holds.")
@database_option
@json_option
@pass_context
def command(context: CliContext, reference: str, target: Path, no_data: bool, against: str | None, verify: bool) -> int:
    """Write a page about a run: its verdict, flow, balance, times, errors with samples, calls, settings and evidence.

    The page is one file that needs nothing else and asks nothing of anybody. RUN_ID is a run's id, the beginning of
    one, or `latest`; the run may be under way.
    """
    from elspeth.audit.chain.signing import SIGNING_KEY
    from elspeth.audit.query.locate import locate
    from elspeth.audit.query.reader import AuditReader
    from elspeth.runs.views.report.page import MARK, page
    from elspeth.runs.views.report.value import report
    from elspeth.runs.views.report.verified import verified

    require_run(reference)
    path = locate(context.database, os.environ, Path.cwd())
    with _written(target):
        if not _may_be_replaced(target, MARK):
            raise SettingsError(
                f"{target} is there, and is no report", next_step="name another file with -o, or take this one away"
            )
    with AuditReader(path) as reader:
        run = reader.run(reference)
        context.run_id = run.run_id
        words = os.environ.get(SIGNING_KEY)
        held = verified(reader, run.run_id, words.encode() if words else None) if verify else None
        value = report(reader, run.run_id, data=not no_data, against=against, verified=held)
    text = page(value).encode("utf-8", "replace")
    with _written(target):
        keep(target, text)
    if context.json:
        output.result_json(
            {"run_id": run.run_id, "database": str(path), "file": str(target.absolute()), "bytes": len(text),
             "exit_code": EXIT_OK}
        )  # fmt: skip
    else:
        output.result(f"Run {run.run_id}: {target} is written, {output.size(len(text))}")
    return EXIT_OK


def _may_be_replaced(target: Path, mark: str) -> bool:
    """Whether nothing is there, or a report. Raises `OSError`."""
    try:
        with open_regular(target) as file:
            return mark.encode() in file.read(HEAD_BYTES)
    except FileNotFoundError:
        return True
    except NotRegularFile:
        return False


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Temporary(
            f"{target} cannot be written: {why(error)}", next_step="mend it, or name another file with -o"
        ) from error
