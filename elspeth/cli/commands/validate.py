"""`elspeth validate`: check a pipeline file, every problem in one go."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import click

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, dotenv_option, json_option, pass_context
from elspeth.cli.loading import file_of, load
from elspeth.cli.shared_options import assignments_option
from elspeth.cli.view.expectations import audit_line, audit_size, field_lines
from elspeth.cli.view.plan import cautions, workers_line
from elspeth.errors import EXIT_OK, ElspethError, SettingsError
from elspeth.graph.steps import Step, steps_of
from elspeth.plugins.contract import Sink, Source
from elspeth.runs.lifecycle.drive import state_directory
from elspeth.runs.lifecycle.file_roles import inputs_of
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.settings import Problem, SettingsProblems


@click.command(
    "validate",
    cls=Examples,
    epilog="""
        elspeth validate pipeline.yaml
        elspeth validate --settings pipeline.yaml --set landscape.url=sqlite:///./other.db
        elspeth validate --settings pipeline.yaml --json --no-dotenv
    """,
)
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.option(
    "--settings", "-s", "option", type=click.Path(path_type=Path), metavar="FILE",
    help="The pipeline file, if it is not given as an argument; ./pipeline.yaml without either.",
)  # fmt: skip
@assignments_option
@dotenv_option
@json_option
@pass_context
def command(context: CliContext, file: Path | None, option: Path | None, assignments: tuple[str, ...]) -> int:
    """Check a pipeline file: keys, types, plugins and their options, wiring, fields, files written twice.

    Every problem is told with its line. Nothing is run or written. An input that is not there yet is a warning: it
    would stop a run now, but the file may be right all the same. One that is there and has a header that cannot be used
    (two names that become one identifier, for instance) is a problem.
    """
    settings = file_of(file, option)
    context.shape = {"status": "invalid", "settings": str(settings), "problems": [], "warnings": []}
    try:
        pipeline = load(settings, context, assignments)
        now = _look(pipeline)
    except SettingsProblems as error:
        context.shape |= {"problems": [asdict(problem) for problem in error.problems]}
        raise
    warnings = [str(problem) for problem in pipeline.loaded.warnings] + cautions(pipeline) + now
    if context.json:
        output.result_json(_value(pipeline, warnings))
        return EXIT_OK
    output.result(_text(pipeline))
    for line in field_lines(pipeline):
        output.result(line)
    output.result(f"Audit trail of a run: {audit_line(audit_size(pipeline))}")
    if (cluster := pipeline.settings.cluster) is not None:
        output.result(f"Workers: {workers_line(pipeline.settings.concurrency.max_workers, cluster.words())}")
    for line in warnings:
        output.result(f"{output.styled('warning:', 'yellow')} {line}")
    run = output.command("elspeth", "run", "--settings", settings)
    output.result(f"To see what it would do: {run}")
    return EXIT_OK


def _look(pipeline: Pipeline) -> list[str]:
    """Look at inputs and outputs as they are: what would stop a run now. Raises what no change outside could mend."""
    lines: list[str] = []
    problems: list[Problem] = []
    steps = {step.id: step for step in steps_of(pipeline.settings)}
    for node in pipeline.graph.of_kind("source"):
        try:
            pipeline.sources[node.id] = cast("Source", pipeline.plugins[node.id]).describe()
        except SettingsError as error:
            files = inputs_of(pipeline.plugins[node.id])
            if files and all(os.access(path, os.R_OK) for path in files):
                problems.append(_unusable(pipeline, steps[node.id], error))
            else:  # a file that is to come, or that is somebody else's so far
                lines.append(_stops(error))
        except ElspethError as error:
            lines.append(_stops(error))
    for node in pipeline.graph.of_kind("sink"):
        try:
            pipeline.inspect_sink(node.id, state_directory(pipeline))
        except SettingsError as error:
            problems.append(_unusable(pipeline, steps[node.id], error))
        except ElspethError as error:
            lines.append(_stops(error))
    for node in pipeline.graph.of_kind("transform", "aggregation"):
        try:
            pipeline.plugins[node.id].check_references()
        except SettingsError as error:
            problems.append(_unusable(pipeline, steps[node.id], error))
    if problems:
        raise SettingsProblems(problems)
    pipeline.check_fields()
    return lines


def _unusable(pipeline: Pipeline, step: Step, error: SettingsError) -> Problem:
    """The problem at the option that it is about if the settings have that, else where they name a file, if they do."""
    positions = pipeline.loaded.positions
    named = (step.at("options", *option) for option in (error.option, ("path",)) if option)
    place = next((place for place in named if positions.stands(place)), step.at("options"))
    message = error.message.rstrip(".")
    if advice := error.next_step.rstrip("."):
        message += f". {advice[0].upper()}{advice[1:]}"
    return positions.problem(place, message, found="; ".join(error.details))


def _stops(error: ElspethError) -> str:
    return "; ".join([f"this would stop a run now: {error.message}", *error.details])


def _value(pipeline: Pipeline, warnings: list[str]) -> dict[str, Any]:
    return {
        "status": "valid",
        "settings": str(pipeline.loaded.path),
        "exit_code": EXIT_OK,
        "problems": [],
        "warnings": warnings,
        "fields": pipeline.headers_by_source(),
        "audit_bytes": audit_size(pipeline),
        "cluster": None if (cluster := pipeline.settings.cluster) is None else cluster.words(),
        "nodes": [{"id": node.id, "kind": node.kind, "plugin": node.plugin} for node in pipeline.graph.nodes],
        "sinks": [
            {"id": node.id, "plugin": node.plugin, "delivery": cast("Sink", pipeline.plugins[node.id]).delivery}
            for node in pipeline.graph.of_kind("sink")
        ],
    }


def _text(pipeline: Pipeline) -> str:
    graph = pipeline.graph
    kinds = [
        output.count(len(found), kind, plural)
        for kind, plural in (("source", ""), ("transform", ""), ("aggregation", ""), ("gate", ""), ("coalesce", ""),
                             ("sink", ""))
        if (found := graph.of_kind(kind))  # type: ignore[arg-type]
    ]  # fmt: skip
    rows = [
        (node.id, node.kind, node.plugin, getattr(pipeline.plugins.get(node.id), "delivery", "").replace("_", " "))
        for node in graph.nodes
    ]
    table = output.table(["step", "kind", "plugin", "delivery"], rows, indent=2)
    head = f"{output.styled('valid', 'green')}: {pipeline.loaded.path} has {', '.join(kinds)}"
    return f"{head}\n\n{table}\n"
