"""A whole pipeline in one process and one thread, for a debugger: no actors, no audit database, nothing resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from elspeth.audit.chain.records import Records
from elspeth.audit.store.commits import record_frames
from elspeth.clock import utc_now
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.stage_runner import StageRunner, run_items
from elspeth.graph.field_names import field_names
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Invalid, Plugin, Row, RowError, Source, TransientError
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.testing.recorded import Recorded

RUN_ID = "debugged"


@dataclass(slots=True)
class Outcome:
    """What became of a token: `outcome` as in the audit database, the sink's name if it went to one, else an error."""

    outcome: str
    sink: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Finished:
    """What a run left: rows by sink, in order, the end of every token by its id, and all audit records by table."""

    rows: dict[str, list[Row]]
    outcomes: dict[str, Outcome]
    records: Records


def run_in_process(settings: Path, *, chunk_rows: int = 1000, raising: bool = False) -> Finished:
    """Run a pipeline to its end here and now, so that breakpoints in its plugins work.

    Sources are read, and every step is taken by the code that takes it in a real run. Rows that arrive at sinks are
    returned, not written: no output file, no database and no state is touched. An exception out of a plugin is its
    row's failure, as in a real run; `records["transform_errors"]` says why. With `raising` it is raised here instead,
    with its own traceback, unless it is one by which plugins speak (`RowError`, `TransientError`). Time-outs never
    fire. `chunk_rows` says how many rows go through a step before the next step sees them. Raises `SettingsProblems`
    for settings that are wrong.
    """
    with registry.apart():  # a file that was changed is loaded again, and another pipeline's plugin may have its name
        pipeline = load_pipeline(settings)
        if raising:
            for node in pipeline.graph.of_kind("transform", "aggregation"):
                _let_through(pipeline.plugins[node.id])
        try:
            return _run(pipeline, chunk_rows)
        except _Unexpected as unexpected:
            raise unexpected.error from unexpected.error.__cause__


def _run(pipeline: Pipeline, chunk_rows: int) -> Finished:
    run = InProcess(pipeline)
    for rows in read(pipeline, chunk_rows):
        run.feed(rows)
    run.end()
    for plugin in pipeline.plugins.values():
        plugin.teardown()
    return run.finished


class _Unexpected(BaseException):
    """Carries what a plugin raised past those who would take it for its row's failure."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _let_through(plugin: Any) -> None:
    process = plugin.process

    def raising(*arguments: Any) -> Any:
        try:
            return process(*arguments)
        except (RowError, TransientError):
            raise
        except Exception as error:  # noqa: BLE001 - it goes to whoever called
            raise _Unexpected(error) from None

    plugin.process = raising


def read(pipeline: Pipeline, chunk_rows: int) -> Iterator[codec.RowBatch]:
    """All rows of all sources, in order, held to their schemas, in chunks."""
    index = 0
    for node in pipeline.graph.of_kind("source"):
        source = cast("Source", pipeline.plugins[node.id])
        typed = compile_reader(RowSchema.from_dict(node.schema), source.forms()) if node.schema else None
        chunk = codec.RowBatch(node.id, index, utc_now(), [], {}, None)
        for item, cursor in source.read(None):
            place, line = len(chunk.rows), source.line(cursor)
            chunk.rows.append(None)
            if isinstance(item, Invalid):
                chunk.bad[place] = codec.BadRow(item.raw, item.error, item.line, item.fields)
            else:
                try:
                    chunk.rows[place] = typed(item) if typed else item
                except SchemaError as error:
                    chunk.bad[place] = codec.BadRow(str(item), str(error), line, item)
            index += 1
            if len(chunk.rows) == chunk_rows:
                yield chunk
                chunk = codec.RowBatch(node.id, index, utc_now(), [], {}, None)
        if chunk.rows:
            yield chunk


class InProcess:
    """The stages of a pipeline, fed by hand. `seconds` is how long the run has been driven.

    `checkpoint` and `restore` go through what a real checkpoint would hold; stateless stages forget in between.
    """

    def __init__(self, pipeline: Pipeline, run_id: str = RUN_ID) -> None:
        self._pipeline = pipeline
        self._run_id = run_id
        self.seconds = 0.0
        graph = pipeline.graph
        self._last = len(graph.stateful) - 1
        for node in graph.of_kind("source"):
            pipeline.sources[node.id] = pipeline.source(node.id).describe()
        for node in graph.of_kind("source", "transform", "aggregation"):
            pipeline.plugins[node.id].setup(self._context(node.id))
        self._deciding: dict[str, Plugin] = {
            node.id: pipeline.plugins[node.id] for node in graph.of_kind("transform", "aggregation")
        }
        retry = pipeline.settings.retry
        self._retry = RetryPolicy(
            retry.max_attempts, retry.initial_delay_seconds, retry.max_delay_seconds, retry.exponential_base
        )
        self.archive = Recorded()
        self.rows: dict[str, list[Row]] = {node.id: [] for node in graph.of_kind("sink")}
        self.outcomes: dict[str, Outcome] = {}
        self._build({})

    def _context(self, node_id: str) -> Context:
        pipeline = self._pipeline
        state = Path(pipeline.settings.payload_store.base_path).parent
        names = field_names(pipeline.graph, pipeline.plugins, pipeline.headers_by_source())
        return Context(
            self._run_id,
            node_id,
            state_directory=state,
            headers=pipeline.headers,
            types=pipeline.graph.node(node_id).types,
            names=names.get(node_id, {}),
        )

    def _build(self, states: dict[str, Any]) -> None:
        graph = self._pipeline.graph
        self._recorders = [Recorder(last=stage == self._last) for stage in range(len(graph.stateful))]
        self._ordered = {
            stage: StageRunner(
                graph, stage, self._deciding, self._recorders[stage], self._context, self.archive, retry=self._retry
            )
            for stage, ordered in enumerate(graph.stateful)
            if ordered
        }
        self._executors = {
            stage: compile_executor(
                graph, stage, self._deciding, self._recorders[stage], self._context, retry=self._retry
            )
            for stage, ordered in enumerate(graph.stateful)
            if not ordered
        }
        self._ingest = Ingest(self._run_id, graph, self._executors[0])
        for stage, ordered_stage in self._ordered.items():
            ordered_stage.restore(states.get(str(stage), {}))

    # -- micro-batches -------------------------------------------------------------------------------------------------

    def feed(self, rows: codec.RowBatch) -> None:
        """Take a chunk of rows through all stages."""
        for place in range(len(rows.rows)):
            self._ingest.take(rows, place)
        self._pass_on(end=False)

    def tick(self) -> None:
        """Let time-outs fire that are due at `seconds`."""
        self._pass_on(end=False)

    def end(self) -> None:
        """The input has ended: whatever waits goes on."""
        self._pass_on(end=True)

    def _pass_on(self, *, end: bool) -> None:
        body = self._collect(0)
        for stage in range(1, self._last + 1):
            ordered = self._ordered.get(stage)
            if ordered is not None:
                ordered.run(body, self.seconds, end=end)
            else:
                run_items(self._executors[stage], body, {}, lambda _: None)
            body = self._collect(stage)
        for sink, items in codec.decode_sinks(body).items():
            self.rows[sink].extend(items.rows)
            for token, outcome, error in zip(items.tokens, items.outcomes, items.errors, strict=True):
                self.outcomes[token] = Outcome(outcome, sink, error)

    def _collect(self, stage: int) -> bytes:
        """Take what a stage has recorded and what leaves it, encoded as between processes."""
        recorder = self._recorders[stage]
        records = record_frames.records_in(record_frames.encode(recorder.records))
        self.archive.add(records)
        for _, token, outcome, terminal, _, _, _, error, _ in records.get("token_outcomes", ()):
            if terminal:
                self.outcomes[token] = Outcome(outcome, None, error)
        body = codec.encode_sinks(recorder.sinks) if stage == self._last else codec.encode_items(recorder.items)
        recorder.clear()
        return body

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """The part of a checkpoint that stages answer for."""
        return {str(number): stage.state() for number, stage in self._ordered.items()}

    def restore(self, states: dict[str, Any]) -> None:
        """Forget everything and go on from a checkpoint; `archive` must hold what was recorded by then."""
        self._build(states)

    @property
    def finished(self) -> Finished:
        """What has come out so far."""
        return Finished(self.rows, self.outcomes, self.archive.records)
