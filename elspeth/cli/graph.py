"""`elspeth graph`: draw a pipeline from its file, or a run from the audit database with its counts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import msgspec

from elspeth.audit.locate import locate
from elspeth.audit.reader import AuditReader
from elspeth.cli import output
from elspeth.cli.run import load
from elspeth.cli.shared import Asked, Examples, database_option, dotenv_option, pass_asked
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
@click.argument("run_id", metavar="[RUN_ID]", required=False)
@click.option("--settings", type=click.Path(path_type=Path), metavar="FILE", help="A pipeline file, in place of a run.")
@click.option(
    "--format", "form", type=click.Choice(["text", "mermaid"]), default="text", help="For a terminal or for documents."
)
@database_option
@dotenv_option
@pass_asked
def command(asked: Asked, run_id: str | None, settings: Path | None, form: str) -> int:
    """Draw a pipeline from its file, or a run with the number of rows that took each way.

    RUN_ID is a run's id, the beginning of one, or `latest`.
    """
    if (run_id is None) == (settings is None):
        raise click.UsageError("give either a RUN_ID or --settings FILE")
    counts: dict[str, int] | None = None
    if settings is not None:
        graph = load(settings, asked).graph
    else:
        with AuditReader(locate(asked.database, os.environ, Path.cwd())) as reader:
            graph, counts = recorded(reader, reader.run(run_id or "").run_id)
    drawn = picture.mermaid(graph, counts) if form == "mermaid" else picture.text(graph, counts, output.width())
    output.result(drawn.rstrip("\n"))
    return EXIT_OK


def recorded(reader: AuditReader, run_id: str) -> tuple[Graph, dict[str, int]]:
    """A run's graph as it was recorded, and how many tokens took each edge."""
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
    return graph, traffic(graph, reader.edge_counts(run_id), _arrivals(reader, run_id))


def traffic(graph: Graph, decided: dict[str, int], arrivals: dict[str, int]) -> dict[str, int]:
    """Tokens per edge. Decisions are recorded one by one; what went the normal way is what arrived beside them.

    `arrivals` holds the tokens that reached each node. Where several normal ways lead to one node, what arrived on each
    follows from the node it comes from, as long as that one makes no new tokens.
    """
    counts = dict(decided)
    for edge in graph.edges:
        if edge.edge_id in counts:
            continue
        into = [other for other in graph.edges if other.to_node == edge.to_node]
        open_ways = [other for other in into if other.edge_id not in decided and other.label == "continue"]
        if edge.label != "continue":
            continue
        if len(open_ways) == 1:
            counts[edge.edge_id] = arrivals.get(edge.to_node, 0) - sum(decided.get(way.edge_id, 0) for way in into)
        else:
            leaving = [other for other in graph.edges if other.from_node == edge.from_node and other is not edge]
            counts[edge.edge_id] = arrivals.get(edge.from_node, 0) - sum(decided.get(way.edge_id, 0) for way in leaving)
    return counts


def _arrivals(reader: AuditReader, run_id: str) -> dict[str, int]:
    """Tokens that reached each node: rows of a source, tokens at a step, tokens written by a sink."""
    found: dict[str, int] = {}
    for query in (
        "SELECT source_node_id, count(*) FROM rows WHERE row_id >= ?1 AND row_id < ?1 || '~' GROUP BY 1",
        "SELECT node_id, count(DISTINCT token_id) FROM node_states WHERE state_id >= ?1 AND state_id < ?1 || '~'"
        " GROUP BY 1",
        "SELECT sink_name, count(*) FROM token_outcomes WHERE outcome_id >= ?1 AND outcome_id < ?1 || '~'"
        " AND sink_name IS NOT NULL GROUP BY 1",
    ):
        found |= dict(reader.connection.execute(query, (run_id,)).fetchall())
    return found
