"""The compiled form of a gate: the value of its condition names the route."""

from __future__ import annotations

from elspeth.execution.executor import Executor, Refused, facts_text
from elspeth.execution.token import Token
from elspeth.expressions import EvaluationError, compile_expression
from elspeth.graph.labels import route_label
from elspeth.graph.model import Node


class GateStep:
    """A gate: its condition's value names the route."""

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        assert node.condition is not None
        self._evaluate = compile_expression(node.condition, node.types, executor.context(node.id).names).evaluate
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
