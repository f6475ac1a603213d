"""`elspeth try`: what the first rows would ask of services, or what they are answered, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, dotenv_option, json_option, pass_context
from elspeth.cli.loading import file_of, load
from elspeth.cli.shared_options import assignments_option
from elspeth.errors import EXIT_OK
from elspeth.runs.trial import Asked, Trial, shown, try_rows


@click.command(
    "try",
    cls=Examples,
    epilog="""
        elspeth try pipeline.yaml
        elspeth try --settings pipeline.yaml --rows 10 --call
        elspeth try --settings pipeline.yaml --rows 3 --json
    """,
)
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.option(
    "--settings", "-s", "option", type=click.Path(path_type=Path), metavar="FILE",
    help="The pipeline file, if it is not given as an argument; ./pipeline.yaml without either.",
)  # fmt: skip
@click.option("--rows", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many rows are taken.")
@click.option("--call", is_flag=True, help="Ask, and show answers and what they cost.")
@assignments_option
@dotenv_option
@json_option
@pass_context
def command(
    context: CliContext, file: Path | None, option: Path | None, rows: int, call: bool, assignments: tuple[str, ...]
) -> int:
    """Show what the first rows of a pipeline would ask of services: prompts as they are sent.

    Nothing is sent without --call, and nothing is written either way: there is no run, no record and no output. What is
    asked with --call is paid for, and asked again by a run.
    """
    pipeline = load(file_of(file, option), context, assignments)
    for node in pipeline.graph.of_kind("transform", "aggregation"):
        pipeline.plugins[node.id].check_references()
    trial = try_rows(pipeline, rows, call=call)
    conceal = context.concealment.text
    currency = pipeline.settings.budget.currency or ""
    if context.json:
        output.result_json(context.concealment.value(_value(trial)))
        return EXIT_OK
    for asked in trial.asked:
        name = f" {asked.name}" if asked.name else ""
        output.result(output.styled(f"row {asked.row}, {asked.node}{name}: {asked.request.provider}", "bold"))
        for heading, text in (*shown(asked.request), *_answered(asked, currency)):
            output.result(f"  {output.styled(heading, 'dim')}")
            for line in conceal(text).splitlines():
                output.result(f"    {line}")
        output.result()
    for row, why in trial.errors.items():
        output.result(f"row {row} asks nothing: {conceal(why)}")
    for node_id in trial.behind:
        output.result(f"{node_id} stands behind steps that wait for other rows: it is not tried")
    if call:
        cost = f", {trial.cost} {currency}".rstrip() if trial.cost else ""
        output.result(f"{output.count(len(trial.asked), 'call')}{cost}; nothing of it is on record")
    else:
        output.result("Nothing was asked; --call asks, and shows answers and what they cost.")
    return EXIT_OK


def _answered(asked: Asked, currency: str) -> list[tuple[str, str]]:
    exchange = asked.exchange
    if exchange is None:
        return []
    if exchange.outcome != "answered":
        return [(exchange.outcome.replace("_", " "), f"{exchange.message} ({exchange.reason})")]
    facts = [exchange.model, f"ends by {exchange.finish_reason}" if exchange.finish_reason else ""]
    if exchange.usage is not None:
        facts.append(f"{exchange.usage.input_tokens} + {exchange.usage.output_tokens} tokens")
    if asked.cost:
        facts.append(f"{asked.cost} {currency}".rstrip())
    said = exchange.text or ("" if exchange.finish_reason else exchange.body)
    return [("answer", said), ("", ", ".join(fact for fact in facts if fact))]


def _value(trial: Trial) -> dict[str, Any]:
    return {
        "calls": [
            {
                "row": asked.row,
                "node": asked.node,
                "name": asked.name,
                "request": asked.request.canonical(),
                "outcome": asked.exchange.outcome if asked.exchange else None,
                "reason": asked.exchange.reason if asked.exchange else None,
                "answer": (asked.exchange.text or asked.exchange.body) if asked.exchange else None,
                "cost": str(asked.cost),
            }
            for asked in trial.asked
        ],
        "rows_that_ask_nothing": {str(row): why for row, why in trial.errors.items()},
        "not_tried": list(trial.behind),
        "cost": str(trial.cost),
        "exit_code": EXIT_OK,
    }
