"""The commands by name: where each lives, and its line in `elspeth --help`. Adding a command is a file and a line here.

What a command imports is imported when it is called, so that `elspeth --version` starts at once.
"""

from __future__ import annotations

from elspeth.cli.context import Entry

COMMANDS: dict[str, Entry] = {
    "init": Entry("elspeth.cli.commands.init:command", "Write a small pipeline to start from."),
    "validate": Entry("elspeth.cli.commands.validate:command", "Check a pipeline file: every problem in one go."),
    "try": Entry("elspeth.cli.commands.try_:command", "Show what the first rows would ask of services, or ask it."),
    "convert": Entry("elspeth.cli.commands.convert:command", "Rewrite a pipeline file in our own spelling."),
    "run": Entry("elspeth.cli.commands.run:command", "Run a pipeline, or show what running it would do."),
    "resume": Entry("elspeth.cli.commands.resume:command", "Continue a run that was interrupted or died."),
    "doctor": Entry("elspeth.cli.commands.doctor:command", "Find stuck runs, and what would stop a resume."),
    "runs": Entry("elspeth.cli.commands.runs:command", "List the runs on record."),
    "status": Entry("elspeth.cli.commands.status:command", "Show one run: counts, processes, what happened to it."),
    "watch": Entry("elspeth.cli.commands.watch:command", "Show how a run gets on, from another terminal."),
    "health": Entry("elspeth.cli.commands.health:command", "Answer a container's health check."),
    "plugins": Entry("elspeth.cli.commands.plugins:command", "List plugins, and what each one takes."),
    "completion": Entry("elspeth.cli.commands.completion:command", "Complete commands, options and runs in a shell."),
    "schema": Entry("elspeth.cli.commands.schema:command", "Print the JSON Schema of pipeline files, for editors."),
    "graph": Entry("elspeth.cli.commands.graph:command", "Draw a pipeline, or a run with its counts."),
    "report": Entry("elspeth.cli.commands.report:command", "Write a page about a run, in one file."),
    "ui": Entry("elspeth.cli.commands.ui:command", "Show the runs as a page in a browser, live."),
    "explain": Entry("elspeth.cli.commands.explain:command", "Tell the whole story of a row."),
    "replay": Entry("elspeth.cli.commands.replay:command", "Decide a run again from its record, and compare."),
    "verify": Entry(
        "elspeth.cli.commands.verify:command", "Recompute the evidence of a run, and name what was changed."
    ),
    "export": Entry("elspeth.cli.commands.export:command", "Write the evidence of a run into a folder."),
    "copy": Entry("elspeth.cli.commands.copy:command", "Bring the evidence of a run into another audit database."),
    "purge": Entry("elspeth.cli.commands.purge:command", "Remove row data of finished runs; hashes stay."),
}
