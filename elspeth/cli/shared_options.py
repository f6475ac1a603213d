"""Options that several commands have in common, and that a shell completes."""

from __future__ import annotations

from pathlib import Path

import click

from elspeth.cli import completion

assignments_option = click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", shell_complete=completion.assignments(),
    help="Set a key in place of the file's value.",
)  # fmt: skip
"""Of commands that read a pipeline file."""

resumed_assignments_option = click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", shell_complete=completion.changeable(),
    help="Set what cannot change results (concurrency, supervisor, checkpoint, retry, rate_limit, budget, telemetry, "
    "cluster).",
)  # fmt: skip
"""Of commands that go on with a run as it was started."""

plugin_files_option = click.option(
    "--file", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Know plugins of your own from this Python file too.",
)  # fmt: skip
"""Of commands that tell of plugins, without a pipeline that names them."""
