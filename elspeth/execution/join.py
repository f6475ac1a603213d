"""Coalesce: the branches of a fork become one token again."""

from __future__ import annotations

from dataclasses import dataclass, field

from elspeth import canonical
from elspeth.execution.executor import Continuation, Executor, Refused
from elspeth.execution.merge import merged
from elspeth.execution.token import Token
from elspeth.graph.model import Node


@dataclass(slots=True)
class PendingJoin:
    """The branches of one forked token that have arrived. `met`: it is decided, and who arrives now is late.

    Where it waits from row to row, `opened` is the active time (seconds) of the first arrival, `since` the clock's.
    """

    parent: str
    arrived: dict[str, Token] = field(default_factory=dict)
    met: bool = False
    opened: float = 0.0
    since: str = ""


class JoinStep:
    """Merges branches by the node's policy.

    In a stateless stage all branches of a token run one after another, in the order of the fork, so *first* and *late*
    mean that order; what has not arrived when the last of them is through will never arrive.
    """

    def __init__(self, node: Node, executor: Executor) -> None:
        self.node = node
        self._executor = executor
        self._joins: dict[str, PendingJoin] = {}
        if not executor.graph.stateful[executor.stage]:
            executor.on_branches_done.append(self.branches_done)

    def link(self) -> None:
        self._next: Continuation = self._executor.normal(self.node)

    # -- arrivals ----------------------------------------------------------------------------------------------

    def run(self, token: Token) -> None:
        at = self._fork_of(token)
        if at is None:
            self._refuse(token, Refused("the token came through no fork whose branches meet here"))
            return
        parent, branch = token.fork[at]
        token.fork = token.fork[: at + 1]
        self._arrive(token, parent, branch)

    def _fork_of(self, token: Token) -> int | None:
        for at in range(len(token.fork) - 1, -1, -1):
            if token.fork[at][1] in self.node.branches:
                return at
        return None

    def _arrive(self, token: Token, parent: str, branch: str) -> None:
        join = self._joins.setdefault(parent, PendingJoin(parent))
        if join.met or branch in join.arrived:
            self._late(token, parent, branch)
            return
        join.arrived[branch] = token
        if self._enough(join):
            join.met = True
            self._merge(join)

    def _enough(self, join: PendingJoin) -> bool:
        node, count = self.node, len(join.arrived)
        if node.policy == "first":
            return True
        if node.policy == "quorum":
            return count >= (node.quorum_count or len(node.branches))
        return count == len(node.branches)

    def branches_done(self, parent: str) -> None:
        """All branches of this token have come to their ends: nothing more will arrive."""
        join = self._joins.pop(parent, None)
        if join is not None and not join.met:
            self._give_up(join)

    # -- ends --------------------------------------------------------------------------------------------------

    def _give_up(self, join: PendingJoin, batch: str | None = None) -> bool:
        """No more branches are waited for; answers whether those that are there were merged."""
        if self.node.policy == "best_effort":
            return self._merge(join, batch)
        missing = [branch for branch in self.node.branches if branch not in join.arrived]
        for token in self._in_order(join):
            self._refuse(token, Refused("branches are missing", {"missing": missing, "policy": self.node.policy}))
        return False

    def _in_order(self, join: PendingJoin) -> list[Token]:
        return [join.arrived[branch] for branch in self.node.branches if branch in join.arrived]

    def _merge(self, join: PendingJoin, batch: str | None = None) -> bool:
        tokens = self._in_order(join)
        try:
            data = merged(self.node, {branch: token.data for branch, token in join.arrived.items()})
        except Refused as refused:
            for token in tokens:
                self._refuse(token, refused)
            return False
        recorder, first = self._executor.recorder, tokens[0]
        token = Token(
            f"{join.parent}+{self.node.id}", first.row, first.row_index, data, first.fork[:-1],
            max(token.step for token in tokens), canonical.sha256(data), first.read_at,
        )  # fmt: skip
        recorder.token(token, token.branch, [each.id for each in tokens])
        for parent in tokens:
            recorder.outcome(parent, "coalesced", batch=batch)
        recorder.state(token, self.node.id, "completed", first.hash, token.hash, recorder.now, data=data)
        token.step += 1
        self._next(token)
        return True

    def _late(self, token: Token, parent: str, branch: str) -> None:
        """The branches have met without this one, which ends here."""
        error = Refused("late: the branches have met", {"branch": branch, "meeting": f"{parent}+{self.node.id}"})
        text = error.text(self.node.id)
        recorder = self._executor.recorder
        recorder.state(token, self.node.id, "failed", token.hash, None, recorder.now, error=text)
        token.step += 1
        recorder.outcome(token, "discarded", error=text)

    def _refuse(self, token: Token, refused: Refused) -> None:
        recorder = self._executor.recorder
        state = recorder.state(
            token, self.node.id, "failed", token.hash, None, recorder.now, error=refused.text(self.node.id)
        )
        token.step += 1
        self._executor.refuse(self.node, token, refused, state)
