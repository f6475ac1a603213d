"""Takes recorded rows through a pipeline in this process and thread: the same steps as in a run, and nobody outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elspeth.coordinator.blame import Conviction
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.executor import Executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.stage_runner import StageRunner, run_items
from elspeth.graph.field_names import field_names
from elspeth.plugins.contract import Aggregation, Changes, Context, Plugin, Transform
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.replay.answers import RecordedAnswers
from elspeth.runs.replay.decided import Decided
from elspeth.runs.replay.record import Closed, RecordedRow, RunRecord
from elspeth.runs.replay.steps import Clock, steps_with
from elspeth.runs.replay.taken import ReplayedAggregation, ReplayedTransform, Taken


@dataclass(slots=True)
class Walked:
    """What a walk came to. `by_clock`: time-outs fired, so that the order between rows is not on record."""

    rows: int
    answers: int
    taken: Taken
    by_clock: bool


class Walk:
    """The stages of a pipeline, fed with recorded rows one after the other.

    `state` is an empty folder for plugins that keep something; `source_of` maps sources on record to those of the
    pipeline.
    """

    def __init__(
        self, pipeline: Pipeline, record: RunRecord, decided: Decided, state: Path, source_of: Callable[[str], str]
    ) -> None:
        self._pipeline, self._record, self._decided, self._state = pipeline, record, decided, state
        self._source_of = source_of
        self.taken = Taken()
        graph = pipeline.graph
        self._names = field_names(graph, pipeline.plugins, pipeline.headers_by_source())
        self._answers = RecordedAnswers(record, pipeline.loaded.concealment.text)
        self._clock = Clock(record)
        self._last = len(graph.stateful) - 1
        conceal = pipeline.loaded.concealment.text
        self._recorders = [Recorder(last=stage == self._last, conceal=conceal) for stage in range(self._last + 1)]
        plugins = self._plugins()
        steps, tries = steps_with(self._clock), RetryPolicy(pipeline.settings.retry.max_attempts, 0.0, 0.0)
        self._ordered: dict[int, StageRunner] = {}
        self._executors: dict[int, Executor] = {}
        for stage, ordered in enumerate(graph.stateful):
            recorder = self._recorders[stage]
            if ordered:
                runner = self._ordered[stage] = StageRunner(
                    graph, stage, plugins, recorder, self._context, _NOTHING, retry=tries, steps=steps,
                    flushing=lambda batch, _: record.failed_batches.get(batch),
                )  # fmt: skip
                runner.restore({})
            else:
                self._executors[stage] = compile_executor(
                    graph, stage, plugins, recorder, self._context, retry=tries, steps=steps
                )
        self._ingest = Ingest(record.run_id, graph, self._executors[0])
        self._killers = record.set_aside
        stages = {node.id: node.stage for node in graph.nodes}
        self._first_killers = {
            token: killer for (token, node), killer in self._killers.items() if stages.get(node, 0) == 0
        }

    def _plugins(self) -> dict[str, Plugin]:
        """The plugins by node, each behind what answers for it where it cannot be asked again."""
        asking = self._record.asking_nodes()
        found: dict[str, Plugin] = {}
        for node in self._pipeline.graph.of_kind("transform", "aggregation"):
            plugin = self._pipeline.plugins[node.id]
            plugin.setup(self._context(node.id))
            asks = node.id in asking or (isinstance(plugin, Changes) and bool(plugin.providers()))
            blindly = plugin.determinism != "deterministic" and not asks
            if isinstance(plugin, Aggregation):
                plugin = ReplayedAggregation(plugin, self._record, self.taken, blindly=blindly)
            elif isinstance(plugin, Transform) and (asks or blindly or plugin.determinism != "deterministic"):
                plugin = ReplayedTransform(plugin, self._record, self.taken, blindly=blindly)
            found[node.id] = plugin
        return found

    def _context(self, node_id: str) -> Context:
        pipeline = self._pipeline
        context = Context(
            self._record.run_id,
            node_id,
            state_directory=self._state,
            headers=pipeline.headers,
            types=pipeline.graph.types_at(node_id),
            names=self._names.get(node_id, {}),
        )
        context._caller = self._answers  # type: ignore[assignment]  # of its methods, those that plugins come to
        context._stage = pipeline.graph.node(node_id).stage
        return context

    def run(self, *, to_the_end: bool, watch: Callable[[int], None] = lambda rows: None) -> Walked:
        """Decide all rows; with `to_the_end` the input ends behind them. `watch` is told how many are done."""
        count = 0
        rows = self._record.rows()
        row = next(rows, None)
        while row is not None:
            following = next(rows, None)
            self._take(row)
            count += 1
            self._clock.over = self._before(following)
            self._pass_on(end=False)
            watch(count)
            row = following
        if to_the_end:
            self._pass_on(end=True)
        for node in self._pipeline.graph.of_kind("transform", "aggregation"):
            self._pipeline.plugins[node.id].teardown()
        return Walked(count, self._answers.used, self.taken, bool(self._clock.nodes))

    def _take(self, row: RecordedRow) -> None:
        source = self._source_of(row.source)
        bad = {0: row.bad} if row.bad is not None else {}
        lines = [row.line] if row.line is not None else None
        batch = codec.RowBatch(source, row.index, row.read_at, [row.data], bad, lines)
        killer = self._first_killers.get(row.row_id)
        if killer is not None and row.data is not None:
            self._ingest.poison(batch, 0, killer)
        else:
            self._ingest.take(batch, 0)

    def _before(self, following: RecordedRow | None) -> Callable[[Closed], bool]:
        """Whether a batch was closed before the following row was let through, as far as commits and clocks tell."""
        done = ""

        def over(closed: Closed) -> bool:
            nonlocal done
            if following is None or following.commit_no > closed.commit_no or following.read_at > closed.at:
                return True
            if following.commit_no < closed.commit_no:
                return False
            done = done or self._record.first_done(following.row_id)
            return done > closed.at

        return over

    def _pass_on(self, *, end: bool) -> None:
        """What has left the first stage goes on through the others, and to the sinks."""
        body = self._collect(0)
        for stage in range(1, self._last + 1):
            poison = self._poison(body)
            if (ordered := self._ordered.get(stage)) is not None:
                ordered.run(body, 0.0, end=end, poison=poison)
            else:
                run_items(self._executors[stage], body, poison, lambda _: None)
            body = self._collect(stage)
        if body:
            self._decided.arrive(codec.decode_sinks(body))

    def _poison(self, body: bytes) -> dict[int, Conviction]:
        if not self._killers or not body:
            return {}
        found = enumerate(codec.decode_items(body))
        return {
            place: self._killers[item.token, item.target] for place, item in found
            if (item.token, item.target) in self._killers
        }  # fmt: skip

    def _collect(self, stage: int) -> bytes:
        recorder = self._recorders[stage]
        self._decided.add(recorder.records)
        if stage == self._last:
            body = codec.encode_sinks(recorder.sinks) if recorder.sinks else b""
        else:
            body = codec.encode_items(recorder.items) if recorder.items else b""
        recorder.clear()
        return body


class _Nothing:
    """Nothing waited when a replay began."""

    def members(self, batch_id: str) -> list[tuple[str, str]]:
        return []

    def each_member(self, batch_id: str, count: int) -> Any:
        return iter(())

    def waiting(self, node_id: str, first: str, last: str) -> list[tuple[str, str, str]]:
        return []

    def decided(self, batch_id: str) -> bool:
        return False


_NOTHING = _Nothing()
