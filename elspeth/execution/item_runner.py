"""Takes the items of a micro-batch through a later stage: what belongs there is executed, the rest passes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elspeth.execution import codec
from elspeth.execution.executor import Executor
from elspeth.execution.token import Token


def run_items(
    executor: Executor, body: bytes | memoryview | None, poison: dict[str, Any], touch: Callable[[int], None]
) -> None:
    """Walk every item of `body` through the stage, in order; `touch` is told the item's place before it is run.

    `poison` maps the place of an item (as text) to the evidence for which it is set aside instead.
    """
    if not body:
        return
    recorder = executor.recorder
    for place, item in enumerate(codec.decode_items(body)):
        token = Token(item.token, item.row, item.row_index, item.data, item.fork, item.step, read_at=item.read_at)
        if item.outcome:
            recorder.to_sink(item.target, token, item.outcome, item.error)
        elif item.target not in executor.steps:
            recorder.to_stage(item.target, token)
        elif str(place) in poison:
            executor.set_aside(executor.steps[item.target].node, token, poison[str(place)])
        else:
            touch(place)
            recorder.lap()
            executor.enter(token, item.target)
