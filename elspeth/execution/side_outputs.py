"""Ways out of a transform beside the normal one: rows that leave it as they came, with the reason on record."""

from __future__ import annotations

from elspeth.execution.executor import Executor, Refused, facts_text
from elspeth.execution.token import Token
from elspeth.graph.labels import CONTINUE
from elspeth.graph.model import Node
from elspeth.plugins.contract import SideOutput


class SideOutputs:
    """The compiled side outputs of a node."""

    def __init__(self, node: Node, executor: Executor) -> None:
        self._node = node
        self._recorder = executor.recorder
        self._exits = {
            name: executor.fan(targets, gate=True) for name, targets in node.routes.items() if name != CONTINUE
        }

    def check(self, output: SideOutput) -> None:
        """Raise `Refused` where the node has no such side output."""
        if output.name not in self._exits:
            known = ", ".join(sorted(self._exits)) or "none"
            raise Refused(f"process() answered the side output {output.name!r}; its class names {known}")

    def take(self, token: Token, output: SideOutput, started: str, attempt: int = 1) -> None:
        """Record that the token passed the node and by which way, and let it leave there."""
        recorder, digest = self._recorder, token.hash
        reason = facts_text({"reason": recorder.conceal(output.reason), **output.details})
        state = recorder.state(token, self._node.id, "completed", digest, digest, started, attempt=attempt)
        token.step += 1
        for ordinal, target in enumerate(self._node.routes[output.name]):
            recorder.route(state, target.edge, "move", reason, ordinal)
        self._exits[output.name](token)
