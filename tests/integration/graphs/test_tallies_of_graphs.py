"""What steps count while they work is what their records say, in pipelines of every shape."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.store import schema
from elspeth.audit.store.tallies import on_record
from elspeth.coordinator.tally import NodeTally, Tally
from elspeth.execution.counts import Counts, numbers_of
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from elspeth.testing.in_process import RUN_ID, InProcess, read
from tests.kit.oracle import tallies
from tests.kit.pipelines.generator import pipeline, place

SEEDS = 400
BLOCKS = 8


class Counting(InProcess):
    """Stages of a pipeline whose counts are kept."""

    counts = Counts()

    def _collect(self, stage: int) -> bytes:
        self.counts.absorb(self._recorders[stage].counts)
        return super()._collect(stage)


def recorded(run: InProcess) -> sqlite3.Connection:
    """The records of the run in a database of its own."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    schema.create_plain(db)
    graph = run._pipeline.graph
    nodes = [(node.id, node.plugin, node.kind, *[""] * 5, node.sequence, node.stage) for node in graph.nodes]
    edges = [(edge.edge_id, edge.from_node, edge.to_node, edge.label, edge.mode) for edge in graph.edges]
    for table, records in {**run.archive.records, "nodes": nodes, "edges": edges}.items():
        columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
        marks = ", ".join("?" * len(COLUMNS[table]))
        db.executemany(f"INSERT INTO {table} (run_id, commit_no, {columns}) VALUES ('{RUN_ID}', 1, {marks})", records)
    return db


def without(tally: Tally, numbers: set[int]) -> Tally:
    return structs.replace(tally, nodes={at: node for at, node in tally.nodes.items() if at not in numbers})


@pytest.mark.parametrize("block", range(BLOCKS))
def test_counts_made_on_the_way_are_those_of_the_records_two_ways(block: int, tmp_path: Path) -> None:
    kinds = set()
    for seed in range(block, SEEDS, BLOCKS):
        document, inputs = pipeline(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        settings = place(document, inputs, folder)
        try:
            found = load_pipeline(settings)
        except SettingsProblems:
            continue
        run = Counting(found)
        run.counts.clear()
        for rows in read(found, 7):
            run.feed(rows)
        run.end()
        graph, numbers = found.graph, numbers_of(found.graph)
        kinds |= {node.kind for node in graph.nodes}
        sinks = {numbers.nodes[node.id] for node in graph.of_kind("sink")}  # nothing is written here
        counted = run.counts.tally(numbers)
        with closing(recorded(run)) as db:
            nodes, edges, tokens = tallies.counted(db, RUN_ID, 1)
            by_query = without(on_record(db, RUN_ID), sinks)
        by_record = Tally(
            {numbers.nodes[node]: NodeTally(*found) for node, found in nodes.items()},
            {numbers.edges[edge]: count for edge, count in edges.items()},
            tokens,
        )
        assert counted == by_query, settings.read_text()
        assert counted == by_record, settings.read_text()
    assert kinds >= {"source", "transform", "gate", "aggregation", "coalesce", "sink"}
