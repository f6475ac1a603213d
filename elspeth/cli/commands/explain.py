"""`elspeth explain`: the whole story of a row, from how it was read to where it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from elspeth.audit.explain.session import ExplainSession, explain_session
from elspeth.audit.query.locate import locate
from elspeth.audit.store.place import Place
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import require_run
from elspeth.cli.view import explain
from elspeth.errors import EXIT_OK, ElspethError
from elspeth.ids import row_id

SHOWN = 20


@click.command(
    "explain",
    cls=Examples,
    epilog="""
        elspeth explain --run latest --row 42
        elspeth explain --run mf3k2a9x --token mf3k2a9x-000000042.left
        elspeth explain --run latest --where "id=1543" --full
    """,
)
@click.option(
    "--run",
    "reference",
    default="latest",
    metavar="RUN_ID",
    shell_complete=completion.runs(),
    help="The run; `latest` if left out.",
)
@click.option("--row", metavar="N", help="The row with this index, counted from 0, or with this id.")
@click.option("--token", metavar="TOKEN", help="A token: what it came from, and what became of it.")
@click.option(
    "--where", "words", multiple=True, metavar="FIELD=VALUE",
    help="Rows with this in them as they were read; looks at every row. Given more than once, all must hold.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="At each step, show the fields that it left as they were, too.")
@database_option
@json_option
@pass_context
def command(
    context: CliContext, reference: str, row: str | None, token: str | None, words: tuple[str, ...], full: bool
) -> int:
    """Tell the whole story of a row: how it was read, what each node changed in it, where it ended.

    A step's fields are marked + where it added one, - where it removed one, ~ with the value before and after.
    """
    if (row is not None) + (token is not None) + bool(words) != 1:
        raise click.UsageError("give one of --row N, --token TOKEN and --where FIELD=VALUE")
    require_run(reference)
    path = locate(context.database, os.environ, Path.cwd())
    with explain_session(path, reference) as session:
        context.run_id = session.run_id
        if words:
            return _where(context, session, path, words, full)
        lineage = session.lineage
        _show(
            context,
            lineage.row(_index(row, session.run_id)) if row is not None else lineage.token(token or ""),
            path,
            full,
        )
        return EXIT_OK


def _index(row: str, run: str) -> int:
    """The index that was typed, or that of a row's id."""
    number = row.removeprefix(f"{run}-")
    if not number.isascii() or not number.isdigit():
        raise click.UsageError(f"--row {row}: give an index, counted from 0, or an id such as {row_id(run, 0)}")
    return int(number)


def _where(context: CliContext, session: ExplainSession, path: Place, words: tuple[str, ...], full: bool) -> int:
    from elspeth.audit.explain.search import MOST_FOUND  # a story by key starts without it

    result, lineage = session.search(words), session.lineage
    if not result.scanned:
        lineage.row(0)  # raises the error that says why there are none
    seen = [f"looked at all {output.count(result.scanned, 'row')} of run {lineage.run}"]
    if result.purged:
        seen.append(f"the data of {output.count(result.purged, 'row')} is no longer kept and could not be searched")
    if result.unreadable:
        seen.append(f"the data of {output.count(result.unreadable, 'row')} could not be read from the payload store")
    if not result.found:
        raise ElspethError(f"no row with {' and '.join(words)} in run {lineage.run}", details=seen)
    if len(result.found) == 1:
        output.message(f"({'; '.join(seen)})")
        _show(context, lineage.row(result.found[0][0]), path, full)
        return EXIT_OK
    if context.json:
        matches = [{"row": index, "line": line} for index, line in result.found]
        output.result_json(
            {"run_id": lineage.run, "database": str(path), "scanned": result.scanned, "matches": matches,
             "more": len(result.found) == MOST_FOUND}
        )  # fmt: skip
        return EXIT_OK
    output.message(f"({'; '.join(seen)})")
    more = "at least " if len(result.found) == MOST_FOUND else ""
    output.result(f"{more}{output.count(len(result.found), 'row')} with {' and '.join(words)}:")
    output.result(output.table(["row", "line"], [(str(index), line) for index, line in result.found[:SHOWN]], indent=2))
    if len(result.found) > SHOWN:
        output.result(f"  and {len(result.found) - SHOWN:,} more")
    output.result(f"Next: elspeth explain --run {lineage.run} --row {result.found[0][0]}")
    return EXIT_OK


def _show(context: CliContext, found: dict[str, Any], path: Place, full: bool) -> None:
    if context.json:
        output.result_json({"database": str(path), **found})
    else:
        output.result(explain.render(found, full=full))
