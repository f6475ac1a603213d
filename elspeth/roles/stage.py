"""The process of an ordered stage: aggregations, and what else looks across rows; sees every micro-batch, in order."""

from __future__ import annotations

from typing import Any

from actors.crash_points import crash_point
from elspeth import ids
from elspeth.audit.batch_store import BatchStore
from elspeth.audit.store.place import from_wire
from elspeth.calls.journal.journal import Reach
from elspeth.coordinator.blame import Conviction
from elspeth.coordinator.names import stage_name
from elspeth.coordinator.protocol import Flush, RestoreStage, Settled, StageDone, StageReady, StageState, StageWork
from elspeth.execution import codec
from elspeth.execution.counts import numbers_of
from elspeth.execution.recorder import Recorder
from elspeth.execution.stage_runner import FLUSH, StageRunner
from elspeth.plugins.contract import Plugin
from elspeth.roles.calling import caller_of
from elspeth.roles.flush_mark import FlushMark
from elspeth.roles.plan import decode_plan
from elspeth.roles.plugin_factory import PluginFactory
from elspeth.roles.role import Role


class StageRole(Role):
    """Restores to the state after exactly the last durable micro-batch: references, resolved by the audit database."""

    decides = True

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, RestoreStage):
            self._restore(message)
        elif isinstance(message, StageWork):
            self._caller.work(Reach(0, message.no), again=False)
            self._work(message, bodies[0] if bodies else None)
        elif isinstance(message, Flush):
            crash_point("stage.before_flush")
            self.send(StageState(message.no, self._number, self._stage.state()))
            crash_point("stage.after_flush")
        elif isinstance(message, Settled):
            self._caller.settled(Reach(message.rows, message.micro_batch))
        self._archive.close()
        self.port.at(-1)

    def _restore(self, message: RestoreStage) -> None:
        plan = decode_plan(self.argument)
        self._caller = caller_of(plan, stage_name(message.stage), self.port, self.concealment)
        shop = PluginFactory(plan, self.port.beat, self._caller)
        self._number, self._no = message.stage, 0
        graph = plan.graph
        self._numbers = numbers_of(graph)
        plugins: dict[str, Plugin] = {
            node.id: shop.build(node)
            for node in graph.of_kind("transform", "aggregation")
            if node.stage == self._number
        }
        self._last = len(graph.stateful) == self._number + 1
        self._payloads = shop.payloads()
        self._recorder = Recorder(self._payloads, last=self._last, in_parts=True, conceal=self.concealment.text)
        self._archive = BatchStore(from_wire(plan.database))
        self._stage = StageRunner(
            graph, self._number, plugins, self._recorder, shop.context, self._archive, retry=shop.retry(),
            touch=self._touch, at=self._at, flushing=self._flushing,
        )  # fmt: skip
        self._flushes = plan.flushes
        self._flush_mark = FlushMark(plan.flushes, message.stage) if plan.flushes is not None else None
        crash_point("stage.before_restore")
        self._stage.restore(message.state or {})
        self.send(StageReady(self._number, self._stage.due))
        crash_point("stage.after_restore")

    def _touch(self, _node: int) -> None:
        self.port.beat()

    def _at(self, place: int) -> None:
        self.port.at(place, self._no)
        if self._flush_mark is not None and 0 <= place < FLUSH:
            self._flush_mark.item(self._no)

    def _flushing(self, batch: str, node: str) -> Conviction | None:
        """The verdict on a batch with which earlier attempts died; where there is none, it is marked as in hand."""
        if self._flushes is None or self._flush_mark is None:
            return None
        if (conviction := self._flushes.convicted.get(batch)) is not None:
            return conviction
        self._flush_mark.flush(self._no, batch, node)
        return None

    def _work(self, work: StageWork, body: memoryview | None) -> None:
        recorder, stage = self._recorder, self._stage
        recorder.clear()
        self._no = work.no
        crash_point("stage.before_micro_batch")
        stage.run(body, work.active_seconds, end=work.end, poison=work.poison)
        items = codec.encode_sinks(recorder.sinks) if self._last else codec.encode_items(recorder.items)
        self._payloads.write_out()
        crash_point("stage.before_send")
        records = recorder.encoded()
        large = recorder.large
        done = StageDone(
            work.no, self._number, recorder.outcomes, stage.due, stage.flushed, len(recorder.items),
            recorder.call_totals, recorder.counts.tally(self._numbers),
            ids.row_index(recorder.first_key) if recorder.first_key else None,
        )  # fmt: skip
        recorder.clear()  # what a large batch takes is not held until the next micro-batch comes
        self.send(done, items, *records)
        crash_point("stage.after_send")
        if large:
            del done, items, records
            self.slim()
