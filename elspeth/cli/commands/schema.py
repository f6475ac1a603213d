"""`elspeth schema`: the settings as JSON Schema, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, pass_context
from elspeth.cli.shared_options import plugin_files_option
from elspeth.errors import EXIT_OK


@click.command(
    "schema",
    cls=Examples,
    epilog="""
        elspeth schema > pipeline.schema.json
        elspeth schema --file ./my_plugins.py > pipeline.schema.json
    """,
)
@plugin_files_option
@pass_context
def command(context: CliContext, files: tuple[Path, ...]) -> int:
    """Print the JSON Schema of pipeline files, with the options of every plugin.

    Editors complete and check with it. For the YAML language server, let the file begin with

      # yaml-language-server: $schema=pipeline.schema.json
    """
    from elspeth.plugins import registry
    from elspeth.runs.views.settings_schema import settings_schema

    registry.load_files(files, named_in="--file")
    output.result_json(settings_schema())
    return EXIT_OK
