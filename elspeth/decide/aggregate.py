"""Aggregation: tokens wait in a batch until a trigger fires, then the batch becomes new tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from elspeth import canonical
from elspeth.decide.token import Token
from elspeth.decide.walk import Exit, Refused, Walk
from elspeth.expressions import EvaluationError, compile_expression
from elspeth.graph.model import DISCARD, Node
from elspeth.plugins.contract import Aggregation, Row


@dataclass(slots=True)
class Batch:
    """An open batch. `opened` is the driven time (seconds) at which its first token arrived, `since` the clock's."""

    id: str
    opened: float
    since: str
    tokens: list[Token] = field(default_factory=list)


def member_data(token: Token) -> str:
    """Everything needed to bring a waiting token back, as JSON."""
    return canonical.to_text([token.row, token.row_index, token.step, [list(pair) for pair in token.fork], token.data])


def member_token(token_id: str, text: str) -> Token:
    """The token that `member_data` described."""
    row, index, step, fork, data = canonical.from_text(text)
    return Token(token_id, row, index, data, tuple((parent, branch) for parent, branch in fork), step)


class AggregationStep:
    """An aggregation node in its ordered stage. Its state is a reference: the open batch and how many are in it."""

    def __init__(self, node: Node, walk: Walk) -> None:
        self.node = node
        self._walk = walk
        self._plugin = cast("Aggregation", walk.plugins[node.id])
        self._context = walk.context(node.id)
        self._condition = compile_expression(node.condition) if node.condition else None
        self._batch: Batch | None = None
        self.driven = 0.0
        self.flushed = False

    def link(self) -> None:
        self._next: Exit = self._walk.normal(self.node)

    # -- state -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any] | None:
        """What a checkpoint holds of this node."""
        batch = self._batch
        if batch is None:
            return None
        return {"batch": batch.id, "opened": batch.opened, "since": batch.since, "count": len(batch.tokens)}

    def restore(self, state: dict[str, Any] | None, members: list[tuple[str, str]]) -> None:
        """Return to a state; `members` are the recorded (token id, data) of its batch, in order."""
        self._batch = None
        if state is not None:
            tokens = [member_token(token_id, text) for token_id, text in members[: state["count"]]]
            self._batch = Batch(state["batch"], state["opened"], state["since"], tokens)

    def due(self) -> float | None:
        """The driven time at which the open batch times out."""
        if self._batch is None or self.node.trigger_seconds is None:
            return None
        return self._batch.opened + self.node.trigger_seconds

    # -- tokens ------------------------------------------------------------------------------------------------

    def run(self, token: Token) -> None:
        recorder = self._walk.recorder
        if self._batch is None:
            self._batch = Batch(f"{token.id}@{self.node.id}", self.driven, recorder.now)
        batch = self._batch
        recorder.records["batch_members"].append((batch.id, token.id, len(batch.tokens), member_data(token)))
        recorder.outcome(token, "buffered", batch=batch.id)
        batch.tokens.append(token)
        trigger = self._triggered(batch, token)
        if trigger:
            self.flush(trigger)

    def _triggered(self, batch: Batch, token: Token) -> str | None:
        node = self.node
        if node.trigger_count is not None and len(batch.tokens) >= node.trigger_count:
            return "count"
        if self._condition is not None:
            facts = {
                **token.data,
                "batch_count": len(batch.tokens),
                "batch_age_seconds": round(self.driven - batch.opened, 3),
            }
            try:
                if self._condition.evaluate(facts):
                    return "condition"
            except EvaluationError:
                return None  # a row without the field cannot fire the trigger
        return None

    def tick(self) -> None:
        """Fire the time-out if it is due."""
        due = self.due()
        if due is not None and self.driven >= due:
            self.flush("timeout")

    def end(self) -> None:
        """The input has ended: whatever waits is flushed."""
        if self._batch is not None:
            self.flush("end_of_source")

    def flush(self, trigger: str) -> None:
        """Close the open batch: its tokens are consumed, and what the plugin returns goes on."""
        batch, self._batch = self._batch, None
        assert batch is not None
        self.flushed = True
        walk, recorder, node = self._walk, self._walk.recorder, self.node
        walk.touch(node.sequence)
        recorder.lap()
        started = recorder.now
        self._context.token_id = batch.id
        try:
            results = self._results(batch)
            digests = [canonical.sha256(row) for row in results]
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its batch's failure
            refused = error if isinstance(error, Refused) else Refused.of(error)
            self._close(batch, trigger, "failed")
            self._fail(batch, refused, started)
            return
        self._close(batch, trigger, "completed")
        if node.output_mode == "passthrough":
            self._pass_on(batch, results, digests, started)
        else:
            self._replace(batch, results, digests, started)

    def _results(self, batch: Batch) -> list[Row]:
        results = self._plugin.process([token.data for token in batch.tokens], self._context)
        if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
            raise Refused(f"process() returned {type(results).__name__}, not a list of rows")
        expected = self.node.expected_output_count
        if self.node.output_mode == "passthrough":
            expected = len(batch.tokens)
        if expected is not None and len(results) != expected:
            raise Refused(f"the batch gave {len(results)} rows where {expected} were expected")
        return results

    def _close(self, batch: Batch, trigger: str, status: str) -> None:
        recorder = self._walk.recorder
        recorder.records["batches"].append((batch.id, self.node.id, trigger, status, batch.since, recorder.now))

    def _pass_on(self, batch: Batch, results: list[Row], digests: list[str], started: str) -> None:
        recorder = self._walk.recorder
        for token, row, digest in zip(batch.tokens, results, digests, strict=True):
            before = token.hash
            recorder.state(
                token, self.node.id, "completed", before, digest, started, data=row if digest != before else None
            )
            token.step += 1
            token.become(row, digest)
        for token in batch.tokens:
            self._next(token)

    def _replace(self, batch: Batch, results: list[Row], digests: list[str], started: str) -> None:
        recorder, first, last = self._walk.recorder, batch.tokens[0], batch.tokens[-1]
        step = max(token.step for token in batch.tokens)
        for token in batch.tokens:
            recorder.outcome(token, "consumed_in_batch", batch=batch.id)
        born = []
        for ordinal, (row, digest) in enumerate(zip(results, digests, strict=True)):
            token = Token(f"{batch.id}/{ordinal:04d}", last.row, last.row_index, row, (), step, digest)
            recorder.token(token, None, batch.tokens)
            recorder.state(token, self.node.id, "completed", first.hash, digest, started, data=row)
            token.step += 1
            born.append(token)
        for token in born:
            self._next(token)

    def _fail(self, batch: Batch, refused: Refused, started: str) -> None:
        recorder, node = self._walk.recorder, self.node
        refused = Refused(refused.reason, {**refused.facts, "batch": batch.id})
        error = refused.text(node.id)
        for token in batch.tokens:
            state = recorder.state(token, node.id, "failed", token.hash, None, started, error=error)
            token.step += 1
            target = node.on_error
            recorder.error(token, node.id, error, target.node if target else None, state)
            if target is not None and target.node != DISCARD:
                recorder.route(state, target.edge, "divert", None)
                recorder.to_sink(target.node, token, "quarantined", error)
            else:
                recorder.outcome(token, "discarded" if target else "failed", error=error, batch=batch.id)
