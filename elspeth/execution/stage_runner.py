"""Runs later stages: items of a micro-batch through stateless steps, or in order through steps that hold tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from elspeth.coordinator.blame import Conviction
from elspeth.execution import codec
from elspeth.execution.aggregate import AggregationStep
from elspeth.execution.codec import StageItem
from elspeth.execution.compile import STEPS, Steps, compile_executor
from elspeth.execution.deduplicate import DeduplicateStep
from elspeth.execution.executor import Executor
from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.stateful import BatchArchive, StatefulStep, StateReference
from elspeth.execution.token import Token
from elspeth.execution.waiting_join import WaitingJoinStep
from elspeth.graph.model import Graph
from elspeth.plugins.contract import Context, Plugin

FLUSH = 1 << 40
"""The n-th flush of a micro-batch is place `FLUSH + n`, beyond the places of items: its death is the batch's."""


class StageRunner:
    """The steps of one ordered stage and what they hold. `archive` is read when it is restored, and for late branches.

    `at` is told, before it is touched, the place of an item in its micro-batch, or `FLUSH` and the number of a batch.
    `flushing` is asked before a batch of a node is flushed whether it killed earlier attempts.
    """

    def __init__(
        self,
        graph: Graph,
        stage: int,
        plugins: dict[str, Plugin],
        recorder: Recorder,
        context: Callable[[str], Context],
        archive: BatchArchive,
        *,
        retry: RetryPolicy | None = None,
        touch: Callable[[int], None] = lambda _: None,
        at: Callable[[int], None] = lambda _: None,
        flushing: Callable[[str, str], Conviction | None] = lambda batch, node: None,
        steps: Steps = STEPS,
    ) -> None:
        self._archive = archive
        self._flushing = flushing
        self._at = at
        self._executor = compile_executor(
            graph, stage, plugins, recorder, context, retry=retry, touch=touch, steps=steps
        )
        self._holders: list[
            StatefulStep
        ] = []  # in topological order: what one lets go, the next still holds when it is asked
        for step in self._executor.steps.values():
            if isinstance(step, AggregationStep):
                step.guard = partial(self._flush, step.node.id)
                self._holders.append(step)
            elif isinstance(step, WaitingJoinStep | DeduplicateStep):
                self._holders.append(step)
        self._poison: Mapping[int, Conviction] = {}
        self._flushes = 0

    def restore(self, state: dict[str, StateReference]) -> None:
        """Return to what `state` answered; empty: nothing has passed yet."""
        for step in self._holders:
            step.restore(state.get(step.node.id), self._archive)

    def state(self) -> dict[str, StateReference]:
        """What a checkpoint holds of this stage, by node: references, the same size however many tokens wait."""
        return {step.node.id: state for step in self._holders if (state := step.state()) is not None}

    def run(
        self,
        body: bytes | memoryview | None,
        active_seconds: float,
        *,
        end: bool = False,
        poison: Mapping[int, Conviction] | None = None,
    ) -> None:
        """Take the items of a micro-batch through the stage; then let time-outs fire, or, at the `end`, everything go.

        `active_seconds` is the time for which the run has been driven, in seconds. `poison` holds the items, by
        their place, that have killed their process: they are set aside.
        """
        self._poison, self._flushes = poison or {}, 0
        for step in self._holders:
            step.active_seconds, step.flushed = active_seconds, False
        run_items(self._executor, body, self._poison, self._at)
        self._at(-1)
        for step in self._holders:
            if end:
                step.end()
            else:
                step.tick()

    def _flush(self, node: str, batch: str) -> Conviction | None:
        place = FLUSH + self._flushes
        self._flushes += 1
        self._at(place)
        return self._poison.get(place) or self._flushing(batch, node)

    @property
    def due(self) -> float | None:
        """The active time (seconds) of the next time-out."""
        return min((due for step in self._holders if (due := step.due()) is not None), default=None)

    @property
    def flushed(self) -> bool:
        """Whether the last micro-batch closed a batch."""
        return any(step.flushed for step in self._holders)


def run_items(
    executor: Executor,
    body: bytes | memoryview | None,
    poison: Mapping[int, Conviction],
    touch: Callable[[int], None],
    guard: Callable[[StageItem], Conviction | None] = lambda item: None,
) -> None:
    """Run every item of `body` through the stage, in order; `touch` is told the item's place before it is run.

    `poison` holds the items, by their place, that are set aside instead; `guard` is asked for those that are not.
    """
    if not body:
        return
    for place, item in enumerate(codec.decode_items(body)):
        conviction = poison.get(place)
        if conviction is None and enters(executor, item):
            touch(place)
            conviction = guard(item)
        run_item(executor, item, conviction)


def enters(executor: Executor, item: StageItem) -> bool:
    """Whether the item goes to a node of this stage, and not past it."""
    return not item.outcome and item.target in executor.steps


def run_item(executor: Executor, item: StageItem, poison: Conviction | None) -> None:
    """Run an item through the stage; where it is poison, set it aside instead."""
    recorder = executor.recorder
    token = Token(item.token, item.row, item.row_index, item.data, item.fork, item.step, read_at=item.read_at)
    if item.outcome:
        recorder.to_sink(item.target, token, item.outcome, item.error)
    elif item.target not in executor.steps:
        recorder.to_stage(item.target, token)
    elif poison is not None:
        executor.set_aside(executor.steps[item.target].node, token, poison.facts())
    else:
        recorder.lap()
        executor.enter(token, item.target)
