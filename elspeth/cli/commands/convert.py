"""`elspeth convert`: rewrite a pipeline file of this format into our own spelling."""

from __future__ import annotations

from pathlib import Path

import click

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, json_option, pass_context
from elspeth.errors import EXIT_OK, SettingsError
from elspeth.settings import file


@click.command(
    "convert",
    cls=Examples,
    epilog="""
        elspeth convert old.yaml -o pipeline.yaml
        elspeth convert old.yaml -o pipeline.yaml --json
    """,
)
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD")
@click.option(
    "-o", "--output", "new", required=True, type=click.Path(path_type=Path), metavar="NEW", help="A file that is new."
)
@json_option
@pass_context
def command(context: CliContext, old: Path, new: Path) -> int:
    """Rewrite a pipeline file: keys in their one place, our own words, nothing without effect; comments stay.

    What is changed is said. The old file stays as it is and means the same.
    """
    try:
        from elspeth.settings.convert import convert  # of an extra, and nobody else's business
    except ModuleNotFoundError as error:
        if error.name not in ("ruamel", "ruamel.yaml"):
            raise
        raise SettingsError(
            "elspeth convert needs ruamel.yaml, which is not installed", next_step="pip install 'elspeth[convert]'"
        ) from None
    text, changes = convert(file.read(old))
    try:
        with new.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise SettingsError(
            f"{new} cannot be written: {error.strerror or error}", next_step="name a file that is not there yet"
        ) from None
    if context.json:
        output.result_json({"settings": str(new), "changes": changes, "exit_code": EXIT_OK})
        return EXIT_OK
    for change in changes:
        output.result(change)
    output.result(f"{output.count(len(changes), 'change')}; check it: {output.command('elspeth', 'validate', new)}")
    return EXIT_OK
