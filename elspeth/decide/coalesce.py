"""Coalesce: the branches of a fork become one token again."""

from __future__ import annotations

from dataclasses import dataclass, field

from elspeth import canonical
from elspeth.decide.token import Token
from elspeth.decide.walk import Exit, Refused, Walk
from elspeth.graph.model import Node
from elspeth.plugins.contract import Row


@dataclass(slots=True)
class Meeting:
    """The branches of one forked token that have arrived. `merged` names the token they became."""

    parent: str
    arrived: dict[str, Token] = field(default_factory=dict)
    merged: str | None = None


class CoalesceStep:
    """Merges branches by the node's policy.

    Inside one stage all branches of a row arrive during that row's walk, one after another in the order of the fork, so
    *first* and *late* mean that order; what has not arrived when the walk ends will never arrive.
    """

    def __init__(self, node: Node, walk: Walk) -> None:
        self.node = node
        self._walk = walk
        self._meetings: dict[str, Meeting] = {}
        walk.settlers.append(self.settle)

    def link(self) -> None:
        self._next: Exit = self._walk.normal(self.node)

    def run(self, token: Token) -> None:
        at = self._fork_of(token)
        if at is None:
            self._refuse(token, Refused("the token came through no fork whose branches meet here"))
            return
        parent, branch = token.fork[at]
        token.fork = token.fork[: at + 1]
        meeting = self._meetings.setdefault(parent, Meeting(parent))
        if meeting.merged is not None or branch in meeting.arrived:
            reason = f"late: {meeting.merged}" if meeting.merged else f"branch {branch} has arrived already"
            self._drop(token, reason)
            return
        meeting.arrived[branch] = token
        if self._enough(meeting):
            self._merge(meeting)

    def _fork_of(self, token: Token) -> int | None:
        for at in range(len(token.fork) - 1, -1, -1):
            if token.fork[at][1] in self.node.branches:
                return at
        return None

    def _enough(self, meeting: Meeting) -> bool:
        node, count = self.node, len(meeting.arrived)
        if node.policy == "first":
            return True
        if node.policy == "quorum":
            return count >= (node.quorum_count or len(node.branches))
        return count == len(node.branches)

    def settle(self) -> None:
        """The row's walk has ended: nothing more will arrive."""
        while self._meetings:
            parent = next(iter(self._meetings))
            meeting = self._meetings[parent]
            if meeting.merged is None and meeting.arrived:
                if self.node.policy == "best_effort":
                    self._merge(meeting)
                else:
                    self._fail(meeting)
            self._meetings.pop(parent, None)

    def _fail(self, meeting: Meeting) -> None:
        missing = [branch for branch in self.node.branches if branch not in meeting.arrived]
        for token in self._in_order(meeting):
            self._refuse(token, Refused("branches are missing", {"missing": missing, "policy": self.node.policy}))

    def _in_order(self, meeting: Meeting) -> list[Token]:
        return [meeting.arrived[branch] for branch in self.node.branches if branch in meeting.arrived]

    def _merge(self, meeting: Meeting) -> None:
        tokens = self._in_order(meeting)
        try:
            data = self._merged(meeting)
        except Refused as refused:
            meeting.merged = "the merge failed"
            for token in tokens:
                self._refuse(token, refused)
            return
        recorder, first = self._walk.recorder, tokens[0]
        merged = Token(
            f"{meeting.parent}+{self.node.id}", first.row, first.row_index, data, first.fork[:-1],
            max(token.step for token in tokens), canonical.sha256(data),
        )  # fmt: skip
        meeting.merged = merged.id
        recorder.token(merged, merged.branch, tokens)
        for token in tokens:
            recorder.outcome(token, "coalesced")
        recorder.state(merged, self.node.id, "completed", first.hash, merged.hash, recorder.now, data=data)
        merged.step += 1
        self._next(merged)

    def _merged(self, meeting: Meeting) -> Row:
        node, arrived = self.node, meeting.arrived
        if node.merge == "select":
            chosen = arrived.get(node.select_branch or "")
            if chosen is None:
                raise Refused(f"select_branch {node.select_branch} has not arrived", {"arrived": sorted(arrived)})
            return dict(chosen.data)
        branches = [branch for branch in node.branches if branch in arrived]
        if node.merge == "nested":
            return {branch: arrived[branch].data for branch in branches}
        union: Row = {}
        for branch in branches:
            for key, value in arrived[branch].data.items():
                if key not in union:
                    union[key] = value
                elif union[key] != value:
                    if node.union_collision_policy == "fail":
                        raise Refused(f"branches disagree about {key!r}", {"field": key, "branch": branch})
                    if node.union_collision_policy == "last_wins":
                        union[key] = value
        return union

    def _drop(self, token: Token, reason: str) -> None:
        refused = Refused(reason)
        error = refused.text(self.node.id)
        self._walk.recorder.state(
            token, self.node.id, "failed", token.hash, None, self._walk.recorder.now, error=error
        )  # fmt: skip
        token.step += 1
        self._walk.recorder.outcome(token, "discarded", error=error)

    def _refuse(self, token: Token, refused: Refused) -> None:
        recorder = self._walk.recorder
        state = recorder.state(
            token, self.node.id, "failed", token.hash, None, recorder.now, error=refused.text(self.node.id)
        )
        token.step += 1
        self._walk.refuse(self.node, token, refused, state)
