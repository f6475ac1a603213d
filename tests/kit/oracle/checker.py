"""Work out with a few lines of its own what a run must have left behind, and list every difference.

Nothing here imports the product: what the checker believes comes from the settings, the sources, the outputs, the
audit database, and the meaning of each setting as the documentation gives it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.kit.oracle import canonical, family, ledger, positions, tallies
from tests.kit.oracle.deciding import Pipeline, State, Way, setting
from tests.kit.oracle.ledger import several
from tests.kit.oracle.reading import CannotRecompute, Read, Row, read
from tests.kit.oracle.writing import Output

__all__ = ["CannotRecompute", "check"]


def check(
    settings: Path,
    database: Path,
    run_id: str,
    *,
    working_directory: Path,
    finished: bool = True,
    recompute: bool = True,
    transforms: Mapping[str, Callable[[dict[str, Any], Row], Row]] | None = None,
    poisoned: Collection[int] = (),
) -> list[str]:
    """Every violation, as a sentence; an empty list is a clean bill.

    `finished` asks for a completed run; without it the run was killed and only what was committed must hold.
    `recompute` compares rows, decisions and outputs with what the settings say; it knows linear pipelines with gates
    and raises `CannotRecompute` for others, whose records alone are checked with `recompute=False`.
    `transforms` gives the meaning of plugins that are not built in: a function of options and row that raises
    `tests.kit.oracle.expressions.Refused`. `poisoned` are the indices of rows that kill the process that touches them.
    """
    db = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    try:
        found = list(ledger.violations(db, run_id, finished=finished))
        found += family.violations(db, run_id, finished=finished)
        found += tallies.violations(db, run_id)
        recorded = list(positions.positions(db, run_id, working_directory))
        found += positions.not_behind(db, run_id, recorded)
        found += positions.artifacts(db, run_id, working_directory) if finished else []
        if recompute:
            pipeline = Pipeline(settings, dict(transforms or {}))
            comparison = _Comparison(db, run_id, pipeline, set(poisoned))
            found += comparison.run(working_directory, finished=finished)
            for name, output in comparison.outputs.items():
                path, base = positions.place(recorded, name, output.options, working_directory)
                found += output.violations(path, base=base, finished=finished)
        return found
    finally:
        db.close()


class _Comparison:
    """Every row's way through the pipeline, beside what the audit database says about it."""

    def __init__(self, db: sqlite3.Connection, run_id: str, pipeline: Pipeline, poisoned: set[int]) -> None:
        self.db = db
        self.run_id = run_id
        self.pipeline = pipeline
        self.poisoned = poisoned
        self.outputs = {
            name: Output(name, sink["plugin"], {**sink, **(sink.get("options") or {})})
            for name, sink in pipeline.sinks.items()
        }

        def stream(query: str) -> _Stream:
            return _Stream(db.execute(query, (run_id,)))

        self.steps = stream("SELECT * FROM node_states WHERE run_id = ? ORDER BY token_id, step_index, attempt")
        self.ends = stream("SELECT * FROM token_outcomes WHERE run_id = ? AND is_terminal = 1 ORDER BY token_id")
        self.routes = stream(
            "SELECT substr(r.state_id, 1, instr(r.state_id, ':') - 1) AS token_id, r.state_id, e.label"
            " FROM routing_events r LEFT JOIN edges e ON e.run_id = r.run_id AND e.edge_id = r.edge_id"
            " WHERE r.run_id = ? ORDER BY token_id, r.event_id"
        )
        self.errors = {
            table: Counter(row[0] for row in db.execute(f"SELECT {column} FROM {table} WHERE run_id = ?", (run_id,)))
            for table, column in (("validation_errors", "row_id"), ("transform_errors", "token_id"))
        }

    def run(self, working_directory: Path, *, finished: bool) -> list[str]:
        found: list[str] = []
        rows = self.db.execute("SELECT * FROM rows WHERE run_id = ? ORDER BY row_index", (self.run_id,))
        for index, (source, piece) in enumerate(self._pieces(working_directory)):
            record = rows.fetchone()
            if record is None:
                if finished:
                    found.append(f"rows: the sources have more than the {index} rows on record")
                return list(several(found))
            found += self._row(index, record, source, piece)
        left = len(rows.fetchall())
        if left:
            found.append(f"rows: {left} more on record than the sources have")
        return list(several(found))

    def _pieces(self, base: Path) -> Iterator[tuple[str, Read]]:
        for name, source in self.pipeline.sources.items():
            options = {**source, **(source.get("options") or {})}
            first = None
            for piece in read(source["plugin"], options, base):
                first = first or list(piece.row)
                yield name, piece
            for output in self.outputs.values():
                output.inputs += [first] if first else []

    def _row(self, index: int, record: sqlite3.Row, source: str, piece: Read) -> Iterator[str]:
        row_id = record["row_id"]
        states = self.steps.of(row_id)
        way = self._way(source, piece)
        if index in self.poisoned:
            way = self._set_aside(way, piece.row, states)
        if record["source_node_id"] != source:
            yield f"rows: {row_id} is said to come from {record['source_node_id']}, not {source}"
        if piece.valid and record["source_data_hash"] != canonical.sha256(piece.row):
            yield f"rows: {row_id} has another hash than the row in {source}"
        if None not in (record["line"], piece.line) and record["line"] != piece.line:
            yield f"rows: {row_id} is said to stand in line {record['line']}, not {piece.line}"
        labels: dict[str, list[str]] = {}
        for route in self.routes.of(row_id):
            labels.setdefault(route["state_id"], []).append(route["label"])
        yield from self._states(row_id, way.states, states, labels)
        yield from self._end(row_id, way, piece)

    def _way(self, source: str, piece: Read) -> Way:
        if piece.valid:
            return self.pipeline.way(piece.row, source)
        target = setting(self.pipeline.sources[source], "on_validation_failure")
        return self.pipeline.error([], target, piece.row, otherwise="quarantined")

    def _set_aside(self, way: Way, row: Row, states: list[sqlite3.Row]) -> Way:
        """The way of a row that killed its processes: it is not run, and blamed on the node on record."""
        blamed = states[-1]["node_id"] if states else None
        for state in way.states:
            if state.node == blamed:
                step = self.pipeline.steps[state.node]
                aside = self.pipeline.refused([], step, row)
                return aside if step.on_error else aside._replace(outcome="quarantined")
        return way

    def _states(
        self, row_id: str, expected: list[State], records: list[sqlite3.Row], labels: dict[str, list[str]]
    ) -> Iterator[str]:
        last_tries = list({record["step_index"]: record for record in records}.values())
        taken = [record["node_id"] for record in last_tries]
        if taken != [state.node for state in expected]:
            yield f"node_states: {row_id} went through {taken}, not {[state.node for state in expected]}"
            return
        hashes: dict[int, str] = {}  # by identity: what a step returns is what the next is given

        def hash_of(row: Row) -> str:
            return hashes.get(id(row)) or hashes.setdefault(id(row), canonical.sha256(row))

        for state, record in zip(expected, last_tries, strict=True):
            name = f"node_states: {row_id} at {state.node}"
            if (record["status"] == "failed") != (state.returned is None):
                yield f"{name} is {record['status']}"
            if record["input_hash"] not in (None, hash_of(state.given)):
                yield f"{name} was given something else than on record"
            if state.returned is not None and record["output_hash"] not in (None, hash_of(state.returned)):
                yield f"{name} returned something else than on record"
            if record["output_data"] is not None and json.loads(record["output_data"]) != state.returned:
                yield f"{name} has other output data than it returned"
            taken = labels.get(record["state_id"], [])
            if taken != ([] if state.label is None else [state.label]):
                yield f"routing_events: {row_id} left {state.node} by {taken}, not {state.label}"

    def _end(self, row_id: str, way: Way, piece: Read) -> Iterator[str]:
        records = self.ends.of(row_id)
        if len(records) != 1:
            return  # none or several: reported with the accounts
        record = records[0]
        refusals = 1 if way.states and way.states[-1].returned is None else 0
        exact = piece.valid and not refusals  # a refused row carries the product's own words
        while way.sink is not None and not self.outputs[way.sink].take(way.row, exact=exact):
            refusals += 1
            exact = False
            way = self.pipeline.error(way.states, setting(self.pipeline.sinks[way.sink], "on_write_failure"), way.row)
        due = (way.outcome, way.sink, len(self.outputs[way.sink].rows) if way.sink else None)
        found = (record["outcome"], record["sink_name"], record["sink_row"])
        if found != due:
            yield "token_outcomes: {} is {} at {} row {}".format(row_id, *found) + ", not {} at {} row {}".format(*due)
        for table, count in (("validation_errors", 0 if piece.valid else 1), ("transform_errors", refusals)):
            told = self.errors[table][row_id]
            if told != count:
                yield f"{table}: {told} records about {row_id}, not {count}"


class _Stream:
    """Records in token order, handed out token by token."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.cursor = cursor
        self.ahead = cursor.fetchone()

    def of(self, token_id: str) -> list[sqlite3.Row]:
        while self.ahead is not None and self.ahead["token_id"] < token_id:
            self.ahead = self.cursor.fetchone()
        records = []
        while self.ahead is not None and self.ahead["token_id"] == token_id:
            records.append(self.ahead)
            self.ahead = self.cursor.fetchone()
        return records
