"""The compiled form of a transform: one row in, rows out, or refused; transient errors are tried again."""

from __future__ import annotations

from typing import Any, cast

from elspeth import canonical
from elspeth.execution.executor import Continuation, Executor, Refused, shares_nothing
from elspeth.execution.side_outputs import SideOutputs
from elspeth.execution.token import Token, copy_data
from elspeth.graph.model import Node
from elspeth.plugins.contract import SideOutput, Transform, TransientError
from elspeth.schema import RowSchema, SchemaError, compile_checker


class TransformStep:
    """A transform: one row in, one row (or several) out, or refused; transient errors are tried again."""

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        plugin = cast("Transform", executor.plugins[node.id])
        self._process = plugin.process
        self._shares_nothing = shares_nothing(plugin)
        self._context = executor.context(node.id)
        self._check = (
            compile_checker(RowSchema.from_dict(node.schema))
            if node.validate_input and node.schema is not None
            else None
        )

    def link(self) -> None:
        self._next: Continuation = self._executor.normal(self.node)
        self._aside = SideOutputs(self.node, self._executor)

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
                given = token.data if self._shares_nothing else copy_data(token.data)
                result = self._process(given, context)
                if not self._shares_nothing:
                    result = copy_data(result)
                if result is token.data:
                    after = before
                elif isinstance(result, dict):
                    after = canonical.sha256(result)
                elif isinstance(result, SideOutput):
                    self._aside.check(result)
                    after = before
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
                if failures < executor.retry.max_attempts:
                    recorder.state(
                        token, node.id, "failed", before, None, started, error=refused.text(node.id), attempt=failures
                    )
                    executor.wait(failures, context)
                    started = recorder.now
                    continue
                failures -= 1
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises is that row's failure
                refused = error if isinstance(error, Refused) else Refused.of(error)
            state = recorder.state(
                token, node.id, "failed", before, None, started, error=refused.text(node.id), attempt=failures + 1
            )
            token.step += 1
            executor.refuse(node, token, refused, state)
            return
        if isinstance(result, SideOutput):
            self._aside.take(token, result, started, failures + 1)
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
            recorder.token(child, token.branch, [token.id])
            recorder.state(child, self.node.id, "completed", before, digest, started, data=row)
            child.step += 1
            children.append(child)
        for child in children:
            self._next(child)
