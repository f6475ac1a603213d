"""The compiled form of stateless nodes: transforms and gates."""

from __future__ import annotations

from typing import Any, cast

from elspeth import canonical
from elspeth.execution.executor import Executor, Exit, Refused, facts_text
from elspeth.execution.token import Token
from elspeth.expressions import EvaluationError, compile_expression
from elspeth.graph.labels import route_label
from elspeth.graph.model import Node
from elspeth.plugins.contract import Transform, TransientError
from elspeth.schema import RowSchema, SchemaError, compile_checker


class TransformStep:
    """A transform: one row in, one row (or several) out, or refused; transient errors are tried again."""

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        self._process = cast("Transform", executor.plugins[node.id]).process
        self._context = executor.context(node.id)
        self._check = (
            compile_checker(RowSchema.from_dict(node.schema))
            if node.validate_input and node.schema is not None
            else None
        )

    def link(self) -> None:
        self._next: Exit = self._executor.normal(self.node)

    def run(self, token: Token) -> None:
        executor, recorder, node = self._executor, self._executor.recorder, self.node
        executor.touch(node.sequence)
        started, before = recorder.now, token.hash
        context = self._context
        context.token_id, context.now = token.id, token.read_at
        failures = 0
        while True:
            context.attempt = failures + 1
            try:
                if self._check is not None:
                    self._check(token.data)
                result = self._process(token.data, context)
                if result is token.data:
                    after = before
                elif isinstance(result, dict):
                    after = canonical.sha256(result)
                else:
                    self._expand(token, result, before, started, failures + 1)
                    return
                break
            except MemoryError:
                raise  # the process is at its limit: that is a death, and the row is its suspect
            except SchemaError as error:
                refused = Refused(str(error))
            except TransientError as error:
                refused = Refused.of(error)
                failures += 1
                if failures < executor.retry.attempts:
                    recorder.state(
                        token, node.id, "failed", before, None, started, error=refused.text(node.id), attempt=failures
                    )
                    executor.wait(failures, context)
                    started = recorder.now
                    continue
                failures -= 1
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises is that row's failure
                refused = Refused.of(error)
            state = recorder.state(
                token, node.id, "failed", before, None, started, error=refused.text(node.id), attempt=failures + 1
            )
            token.step += 1
            executor.refuse(node, token, refused, state)
            return
        changed = after != before
        recorder.state(
            token, node.id, "completed", before, after, started, data=result if changed else None, attempt=failures + 1
        )
        token.step += 1
        if changed:
            token.become(result, after)
        elif result is not token.data:
            token.become(result, before)  # same values, perhaps in another order of keys
        self._next(token)

    def _expand(self, token: Token, result: Any, before: str, started: str, attempt: int) -> None:
        if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
            raise TypeError(f"process() returned {type(result).__name__}, neither a row nor a list of rows")
        digests = [canonical.sha256(row) for row in result]
        recorder = self._executor.recorder
        recorder.state(token, self.node.id, "completed", before, None, started, attempt=attempt)
        token.step += 1
        recorder.outcome(token, "expanded")
        children = []
        for ordinal, (row, digest) in enumerate(zip(result, digests, strict=True)):
            child = token.child(f"{token.id}/{ordinal:04d}", row, digest=digest)
            recorder.token(child, token.branch, [token])
            recorder.state(child, self.node.id, "completed", before, digest, started, data=row)
            child.step += 1
            children.append(child)
        for child in children:
            self._next(child)


class GateStep:
    """A gate: its condition's value names the route."""

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        assert node.condition is not None
        self._evaluate = compile_expression(node.condition).evaluate
        self._reasons: dict[str, str] = {}

    def link(self) -> None:
        self._exits = {label: self._executor.fan(targets, gate=label != "continue") for label, targets in
                       self.node.routes.items()}  # fmt: skip

    def run(self, token: Token) -> None:
        recorder, node = self._executor.recorder, self.node
        started = recorder.now
        try:
            value = self._evaluate(token.data)
        except EvaluationError as error:
            self._refuse(token, Refused(str(error), {"condition": node.condition}), started)
            return
        label = route_label(value)
        leave = self._exits.get(label)
        if leave is None:
            facts = {"condition": node.condition, "answer": label, "routes": sorted(node.routes)}
            self._refuse(token, Refused(f"the condition's answer {label!r} has no route", facts), started)
            return
        digest = token.hash
        state = recorder.state(token, node.id, "completed", digest, digest, started)
        token.step += 1
        reason = self._reasons.get(label)
        if reason is None:
            reason = facts_text({"condition": node.condition, "answer": value})
            if isinstance(value, bool):
                self._reasons[label] = reason
        targets = node.routes[label]
        for ordinal, target in enumerate(targets):
            recorder.route(state, target.edge, "copy" if target.branch is not None else "move", reason, ordinal)
        leave(token)

    def _refuse(self, token: Token, refused: Refused, started: str) -> None:
        state = self._executor.recorder.state(
            token, self.node.id, "failed", token.hash, None, started, error=refused.text(self.node.id)
        )
        token.step += 1
        self._executor.refuse(self.node, token, refused, state)
