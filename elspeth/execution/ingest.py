"""The beginning of every row's story: its record, its first token, and the first node, or why it is no row."""

from __future__ import annotations

from elspeth import canonical, ids
from elspeth.audit.chain.texts import storable, storable_or_none
from elspeth.coordinator.blame import Conviction
from elspeth.execution.codec import RAW_LIMIT, BadRow, RowBatch
from elspeth.execution.executor import Continuation, Executor, Refused, without_unnamed
from elspeth.execution.recorder import Recorder
from elspeth.execution.token import Token
from elspeth.graph.labels import CONTINUE
from elspeth.graph.model import DISCARD, Graph, Node
from elspeth.plugins.contract import REFUSED, Row


def refused_row(bad: BadRow) -> Row:
    """What a sink for invalid input is given: the fields as far as they could be told apart, and the evidence."""
    return {**(bad.fields or {}), "_line": bad.line, "_error": bad.error, "_raw": bad.raw}


class Ingest:
    """Turns rows of a chunk into tokens that run through the first stage."""

    def __init__(self, run_id: str, graph: Graph, executor: Executor) -> None:
        self._run_id = run_id
        self._executor = executor
        self._sources = {node.id: node for node in graph.of_kind("source")}
        self._first: dict[str, Continuation] = {
            node_id: executor.normal(node) for node_id, node in self._sources.items()
        }

    def take(self, rows: RowBatch, at: int) -> None:
        """Row `at` of the chunk enters the graph and goes to the end of the stage."""
        token = self._admit(rows, at)
        if token is not None:
            self._first[rows.source](token)

    def _admit(self, rows: RowBatch, at: int) -> Token | None:
        """The record and the first token of a row; None where it is no row, which is recorded instead."""
        recorder = self._executor.recorder
        row = rows.rows[at]
        index = rows.row_index + at
        recorder.lap()
        if row is None:
            self._take_bad(self._sources[rows.source], rows.bad[at], index, rows.read_at)
            return None
        line = rows.lines[at] if rows.lines else None
        try:
            digest = canonical.sha256(row)
        except ValueError as error:
            bad = BadRow(ascii(row)[:RAW_LIMIT], f"not data that JSON can hold: {error}", line, None)
            self._take_bad(self._sources[rows.source], bad, index, rows.read_at)
            return None
        row_id = ids.row_id(self._run_id, index)
        self._begin(recorder, row_id, index, rows.source, digest, row, line, rows.read_at)
        return Token(row_id, row_id, index, row, (), 0, digest, rows.read_at)

    def _begin(
        self, recorder: Recorder, row_id: str, index: int, source: str, digest: str, data: Row, line: int | None,
        read_at: str,
    ) -> None:  # fmt: skip
        text, reference = recorder.keep(data)
        recorder.counts.visit(source, 0, failed=False)
        recorder.counts.tokens += 1
        recorder.records["rows"].append((row_id, index, source, digest, text, reference, line, read_at))
        recorder.records["tokens"].append((row_id, row_id, None, read_at))

    def _take_bad(self, source: Node, bad: BadRow, index: int, read_at: str) -> None:
        recorder = self._executor.recorder
        row_id = ids.row_id(self._run_id, index)
        row = refused_row(bad)
        try:
            digest = canonical.sha256(row)
        except ValueError:  # the fields hold what JSON cannot
            row = refused_row(BadRow(repr(bad.raw)[:RAW_LIMIT], bad.error, bad.line, None))
            digest = canonical.sha256(row)
        self._begin(recorder, row_id, index, source.id, digest, row, bad.line, read_at)
        target = source.on_error
        destination = target.node if target else None
        recorder.records["validation_errors"].append(
            (f"{row_id}!", row_id, source.id, storable(bad.error), storable_or_none(bad.raw), bad.line, destination,
             recorder.now)
        )  # fmt: skip
        recorder.counts.nodes[source.id][1] += 1
        if target is not None:
            recorder.counts.leave(target.edge)
        token = Token(row_id, row_id, index, row, (), 0, digest, read_at)
        error = Refused(bad.error, {"line": bad.line}).text(source.id)
        if target is None:
            recorder.outcome(token, "quarantined", error=error)
        elif target.node == DISCARD:
            recorder.outcome(token, "discarded", error=error)
        else:
            data = without_unnamed(self._executor.graph.node(target.node), row, REFUSED)
            recorder.to_sink(target.node, token, "quarantined", error, data)

    def poison(self, rows: RowBatch, at: int, conviction: Conviction) -> None:
        """Row `at` has killed the processes that touched it: it is not run, but recorded and set aside."""
        token = self._admit(rows, at)
        if token is None:
            return
        for target in self._sources[rows.source].routes[CONTINUE]:
            self._executor.recorder.counts.leave(target.edge)
        facts = conviction.facts()
        number = facts.pop("detail", 0)
        steps = [node for node in self._executor.graph.nodes if node.kind not in ("source", "sink")]
        touched = [node for node in steps if node.sequence == number] or steps or [self._sources[rows.source]]
        self._executor.set_aside(touched[0], token, facts)
