"""What checkpoints say went through nodes and edges, held against the records that were committed by then."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

Nodes = dict[str, list[int]]
Edges = Counter[str]


def violations(db: sqlite3.Connection, run_id: str) -> Iterator[str]:
    """Where the first and the latest tally that are stored differ from the records, as sentences."""
    held = [
        (row["checkpoint_id"], row["commit_no"], found)
        for row in db.execute("SELECT * FROM checkpoints WHERE run_id = ? ORDER BY checkpoint_id", (run_id,))
        if (found := json.loads(row["message"]).get("tally")) is not None
    ]
    for checkpoint_id, commit_no, tally in held[:1] + held[1:][-1:]:
        nodes, edges, tokens = counted(db, run_id, commit_no)
        stored_nodes, stored_edges = named(db, run_id, tally)
        if tally["tokens"] != tokens:
            yield f"checkpoint {checkpoint_id}: {tally['tokens']} tokens, {tokens} on record"
        yield from _differences(checkpoint_id, "node", stored_nodes, nodes)
        yield from _differences(checkpoint_id, "edge", stored_edges, edges)


def named(db: sqlite3.Connection, run_id: str, tally: dict[str, Any]) -> tuple[Nodes, dict[str, int]]:
    """Nodes and edges of a stored tally by their ids."""
    nodes = [row[0] for row in db.execute("SELECT node_id FROM nodes WHERE run_id = ? ORDER BY 1", (run_id,))]
    edges = [row[0] for row in db.execute("SELECT edge_id FROM edges WHERE run_id = ? ORDER BY 1", (run_id,))]
    return (
        {nodes[int(number)]: found for number, found in tally["nodes"].items()},
        {edges[int(number)]: found for number, found in tally["edges"].items()},
    )


def counted(db: sqlite3.Connection, run_id: str, commit_no: int) -> tuple[Nodes, Edges, int]:
    """Nodes, edges and tokens, from one record after the other."""

    def every(table: str) -> Iterator[sqlite3.Row]:
        return db.execute(f"SELECT * FROM {table} WHERE run_id = ? AND commit_no <= ?", (run_id, commit_no))

    kinds = {node["node_id"]: node["node_type"] for node in every("nodes")}
    nodes: Nodes = {}
    edges: Edges = Counter(event["edge_id"] for event in every("routing_events"))
    aside = {event["state_id"] for event in every("routing_events") if event["mode"] == "move"}
    onward: dict[str, list[str]] = {}
    errors = {}
    for edge in every("edges"):
        if edge["label"] == "error":
            errors[edge["from_node_id"]] = edge["edge_id"]
        elif edge["label"] == "continue" or edge["mode"] == "copy":
            onward.setdefault(edge["from_node_id"], []).append(edge["edge_id"])
    for state in every("node_states"):
        node = state["node_id"]
        _visit(nodes, node, state["status"] == "failed", round(state["duration_ms"] * 1000))
        passed = state["status"] == "completed" and state["output_hash"] is not None
        if passed and kinds[node] != "gate" and state["state_id"] not in aside:
            edges.update(onward.get(node, ()))
    refused = {error["row_id"]: error["destination"] for error in every("validation_errors")}
    for row in every("rows"):
        source = row["source_node_id"]
        _visit(nodes, source, row["row_id"] in refused)
        if row["row_id"] not in refused:
            edges.update(onward.get(source, ()))
        elif refused[row["row_id"]] is not None:
            edges[errors[source]] += 1
    for outcome in every("token_outcomes"):
        if outcome["sink_row"] is not None:
            _visit(nodes, outcome["sink_name"], False)
    for error in every("transform_errors"):
        if kinds[error["node_id"]] == "sink":
            _visit(nodes, error["node_id"], True)
            if error["destination"] is not None:
                edges[errors[error["node_id"]]] += 1
    return nodes, edges, sum(1 for _ in every("tokens"))


def _visit(nodes: Nodes, node: str, failed: bool, microseconds: int = 0) -> None:
    found = nodes.setdefault(node, [0, 0, 0, 0])
    found[0] += 1
    found[1] += failed
    found[2] += microseconds
    found[3] = max(found[3], microseconds)


def _differences(checkpoint_id: str, what: str, stored: dict[str, Any], true: dict[str, Any]) -> Iterator[str]:
    for name in sorted({**stored, **true}):
        if stored.get(name) != true.get(name):
            yield f"checkpoint {checkpoint_id}, {what} {name}: {stored.get(name)}, {true.get(name)} on record"
