"""The commands by name: where each lives, and its line in `elspeth --help`. Adding a command is a file and a line here.

What a command imports is imported when it is called, so that `elspeth --version` starts at once.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: the module and attribute that hold it, and what it does in a few words."""

    target: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "init": Entry("elspeth.cli.init:command", "Write a small pipeline to start from."),
    "validate": Entry("elspeth.cli.validate:command", "Check a pipeline file: every problem in one go."),
    "run": Entry("elspeth.cli.run:command", "Run a pipeline, or show what running it would do."),
    "resume": Entry("elspeth.cli.resume:command", "Continue a run that was interrupted or died."),
    "plugins": Entry("elspeth.cli.plugins:command", "List plugins, and what each one takes."),
    "graph": Entry("elspeth.cli.graph:command", "Draw a pipeline, or a run with its counts."),
}
