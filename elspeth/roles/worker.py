"""The worker: takes slices of chunks through the first stage, and micro-batches through later stateless stages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from actors.crash_points import crash_point
from elspeth.audit.store import record_frames
from elspeth.coordinator.protocol import Ready, SliceDecided, StageDone, StageWork, Work
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.executor import Executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.limiter import limited
from elspeth.execution.recorder import Recorder
from elspeth.execution.stage_runner import run_items
from elspeth.plugins.contract import Plugin
from elspeth.roles.plan import decode_plan
from elspeth.roles.plugin_factory import PluginFactory
from elspeth.roles.role import Role

SLICE_SECONDS = 0.05
"""When a slice takes longer than this, what is done of it is answered at the next split point."""


class PoolSlot:
    """One thread's way of deciding rows: an executor of its own, and the recorder it writes into."""

    def __init__(self, run_id: str, executor: Executor) -> None:
        self.executor = executor
        self.recorder = executor.recorder
        self.ingest = Ingest(run_id, executor.graph, executor)


class WorkerRole(Role):
    """Holds the plugins of all stateless stages. Rows do not know each other here, so any worker may have any slice."""

    decides = True

    def begin(self) -> None:
        self._plan = decode_plan(self.argument)
        self._factory = PluginFactory(self._plan, self.port.beat)
        graph = self._plan.graph
        self._plugins: dict[str, Plugin] = {
            node.id: self._factory.build(node) for node in graph.of_kind("transform") if not graph.stateful[node.stage]
        }
        pool = max((node.pool_size for node in graph.nodes if node.stage == 0), default=1)
        if pool > 1:
            self._plugins = limited(graph, self._plugins, pool)
        self._row = -1
        self._slot = self._new_slot()
        self._later: dict[int, Executor] = {}
        self._pool = ThreadPoolExecutor(pool) if pool > 1 else None
        self._slots: SimpleQueue[PoolSlot] = SimpleQueue()
        for _ in range(pool if pool > 1 else 0):
            self._slots.put(self._new_slot())
        self.send(Ready())

    def _new_slot(self) -> PoolSlot:
        return PoolSlot(self._plan.run_id, self._executor(0))

    def _executor(self, stage: int) -> Executor:
        graph = self._plan.graph
        recorder = Recorder(
            self._factory.payloads(), last=len(graph.stateful) == stage + 1, conceal=self.concealment.text
        )
        return compile_executor(
            graph, stage, self._plugins, recorder, self._factory.context, retry=self._factory.retry(), touch=self._touch
        )

    def _touch(self, node: int) -> None:
        self.port.at(self._row, node)

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, Work):
            self._work(message, codec.decode_rows(bodies[0]))
        elif isinstance(message, StageWork):
            self._stage_work(message, bodies[0])
        self.port.at(-1)

    def _work(self, work: Work, rows: codec.RowBatch) -> None:
        slot, start = self._slot, work.start
        slot.recorder.clear()
        begun = time.perf_counter()
        if work.poison is not None:
            slot.ingest.poison(rows, start, work.poison)
        elif self._pool is not None:
            self._pooled(rows, range(start, work.stop))
        else:
            take, at, first = slot.ingest.take, self.port.at, rows.row_index
            split_points = [split_point for split_point in rows.split_points if start < split_point <= work.stop]
            if not split_points or split_points[-1] != work.stop:
                split_points.append(work.stop)
            row = start
            for split_point in split_points:
                while row < split_point:
                    self._row = first + row
                    at(first + row, 0)
                    crash_point("worker.before_row")
                    take(rows, row)
                    crash_point("worker.after_row")
                    row += 1
                now = time.perf_counter()
                if split_point == work.stop or now - begun > SLICE_SECONDS:
                    self._answer(work.seq, start, split_point, now - begun)
                    start, begun = split_point, now
            return
        self._answer(work.seq, start, work.stop, time.perf_counter() - begun)

    def _answer(self, seq: int, start: int, stop: int, seconds: float) -> None:
        recorder = self._slot.recorder
        items = codec.encode_sinks(recorder.sinks) if self._is_last(0) else codec.encode_items(recorder.items)
        self._factory.payloads().sync()
        crash_point("worker.before_send")
        self.send(
            SliceDecided(seq, start, stop, seconds, recorder.outcomes), items, record_frames.encode(recorder.records)
        )
        crash_point("worker.after_send")
        recorder.clear()

    def _is_last(self, stage: int) -> bool:
        return len(self._plan.graph.stateful) == stage + 1

    def _pooled(self, rows: codec.RowBatch, places: range) -> None:
        """Slow rows side by side; what they leave is put together in the order of the rows."""
        assert self._pool is not None
        # Of many rows nobody can say which one it is; a single one is named, so that it can be blamed.
        self._row = rows.row_index + places.start if len(places) == 1 else -1
        self.port.at(self._row)

        def decide(place: int) -> Recorder:
            slot = self._slots.get()
            try:
                slot.ingest.take(rows, place)
                taken = slot.recorder.take()
            finally:
                self._slots.put(slot)
            self.port.beat()
            return taken

        for recorder in self._pool.map(decide, places):
            self._slot.recorder.absorb(recorder)

    def _stage_work(self, work: StageWork, body: memoryview) -> None:
        stage = work.stage
        executor = self._later.get(stage)
        if executor is None:
            executor = self._later[stage] = self._executor(stage)
        recorder = executor.recorder
        recorder.clear()
        crash_point("worker.before_micro_batch")
        run_items(executor, body, work.poison, self._at_item)
        items = codec.encode_sinks(recorder.sinks) if self._is_last(stage) else codec.encode_items(recorder.items)
        self._factory.payloads().sync()
        self.send(StageDone(work.no, stage, recorder.outcomes), items, record_frames.encode(recorder.records))
        crash_point("worker.after_micro_batch")

    def _at_item(self, place: int) -> None:
        self._row = place
        self.port.at(place)
