"""`elspeth graph`: draw a pipeline from its file, or a run from the audit database with its counts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import msgspec

from elspeth.audit.query.counters import counters
from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import AuditReader
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, dotenv_option, pass_context
from elspeth.cli.loading import load
from elspeth.cli.references import require_run
from elspeth.errors import EXIT_OK, ElspethError
from elspeth.graph import picture
from elspeth.graph.model import Edge, Graph, Node


@click.command(
    "graph",
    cls=Examples,
    epilog="""
        elspeth graph --settings pipeline.yaml
        elspeth graph latest
        elspeth graph mf3k2a9x --format mermaid > run.mmd
    """,
)
@click.argument("run_id", metavar="[RUN_ID]", required=False, shell_complete=completion.runs())
@click.option(
    "--settings", "-s", type=click.Path(path_type=Path), metavar="FILE", help="A pipeline file, in place of a run."
)
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["text", "mermaid"]),
    default="text",
    help="For a terminal or for documents.",
)
@database_option
@dotenv_option
@pass_context
def command(context: CliContext, run_id: str | None, settings: Path | None, form: str) -> int:
    """Draw a pipeline from its file, or a run with the number of rows that took each way.

    RUN_ID is a run's id, the beginning of one, or `latest`.
    """
    if (run_id is None) == (settings is None):
        raise click.UsageError("give either a RUN_ID or --settings FILE")
    counts: dict[str, int] | None = None
    if settings is not None:
        graph = load(settings, context).graph
    else:
        require_run(run_id or "", for_settings="graph")
        with AuditReader(locate(context.database, os.environ, Path.cwd())) as reader:
            graph, counts = recorded(reader, reader.run(run_id or "").run_id)
    drawn = picture.mermaid(graph, counts) if form == "mermaid" else picture.text(graph, counts, output.width())
    output.result(drawn.rstrip("\n"))
    return EXIT_OK


def recorded(reader: AuditReader, run_id: str) -> tuple[Graph, dict[str, int]]:
    """A run's graph as it was recorded, and how many tokens took each edge. Raises `ElspethError` for unknown forms."""
    try:
        nodes = tuple(
            msgspec.convert(json.loads(node.config_json or "{}"), Node, strict=False) for node in reader.nodes(run_id)
        )
    except msgspec.ValidationError as error:
        raise ElspethError(
            f"the graph of run {run_id} was recorded in a form that is not known here: {error}"
        ) from None
    edges = tuple(
        Edge(edge.edge_id, edge.from_node_id, edge.to_node_id, edge.label, edge.mode)  # type: ignore[arg-type]
        for edge in reader.edges(run_id)
    )
    graph = Graph(nodes, edges, ())
    return graph, dict(counters(reader, run_id).edges)
