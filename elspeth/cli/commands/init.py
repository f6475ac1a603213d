"""`elspeth init`: a small pipeline that works, with input and comments, to start from."""

from __future__ import annotations

import json
from pathlib import Path

import click

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, json_option, pass_context
from elspeth.errors import EXIT_OK, SettingsError, Temporary

PIPELINE = """\
# yaml-language-server: $schema=pipeline.schema.json
# A pipeline: a source is read row by row, each row passes the steps below, and ends in one of the sinks.
# Check it:   elspeth validate --settings pipeline.yaml
# Try it:     elspeth run --settings pipeline.yaml            (shows what it would do, and does nothing)
# Run it:     elspeth run --settings pipeline.yaml --execute

source:
  plugin: csv                       # `elspeth plugins list` shows all, `elspeth plugins inspect csv` its options
  options:
    path: input.csv                 # paths count from the folder in which elspeth is started
    schema: {mode: free, fields: ["id: int", "amount: int"]}   # these must be there; other columns may
  on_validation_failure: unreadable # where lines go that do not fit; `discard` only records them

transforms:
  - name: add_fee
    plugin: value_transform
    options:
      operations:
        - {target: total, expression: "row['amount'] + 5"}

gates:
  - name: large_amounts
    condition: "row['total'] > 1000"
    routes: {"true": review, "false": continue}   # a sink's name, or on to what comes next

sinks:
  approved:   {plugin: csv, options: {path: output/approved.csv}}
  review:     {plugin: csv, options: {path: output/review.csv}}
  unreadable: {plugin: json, options: {path: output/unreadable.jsonl, format: jsonl}}
default_sink: approved

# Everything that happens to every row is recorded here; query it with any SQLite shell.
landscape: {url: "sqlite:///./runs/audit.db"}

# How much may have to be done again after a crash: nothing of what came before the last checkpoint.
checkpoint: {frequency: every_row}
"""

INPUT = """\
id,customer,amount
1,Ada,250
2,Ben,1800
3,Cleo,995
4,Dora,not a number
5,Emil,996
6,Fay,40
"""

SCHEMA = "pipeline.schema.json"
FILES = ("pipeline.yaml", "input.csv", SCHEMA)


@click.command(
    "init",
    cls=Examples,
    epilog="""
        elspeth init my_pipeline
        elspeth init .
    """,
)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@pass_context
def command(context: CliContext, directory: Path) -> int:
    """Write a small working pipeline into DIR: a commented pipeline.yaml, an input.csv, and what editors complete by.

    Files that are there already are never overwritten.
    """
    taken = [str(directory / name) for name in FILES if (directory / name).exists()]
    if taken:
        raise SettingsError(
            f"{directory} holds files of these names already, and they are left as they are",
            details=taken,
            next_step="elspeth init ANOTHER_DIR",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in zip(FILES, (PIPELINE, INPUT, _schema()), strict=True):
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise Temporary(
            f"{error.filename or directory} cannot be written: {error.strerror}", next_step="mend it, or name another"
        ) from error
    run = output.command("elspeth", "run", "--settings", "pipeline.yaml", "--execute")
    step = run if directory.resolve() == Path.cwd() else f"{output.command('cd', directory)} && {run}"
    if context.json:
        written = [str(directory / name) for name in FILES]
        output.result_json({"status": "written", "files": written, "exit_code": EXIT_OK, "next_command": step})
        return EXIT_OK
    output.result("\n".join([*(f"wrote {directory / name}" for name in FILES), "", "Run it with:", f"  {step}"]))
    return EXIT_OK


def _schema() -> str:
    from elspeth.runs.views.settings_schema import settings_schema  # builds all plugins' options, so only here

    return json.dumps(settings_schema(), indent=1) + "\n"
