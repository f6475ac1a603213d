"""Settings, plugins and rows for tests of single steps: a graph is built, rows take its steps in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import yaml

from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.store.commits import record_frames
from elspeth.coordinator.blame import Conviction
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.stage_runner import StageRunner, run_items
from elspeth.graph.build import build
from elspeth.plugins import registry
from elspeth.plugins.contract import Aggregation, Context, Plugin, Row, Transform
from elspeth.settings.model import Settings
from elspeth.testing.recorded import Recorded

RUN = "testrun0"
Process = Callable[[Any, Context], Any]


class Doing(Transform):
    """A transform that does what a test says."""

    name: ClassVar[str] = "doing"

    def __init__(self, process: Process) -> None:
        self._process = process

    def process(self, row: Row, ctx: Context) -> Any:
        return self._process(row, ctx)


class Batching(Aggregation):
    """An aggregation that does what a test says."""

    name: ClassVar[str] = "batching"

    def __init__(self, process: Process) -> None:
        self._process = process

    def process(self, rows: list[Row], ctx: Context) -> Any:
        return self._process(rows, ctx)


class StepsUnderTest:
    """A pipeline under test. `does` gives the behaviour of steps by name; other steps are what their plugin says."""

    def __init__(self, settings: str, archive: Recorded | None = None, **does: Process) -> None:
        self.graph = build(Settings.model_validate(yaml.safe_load(settings)))
        self.plugins: dict[str, Plugin] = {}
        self.contexts: dict[str, Context] = {}
        for node in self.graph.of_kind("transform", "aggregation"):
            made = Doing if node.kind == "transform" else Batching
            if node.id in does:
                self.plugins[node.id] = made(does[node.id])
            else:
                self.plugins[node.id] = registry.build(registry.find(node.kind, node.plugin), node.options, node.id)
        last = len(self.graph.stateful) - 1
        self.recorders = [Recorder(last=stage == last) for stage in range(last + 1)]
        self.archive = archive or Recorded()
        retry = RetryPolicy(3, 0.0, 0.0, 1.0)
        self.touched: list[int] = []
        self.stages: list[Any] = [
            StageRunner(self.graph, stage, self.plugins, self.recorders[stage], self.context, self.archive,
                         retry=retry, at=self.touched.append)
            if ordered
            else compile_executor(self.graph, stage, self.plugins, self.recorders[stage], self.context, retry=retry)
            for stage, ordered in enumerate(self.graph.stateful)
        ]  # fmt: skip
        self.restore({})
        self.ingest = Ingest(RUN, self.graph, self.stages[0])
        self.rows: dict[str, list[Row]] = {node.id: [] for node in self.graph.of_kind("sink")}
        self.ends: dict[str, tuple[str, str | None]] = {}
        self.active_seconds = 0.0
        self.poison: dict[int, Conviction] = {}
        self._read = 0

    def context(self, node_id: str) -> Context:
        return self.contexts.setdefault(node_id, Context(RUN, node_id))

    def restore(self, states: dict[str, Any]) -> None:
        for number, stage in enumerate(self.stages):
            if isinstance(stage, StageRunner):
                stage.restore(states.get(str(number), {}))

    def state(self) -> dict[str, Any]:
        return {str(n): stage.state() for n, stage in enumerate(self.stages) if isinstance(stage, StageRunner)}

    def feed(self, *rows: Row | None, bad: dict[int, codec.BadRow] | None = None, end: bool = False) -> None:
        """A chunk of rows goes through all stages."""
        chunk = codec.RowBatch("source", self._read, "2026-01-01T00:00:00.000Z", list(rows), bad or {}, None)
        self._read += len(rows)
        chunk = codec.decode_rows(codec.encode_rows(chunk))
        for place in range(len(rows)):
            self.ingest.take(chunk, place)
        body = self._collect(0)
        for number, stage in enumerate(self.stages[1:], 1):
            if isinstance(stage, StageRunner):
                stage.run(body, self.active_seconds, end=end, poison=self.poison)
            else:
                run_items(stage, body, {}, lambda _: None)
            body = self._collect(number)
        for sink, items in codec.decode_sinks(body).items():
            self.rows[sink] += items.rows
            self.ends |= {token: (outcome, sink) for token, outcome in zip(items.tokens, items.outcomes, strict=True)}

    def end(self) -> None:
        self.feed(end=True)

    def _collect(self, stage: int) -> bytes:
        recorder = self.recorders[stage]
        self.archive.add(record_frames.records_in(record_frames.encode(recorder.records)))
        for record in recorder.records["token_outcomes"]:
            if record[3]:
                self.ends[record[1]] = (record[2], None)
        last = stage == len(self.stages) - 1
        body = codec.encode_sinks(recorder.sinks) if last else codec.encode_items(recorder.items)
        recorder.clear()
        return body

    def records(self, table: str) -> list[dict[str, Any]]:
        """All records of a table, by column."""
        return [dict(zip(COLUMNS[table], record, strict=True)) for record in self.archive.records[table]]


def token(index: int, way: str = "") -> str:
    """The id of a row's token, or of one that came of it."""
    return f"{RUN}-{index:09d}{way}"
