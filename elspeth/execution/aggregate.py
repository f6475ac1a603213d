"""Aggregation: tokens wait in a batch until a trigger fires, then the batch becomes new tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from elspeth import canonical
from elspeth.coordinator.blame import Conviction
from elspeth.execution.executor import Continuation, Executor, Refused, shares_nothing
from elspeth.execution.stateful import BatchArchive, StateReference, token_of, token_text
from elspeth.execution.token import Token, copy_data
from elspeth.expressions import EvaluationError, compile_expression
from elspeth.graph.model import Node
from elspeth.plugins.contract import Aggregation, BatchFacts, Made, Row, TransientError, Unfit

Result = tuple[Row, Sequence[int] | None]
"""A result row, and the places in the batch of those it was made of, where the plugin says so."""

_HANDED_ON: Result = ({}, None)
"""In the place of a result that has been handed on: of a large batch, no row is held longer than it is needed."""


@dataclass(slots=True)
class OpenBatch:
    """An open batch. `opened` is the active time (seconds) at which its first token arrived, `since` the clock's."""

    id: str
    opened: float
    since: str
    tokens: list[Token] = field(default_factory=list)


class AggregationStep:
    """An aggregation node in its ordered stage. Its state is a reference: the open batch and how many are in it.

    Where the plugin wants its batches counted, the state holds how many were closed, too, and how many rows they took.
    """

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        self._plugin = cast("Aggregation", executor.plugins[node.id])
        self._shares_nothing = shares_nothing(self._plugin)
        self._context = executor.context(node.id)
        names = self._context.names
        self._condition = compile_expression(node.condition, node.types, names) if node.condition else None
        self._batch: OpenBatch | None = None
        self._closed, self._taken = 0, 0  # batches, and the rows that were in them
        self.active_seconds = 0.0
        self.flushed = False
        # asked with the batch before its flush: whether it has killed
        self.guard: Callable[[str], Conviction | None] = lambda batch: None

    def link(self) -> None:
        self._next: Continuation = self._executor.normal(self.node)

    # -- state -------------------------------------------------------------------------------------------------

    def state(self) -> StateReference | None:
        batch = self._batch
        state: StateReference = {}
        if batch is not None:
            state = {"batch": batch.id, "opened": batch.opened, "since": batch.since, "count": len(batch.tokens)}
        if self._plugin.counts_batches and self._closed:
            state |= {"closed": self._closed, "taken": self._taken}
        return state or None

    def restore(self, state: StateReference | None, archive: BatchArchive) -> None:
        self._batch = None
        state = state or {}
        self._closed, self._taken = state.get("closed", 0), state.get("taken", 0)
        if "batch" in state:
            members = archive.members(state["batch"])
            tokens = [token_of(token_id, text) for token_id, text in members[: state["count"]]]
            self._batch = OpenBatch(state["batch"], state["opened"], state["since"], tokens)

    def due(self) -> float | None:
        if self._batch is None or self.node.trigger_seconds is None:
            return None
        return self._batch.opened + self.node.trigger_seconds

    # -- tokens ------------------------------------------------------------------------------------------------

    def run(self, token: Token) -> None:
        recorder = self._executor.recorder
        if self._batch is None:
            self._batch = OpenBatch(f"{token.id}@{self.node.id}", self.active_seconds, recorder.now)
        batch = self._batch
        recorder.records["batch_members"].append((batch.id, token.id, len(batch.tokens), token_text(token)))
        recorder.outcome(token, "buffered", batch=batch.id)
        batch.tokens.append(token)
        trigger = self._triggered(batch, token)
        if trigger:
            self.flush(trigger)

    def _triggered(self, batch: OpenBatch, token: Token) -> str | None:
        node = self.node
        if node.trigger_count is not None and len(batch.tokens) >= node.trigger_count:
            return "count"
        if self._condition is not None:
            facts = {
                **token.data,
                "batch_count": len(batch.tokens),
                "batch_age_seconds": round(self.active_seconds - batch.opened, 3),
            }
            try:
                if self._condition.evaluate(facts):
                    return "condition"
            except EvaluationError:
                return None  # a row without the field cannot fire the trigger
        return None

    def tick(self) -> None:
        due = self.due()
        if due is not None and self.active_seconds >= due:
            self.flush("timeout")

    def end(self) -> None:
        if self._batch is not None:
            self.flush("end_of_source")

    def flush(self, trigger: str) -> None:
        """Close the open batch: its tokens are consumed, and what the plugin returns goes on."""
        batch, self._batch = self._batch, None
        assert batch is not None
        self.flushed = True
        recorder = self._executor.recorder
        recorder.lap()
        if self._plugin.counts_batches:
            self._context.batch = BatchFacts(self._closed + 1, self._taken, trigger)
            self._closed, self._taken = self._closed + 1, self._taken + len(batch.tokens)
        results = self._tried(batch)
        if isinstance(results, Refused):
            self._close(batch, trigger, "failed")
            self._fail(batch, results)
            return
        made, digests, unfit = results
        self._close(batch, trigger, "completed")
        if unfit:
            self._take_out(batch, unfit)
        if self.node.output_mode == "passthrough":
            self._pass_on(batch, made, digests, unfit, recorder.now)
        else:
            self._replace(batch, made, digests, unfit, recorder.now)

    def _take_out(self, batch: OpenBatch, unfit: dict[int, Refused]) -> None:
        """The rows that were refused alone go where errors of the node go; what is left is the batch."""
        for place, refused in sorted(unfit.items()):
            self._refuse(batch, batch.tokens[place], refused, self._executor.recorder.now)

    def _tried(self, batch: OpenBatch) -> tuple[list[Result], list[str], dict[int, Refused]] | Refused:
        """What the plugin makes of the batch, after as many tries as transient errors are granted."""
        executor, context, failures = self._executor, self._context, 0
        conviction = self.guard(batch.id)
        if conviction is not None:
            reason = f"killed the process that was given it: {conviction.reason}"
            return Refused(reason, {**conviction.facts(), "poison": True})
        context.token_id, context.now = batch.id, batch.tokens[-1].read_at
        while True:
            context.attempt = failures + 1
            executor.touch(self.node.sequence)
            try:
                made, unfit = self._results(batch)
                return made, [canonical.sha256(row) for row, _ in made], unfit
            except MemoryError:
                raise
            except TransientError as error:
                failures += 1
                if failures >= executor.retry.max_attempts:
                    return Refused.of(error)
                self._note_try(batch, Refused.of(error), failures)
                executor.wait(failures, context)
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its batch's failure
                return error if isinstance(error, Refused) else Refused.of(error)

    def _note_try(self, batch: OpenBatch, refused: Refused, attempt: int) -> None:
        recorder, error = self._executor.recorder, refused.text(self.node.id)
        for token in batch.tokens:
            recorder.state(token, self.node.id, "failed", token.hash, None, recorder.now, error=error, attempt=attempt)

    def _results(self, batch: OpenBatch) -> tuple[list[Result], dict[int, Refused]]:
        rows = [token.data if self._shares_nothing else copy_data(token.data) for token in batch.tokens]
        returned = self._plugin.process(rows, self._context)
        if not isinstance(returned, list):
            raise Refused(f"process() returned {type(returned).__name__}, not a list of rows")
        unfit = _unfit(returned, len(batch.tokens))
        results = [_result(each, len(batch.tokens), unfit) for each in returned if not isinstance(each, Unfit)]
        expected = self.node.expected_output_count
        if self.node.output_mode == "passthrough":
            expected = len(batch.tokens) - len(unfit)
        if expected is not None and len(results) != expected:
            raise Refused(f"the batch gave {len(results)} rows where {expected} were expected")
        return results, unfit

    def _close(self, batch: OpenBatch, trigger: str, status: str) -> None:
        recorder = self._executor.recorder
        recorder.records["batches"].append((batch.id, self.node.id, trigger, status, batch.since, recorder.now))

    def _pass_on(
        self, batch: OpenBatch, results: list[Result], digests: list[str], unfit: Collection[int], started: str
    ) -> None:
        recorder = self._executor.recorder
        passed = _without(batch.tokens, unfit)
        for token, (row, _), digest in zip(passed, results, digests, strict=True):
            before = token.hash
            recorder.state(
                token, self.node.id, "completed", before, digest, started, data=row if digest != before else None,
                attempt=self._context.attempt,
            )  # fmt: skip
            token.step += 1
            token.become(copy_data(row), digest)
        for token in passed:
            self._next(token)
            recorder.cut()

    def _replace(
        self, batch: OpenBatch, results: list[Result], digests: list[str], unfit: Collection[int], started: str
    ) -> None:
        recorder, last = self._executor.recorder, batch.tokens[-1]
        step = max(token.step for token in batch.tokens)
        for token in _without(batch.tokens, unfit):
            recorder.outcome(token, "consumed_in_batch", batch=batch.id)
            recorder.cut()
        if recorder.calls and not results:  # nothing came of the batch that they could be seen with
            recorder.state(batch.tokens[0], self.node.id, "completed", batch.tokens[0].hash, None, started)
        width = max(4, len(str(len(results))))  # of all ordinals: ids are in the order of the results
        for ordinal, digest in enumerate(digests):
            (row, of), results[ordinal] = results[ordinal], _HANDED_ON
            members = batch.tokens if of is None else [batch.tokens[place] for place in of]
            newest = members[-1]
            token = Token(f"{batch.id}/{ordinal:0{width}d}", newest.row, newest.row_index, copy_data(row), (), step,
                          digest, last.read_at)  # fmt: skip
            # A result that does not say what it was made of came of the batch, which is named once: every member
            # beside every result would be inputs times outputs.
            recorder.token(token, None, (batch.id,) if of is None else [member.id for member in members])
            recorder.state(token, self.node.id, "completed", members[0].hash, digest, started, data=row)
            token.step += 1
            self._next(token)
            recorder.cut()

    def _fail(self, batch: OpenBatch, refused: Refused) -> None:
        """Every member goes where errors of the node go, with the batch named in the record."""
        started = self._executor.recorder.now
        for token in batch.tokens:
            self._refuse(batch, token, refused, started)

    def _refuse(self, batch: OpenBatch, token: Token, refused: Refused, started: str) -> None:
        refused = Refused(refused.reason, {**refused.facts, "batch": batch.id})
        error = refused.text(self.node.id)
        state = self._executor.recorder.state(
            token, self.node.id, "failed", token.hash, None, started, error=error, attempt=self._context.attempt
        )
        token.step += 1
        self._executor.refuse(self.node, token, refused, state, batch=batch.id)


def _without(tokens: list[Token], unfit: Collection[int]) -> list[Token]:
    return [token for place, token in enumerate(tokens) if place not in unfit] if unfit else tokens


def _unfit(returned: list[Any], members: int) -> dict[int, Refused]:
    """The places of the rows that a plugin refuses alone, and why."""
    unfit: dict[int, Refused] = {}
    for each in returned:
        if isinstance(each, Unfit):
            if type(each.index) is not int or not 0 <= each.index < members or each.index in unfit:
                raise Refused(f"process() refuses row {str(each.index)[:80]}; the batch has rows 0 to {members - 1}")
            unfit[each.index] = Refused.of(each.error)
    return unfit


def _result(returned: Any, members: int, unfit: Collection[int]) -> Result:
    """What one entry of a plugin's answer means. Raises `Refused` where it is none, or names members there are not."""
    if isinstance(returned, dict):
        return returned, None
    if not isinstance(returned, Made) or not isinstance(returned.row, dict):
        raise Refused(f"process() returned a list with {type(returned).__name__} in it, not rows")
    of = returned.of
    if not isinstance(of, Sequence) or not all(type(place) is int and 0 <= place < members for place in of):
        raise Refused(f"process() says a row was made of {str(of)[:80]}; the batch has rows 0 to {members - 1}")
    if any(place in unfit for place in of):
        raise Refused(f"process() says a row was made of {str(of)[:80]}, and refuses one of these")
    if not of or len(set(of)) != len(of):
        raise Refused(f"process() says a row was made of {str(of)[:80]}; each is named once, and at least one is")
    return returned.row, of
