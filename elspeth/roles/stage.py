"""An ordered stage: aggregations, and whatever else looks across rows; sees every unit, in order, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.crashpoints import crash_point
from elspeth.audit.members import batch_members
from elspeth.decide import wire
from elspeth.decide.aggregate import AggregationStep
from elspeth.decide.compile import compile_walk
from elspeth.decide.recorder import Recorder
from elspeth.decide.staging import run_items
from elspeth.flow.messages import Flush, Ready, RestoreStage, StageDone, StageState, StageWork, Value
from elspeth.plugins.contract import Plugin
from elspeth.roles.plan import Workshop, decode_plan
from elspeth.roles.role import Role


class Stage(Role):
    """Restores to the state after exactly the last durable unit: references, resolved from the audit database."""

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, RestoreStage):
            self._restore(message)
        elif isinstance(message, StageWork):
            self._work(message, bodies[0] if bodies else None)
        elif isinstance(message, Flush):
            crash_point("stage.before_flush")
            state = {step.node.id: value for step in self._aggregations if (value := step.state()) is not None}
            self.say(StageState(message.no, self._stage, state))
            crash_point("stage.after_flush")
        self.port.at(-1)

    def _restore(self, message: RestoreStage) -> None:
        plan = decode_plan(self.argument)
        shop = Workshop(plan, self.port.beat)
        self._stage = message.stage
        graph = plan.graph
        plugins: dict[str, Plugin] = {
            node.id: shop.build(node) for node in graph.of_kind("transform", "aggregation") if node.stage == self._stage
        }
        self._last = len(graph.stateful) == self._stage + 1
        self._recorder = Recorder(shop.payloads(), last=self._last)
        self._place = -1
        self._walk = compile_walk(
            graph, self._stage, plugins, self._recorder, shop.context, retry=shop.retry(), touch=self._touch
        )
        self._aggregations = [step for step in self._walk.steps.values() if isinstance(step, AggregationStep)]
        crash_point("stage.before_restore")
        self._restore_batches(Path(plan.database), message.state or {})
        self.say(Ready())
        crash_point("stage.after_restore")

    def _restore_batches(self, database: Path, state: Value) -> None:
        for step in self._aggregations:
            held = state.get(step.node.id)
            members = batch_members(database, held["batch"]) if held else []
            step.restore(held, members)

    def _touch(self, _node: int) -> None:
        self.port.beat()

    def _work(self, work: StageWork, body: memoryview | None) -> None:
        self._recorder.clear()
        self._no = work.no
        for step in self._aggregations:
            step.driven, step.flushed = work.driven, False
        crash_point("stage.before_unit")
        run_items(self._walk, body, work.poison, self._at_item)
        self.port.at(-1)
        for step in self._aggregations:
            if work.end:
                step.end()
            else:
                step.tick()
        recorder = self._recorder
        items = wire.encode_sinks(recorder.sinks) if self._last else wire.encode_items(recorder.items)
        due = min((due for step in self._aggregations if (due := step.due()) is not None), default=None)
        flushed = any(step.flushed for step in self._aggregations)
        crash_point("stage.before_send")
        self.say(
            StageDone(work.no, self._stage, recorder.outcomes, due, flushed), items,
            wire.encode_records(recorder.records),
        )  # fmt: skip
        crash_point("stage.after_send")

    def _at_item(self, place: int) -> None:
        self.port.at(place, self._no)
