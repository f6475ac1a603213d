"""The worker: takes slices of chunks through the first stage, and micro-batches through later stateless stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from actors.crash_points import crash_point
from elspeth.audit.store.commits import record_frames
from elspeth.calls.journal.journal import Reach
from elspeth.coordinator.blame import Conviction
from elspeth.coordinator.policy import share, work_seconds
from elspeth.coordinator.protocol import Ready, Settled, SliceDecided, StageDone, StageWork, Work
from elspeth.execution import codec
from elspeth.execution.compile import compile_executor
from elspeth.execution.counts import numbers_of
from elspeth.execution.executor import Executor
from elspeth.execution.ingest import Ingest
from elspeth.execution.limiter import limited, pool_of
from elspeth.execution.recorder import Recorder
from elspeth.execution.stage_runner import enters, run_item, run_items
from elspeth.payloads import Payloads
from elspeth.plugins.contract import Plugin
from elspeth.roles.calling import caller_of
from elspeth.roles.elsewhere.payloads import PayloadsKept
from elspeth.roles.elsewhere.settling import settle
from elspeth.roles.flush_mark import ItemMark
from elspeth.roles.plan import decode_plan
from elspeth.roles.plugin_factory import PluginFactory
from elspeth.roles.pool import Hand, Pool, Rows
from elspeth.roles.role import Role

SLICE_SHARE = 0.8
"""When a slice takes longer than this share of what it is meant to, what is done of it is answered at the next split
point."""

DRAIN_SECONDS = 1.5
"""How long a worker that is to stop waits for answers that are paid for already."""


class PoolSlot:
    """One thread's way of deciding rows of a stage: an executor of its own, and the recorder it writes into."""

    def __init__(self, run_id: str, executor: Executor) -> None:
        self.executor = executor
        self.recorder = executor.recorder
        self.ingest = Ingest(run_id, executor.graph, executor)


class WorkerRole(Role):
    """Holds the plugins of all stateless stages. Rows do not know each other here, so any worker may have any slice."""

    decides = True

    def begin(self) -> None:
        self._plan = decode_plan(self.argument)
        payloads: Payloads | None = None
        if self._plan.baggage is not None:
            self.concealment = settle(self._plan, self.concealment)
            payloads = PayloadsKept(self.port, self._plan.inline_limit)
        self._caller = caller_of(self._plan, f"worker-{self._plan.worker.number + 1}", self.port, self.concealment)
        self._factory = PluginFactory(self._plan, self.port.beat, self._caller, payloads)
        graph = self._plan.graph
        self._numbers = numbers_of(graph)
        self._plugins: dict[str, Plugin] = {
            node.id: self._factory.build(node) for node in graph.of_kind("transform") if not graph.stateful[node.stage]
        }
        self._slice_seconds = SLICE_SHARE * work_seconds(self._plan.worker.workers)
        self._row = -1
        self._chunk: tuple[int, codec.RowBatch] | None = None
        self._hand = Hand(self.port)
        self._item_mark = ItemMark(self._plan.flushes) if self._plan.flushes is not None else None
        self._slots: dict[int, PoolSlot] = {}
        self._pools: dict[int, Pool[PoolSlot]] = {}
        self._unanswered = 0
        for stage, ordered in enumerate(graph.stateful):
            self._begin_pool(stage, 1 if ordered else pool_of(graph, stage))
        self.send(Ready())

    def _begin_pool(self, stage: int, pool: int) -> None:
        """What the run may have in flight in a stage is shared out among its workers: this is our share."""
        if pool == 1:
            return
        place, graph = self._plan.worker, self._plan.graph
        width = share(pool, place.number, place.workers)
        plugins = limited(graph, stage, self._plugins, width, lambda size: share(size, place.number, place.workers))
        slots = [PoolSlot(self._plan.run_id, self._executor(stage, plugins, self._hand.touch)) for _ in range(width)]
        self._pools[stage] = Pool(slots, self._hand)

    def _slot(self, stage: int) -> PoolSlot:
        slot = self._slots.get(stage)
        if slot is None:
            executor = self._executor(stage, self._plugins, self._touch)
            slot = self._slots[stage] = PoolSlot(self._plan.run_id, executor)
        return slot

    def _executor(self, stage: int, plugins: dict[str, Plugin], touch: Callable[[int], None]) -> Executor:
        return compile_executor(
            self._plan.graph, stage, plugins, self._recorder(stage), self._factory.context,
            retry=self._factory.retry(), touch=touch,
        )  # fmt: skip

    def _recorder(self, stage: int) -> Recorder:
        return Recorder(self._factory.payloads(), last=self._is_last(stage), conceal=self.concealment.text)

    def on_stop(self) -> None:
        self._caller.drain(DRAIN_SECONDS)

    def _touch(self, node: int) -> None:
        self.port.at(self._row, node)

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, Work):
            rows = self._rows_of(message, bodies[0])
            self._caller.work(Reach(rows.row_index + message.stop), again=message.again)
            self._work(message, rows)
        elif isinstance(message, StageWork):
            self._caller.work(Reach(0, message.no), again=message.again)
            self._stage_work(message, bodies[0])
        elif isinstance(message, Settled):
            self._caller.settled(Reach(message.rows, message.micro_batch))

    # -- slices of chunks --------------------------------------------------------------------------------------

    def _rows_of(self, work: Work, body: memoryview) -> codec.RowBatch:
        """The chunk of a slice. Where rows go one at a time, it comes with each of them, and is decoded once."""
        if self._chunk is not None and self._chunk[0] == work.seq and not work.again:
            rows = self._chunk[1]
        else:
            rows = codec.decode_rows(body)
        self._chunk = (work.seq, rows) if work.stop < len(rows.rows) else None
        return rows

    def _work(self, work: Work, rows: codec.RowBatch) -> None:
        pool = self._pools.get(0)
        if pool is not None and work.poison is None:
            self._pooled(pool, work, rows)
            return
        slot, start = self._slot(0), work.start
        slot.recorder.clear()
        begun = time.perf_counter()
        if work.poison is not None:
            slot.ingest.poison(rows, start, work.poison)
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
                if split_point != work.stop and now - begun > self._slice_seconds:
                    self._answer(work.seq, start, split_point, now - begun, slot.recorder)
                    start, begun = split_point, now
        self._answer(work.seq, start, work.stop, time.perf_counter() - begun, slot.recorder)
        self.port.at(-1)

    def _answer(self, seq: int, start: int, stop: int, seconds: float, recorder: Recorder) -> None:
        items = self._items(0, recorder)
        leaving = len(recorder.items)
        crash_point("worker.before_send")
        self.send(
            SliceDecided(
                seq, start, stop, seconds, recorder.outcomes, leaving, recorder.call_totals,
                recorder.counts.tally(self._numbers),
            ),
            items, record_frames.encode(recorder.records),
        )  # fmt: skip
        crash_point("worker.after_send")
        recorder.clear()

    def _items(self, stage: int, recorder: Recorder) -> bytes:
        """What leaves the stage, as it travels; the data that it refers to is written when this returns."""
        items = codec.encode_sinks(recorder.sinks) if self._is_last(stage) else codec.encode_items(recorder.items)
        self._factory.payloads().write_out()
        return items

    def _is_last(self, stage: int) -> bool:
        return len(self._plan.graph.stateful) == stage + 1

    # -- micro-batches in later stages -------------------------------------------------------------------------

    def _stage_work(self, work: StageWork, body: memoryview) -> None:
        pool = self._pools.get(work.stage)
        items = codec.decode_items(body) if pool is not None and body else []
        if pool is not None and not work.careful and not any(map(self._goes_alone, items)):
            self._pooled_items(pool, work, items)
            return
        executor = self._slot(work.stage).executor
        executor.recorder.clear()
        crash_point("worker.before_micro_batch")
        run_items(executor, body, work.poison, self._at_item, partial(self._mark_item, work))
        self._answer_stage(work, executor.recorder)
        self.port.at(-1)

    def _answer_stage(self, work: StageWork, recorder: Recorder) -> None:
        items = self._items(work.stage, recorder)
        self.send(
            StageDone(
                work.no, work.stage, recorder.outcomes, leaving=len(recorder.items), calls=recorder.call_totals,
                tally=recorder.counts.tally(self._numbers),
            ),
            items, record_frames.encode(recorder.records),
        )  # fmt: skip
        crash_point("worker.after_micro_batch")

    def _goes_alone(self, item: codec.StageItem) -> bool:
        return self._item_mark is not None and self._item_mark.alone(item.token, item.row_index)

    def _mark_item(self, work: StageWork, item: codec.StageItem) -> Conviction | None:
        if self._item_mark is None:
            return None
        return self._item_mark.next(work.stage, work.no, item.token, item.row_index, item.target)

    def _at_item(self, place: int) -> None:
        self._row = place
        self.port.at(place)

    # -- pools -------------------------------------------------------------------------------------------------

    def _pooled(self, pool: Pool[PoolSlot], work: Work, batch: codec.RowBatch) -> None:
        """Rows side by side with those of other slices; answered when the last of the slice is done."""

        def answer(rows: Rows) -> None:
            recorder = self._recorder(0)
            rows.gather(recorder)
            self._answer(work.seq, work.start, work.stop, rows.seconds / pool.width, recorder)

        count = work.stop - work.start
        rows = self._rows([None] * count, count, answer)
        for at, place in enumerate(range(work.start, work.stop)):
            pool.give(rows, at, batch.row_index + place, partial(_decide, batch, place))

    def _pooled_items(self, pool: Pool[PoolSlot], work: StageWork, items: list[codec.StageItem]) -> None:
        def answer(rows: Rows) -> None:
            recorder = self._recorder(work.stage)
            rows.gather(recorder)
            self._answer_stage(work, recorder)

        executor = self._slot(work.stage).executor
        executor.recorder.clear()
        entering = [place for place, item in enumerate(items) if place not in work.poison and enters(executor, item)]
        rows = self._rows([None] * len(items), len(entering), answer)
        crash_point("worker.before_micro_batch")
        for place in sorted({*range(len(items))}.difference(entering)):
            run_item(executor, items[place], work.poison.get(place))
            rows.recorders[place] = executor.recorder.take()
        for place in entering:
            # Which of several micro-batches an item is in cannot be told from its place: it has no name.
            pool.give(rows, place, -1, partial(_run, items[place]))
        if not entering:
            rows.done(rows)

    def _rows(self, recorders: list[Recorder | None], left: int, answer: Callable[[Rows], None]) -> Rows:
        self._unanswered += 1
        self.busy = True

        def answered(rows: Rows) -> None:
            self._unanswered -= 1
            self.busy = self._unanswered > 0
            answer(rows)

        return Rows(recorders, left, lambda rows: self.later(lambda: self.guarded(lambda: answered(rows))))


def _run(item: codec.StageItem, slot: PoolSlot) -> None:
    run_item(slot.executor, item, None)


def _decide(batch: codec.RowBatch, place: int, slot: PoolSlot) -> None:
    crash_point("worker.before_row")
    slot.ingest.take(batch, place)
    crash_point("worker.after_row")
