"""The process of an ordered stage: aggregations, and what else looks across rows; sees every micro-batch, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.crash_points import crash_point
from elspeth.audit.batch_store import BatchStore
from elspeth.audit.store import record_frames
from elspeth.coordinator.protocol import Flush, RestoreStage, StageDone, StageReady, StageState, StageWork
from elspeth.execution import codec
from elspeth.execution.recorder import Recorder
from elspeth.execution.stage_runner import StageRunner
from elspeth.plugins.contract import Plugin
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
            self._work(message, bodies[0] if bodies else None)
        elif isinstance(message, Flush):
            crash_point("stage.before_flush")
            self.send(StageState(message.no, self._number, self._stage.state()))
            crash_point("stage.after_flush")
        self._archive.close()
        self.port.at(-1)

    def _restore(self, message: RestoreStage) -> None:
        plan = decode_plan(self.argument)
        shop = PluginFactory(plan, self.port.beat)
        self._number, self._no = message.stage, 0
        graph = plan.graph
        plugins: dict[str, Plugin] = {
            node.id: shop.build(node)
            for node in graph.of_kind("transform", "aggregation")
            if node.stage == self._number
        }
        self._last = len(graph.stateful) == self._number + 1
        self._payloads = shop.payloads()
        self._recorder = Recorder(self._payloads, last=self._last, conceal=self.concealment.text)
        self._archive = BatchStore(Path(plan.database))
        self._stage = StageRunner(
            graph, self._number, plugins, self._recorder, shop.context, self._archive, retry=shop.retry(),
            touch=self._touch, at=self._at,
        )  # fmt: skip
        crash_point("stage.before_restore")
        self._stage.restore(message.state or {})
        self.send(StageReady(self._number, self._stage.due))
        crash_point("stage.after_restore")

    def _touch(self, _node: int) -> None:
        self.port.beat()

    def _at(self, place: int) -> None:
        self.port.at(place, self._no)

    def _work(self, work: StageWork, body: memoryview | None) -> None:
        recorder, stage = self._recorder, self._stage
        recorder.clear()
        self._no = work.no
        crash_point("stage.before_micro_batch")
        stage.run(body, work.active_seconds, end=work.end, poison=work.poison)
        items = codec.encode_sinks(recorder.sinks) if self._last else codec.encode_items(recorder.items)
        self._payloads.sync()
        crash_point("stage.before_send")
        self.send(
            StageDone(work.no, self._number, recorder.outcomes, stage.due, stage.flushed), items,
            record_frames.encode(recorder.records),
        )  # fmt: skip
        crash_point("stage.after_send")
