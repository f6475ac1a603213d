"""The way of tokens through the nodes of one stage: compiled steps that call one another, depth first.

The order in which items leave is the order in which the executor meets them, row by row: it does not depend on where
chunks begin, nor on how many workers there are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

import orjson

from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.token import Token, copy_data
from elspeth.graph.model import DISCARD, Graph, Node, Target
from elspeth.plugins.contract import ERROR_FIELDS, Context, Plugin, Row, RowError
from elspeth.schema import RowSchema
from elspeth.visible import shortened

Continuation = Callable[[Token], None]


class Refused(Exception):
    """A node refused the token: `reason` for people, `facts` for the record."""

    def __init__(self, reason: str, facts: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts or {}

    @classmethod
    def of(cls, error: Exception) -> Refused:
        """What an exception out of a plugin means for its row."""
        if isinstance(error, RowError):
            return cls(error.reason, error.details)
        return cls(f"{type(error).__name__}: {error}", {"unexpected": True})

    def text(self, node: str) -> str:
        """As JSON for `error_json`."""
        return facts_text({"node": node, "reason": self.reason, **self.facts})


REASON_CHARACTERS, FACTS_CHARACTERS = 2_000, 16_000
"""An error is stored with the state, with the outcome and by itself: it is evidence, not a copy of the row."""


def facts_text(facts: dict[str, Any]) -> str:
    """Facts for the record as JSON, whatever a plugin put into them, cut to `FACTS_CHARACTERS`."""
    text = _as_json(facts)
    if len(text) <= FACTS_CHARACTERS:
        return text
    kept: dict[str, Any] = {}
    for key, value in facts.items():
        short = _cut(value)
        if len(_as_json({**kept, key: short, "left_out": len(facts)})) > FACTS_CHARACTERS:
            kept["left_out"] = len(facts) - len(kept)  # so many facts more
            break
        kept[key] = short
    return _as_json(kept)


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else _as_json(value)
    return value if len(text) <= REASON_CHARACTERS else shortened(text, REASON_CHARACTERS)


def _as_json(facts: Any) -> str:
    try:
        return orjson.dumps(facts, default=str).decode()
    except TypeError:  # integers beyond 64 bits, text that is not Unicode, keys that are not text
        text = json.dumps(facts, default=str, skipkeys=True, ensure_ascii=False)
        return text.encode(errors="replace").decode()


def with_error(sink: Node, row: Row, refused_by: str, reason: str) -> Row:
    """A refused row as its sink takes it: with `ERROR_FIELDS`, as far as a fixed schema of the sink names them.

    A row that has such fields of its own, because it was refused in an earlier run perhaps, has them anew.
    """
    if not sink.error_fields:
        return row
    # A sink must be able to write the reason, whatever a plugin put into it.
    text = str(_cut(reason)).encode(errors="backslashreplace").decode()
    added = dict(zip(ERROR_FIELDS, (text, refused_by), strict=True))
    return without_unnamed(sink, {**{name: row[name] for name in row if name not in added}, **added}, ERROR_FIELDS)


def without_unnamed(sink: Node, row: Row, evidence: Collection[str]) -> Row:
    """The row without the fields of `evidence` that the sink's schema, being fixed, does not name."""
    schema = RowSchema.from_dict(sink.schema) if sink.schema and sink.error_fields else None
    if schema is None or schema.mode != "fixed":
        return row
    named = {field.name for field in schema.fields}
    return {name: value for name, value in row.items() if name in named or name not in evidence}


def shares_nothing(plugin: Plugin) -> bool:
    """Whether the plugin is known to change no row that it is given, and to keep none that it gives: it is ours.

    Anybody else's is given copies, and what it answers is copied: a row that is changed behind our back would be
    written as something else than what is on record about it. What stands before a plugin hands rows through to it.
    """
    while (behind := getattr(plugin, "stands_before", None)) is not None:
        plugin = behind
    return type(plugin).__module__.partition(".")[0] == "elspeth"


class CompiledNode(Protocol):
    """A compiled node. `link` is called once, when the steps it leads to exist."""

    node: Node

    def link(self) -> None:
        """Compile the ways out."""

    def run(self, token: Token) -> None:
        """Take one token through the node and on to where it leads."""


class Executor:
    """The compiled nodes of one stage, writing into `recorder`.

    `touch` is told the node's number before a plugin is called, so that a death can be blamed.
    """

    def __init__(
        self,
        graph: Graph,
        stage: int,
        plugins: dict[str, Plugin],
        recorder: Recorder,
        context: Callable[[str], Context],
        *,
        retry: RetryPolicy | None = None,
        touch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.graph = graph
        self.stage = stage
        self.recorder = recorder
        self.plugins = plugins
        self._context = context
        self.retry = retry or RetryPolicy()
        self.touch = touch
        self.steps: dict[str, CompiledNode] = {}
        self.on_branches_done: list[Callable[[str], None]] = []  # called in order: all branches of a token are through

    def context(self, node_id: str) -> Context:
        """A context for calls of this node's plugin; what it calls in turn is put on record here."""
        context = self._context(node_id)
        context._note = self.recorder.calls.append
        return context

    # -- ways out ----------------------------------------------------------------------------------------------

    def exit(self, target: Target, *, gate: bool = False) -> Continuation:
        """A compiled way out of a node."""
        recorder = self.recorder
        if target.node == DISCARD:
            return lambda token: recorder.outcome(token, "discarded")
        node = self.graph.node(target.node)
        if node.kind == "sink":
            outcome = "routed" if gate and not node.default else "completed"
            return lambda token: recorder.to_sink(target.node, token, outcome)
        if node.stage != self.stage:
            return lambda token: recorder.to_stage(target.node, token)
        step = self.steps[target.node]
        return lambda token: step.run(token)

    def normal(self, node: Node) -> Continuation:
        """The way on for a row that passed the node, counted; several targets are a fork."""
        targets, recorder = node.routes["continue"], self.recorder
        leave = self.fan(targets, gate=False)
        edges = [target.edge for target in targets]

        def counted(token: Token) -> None:
            for edge in edges:
                recorder.counts.leave(edge)
            leave(token)

        return counted

    def fan(self, targets: tuple[Target, ...], *, gate: bool) -> Continuation:
        """One way out, or a fork into child tokens, each with a copy of the data."""
        if len(targets) == 1 and targets[0].branch is None:
            return self.exit(targets[0], gate=gate)
        exits = [(target.branch or target.edge, self.exit(target, gate=gate)) for target in targets]
        recorder = self.recorder

        def fork(token: Token) -> None:
            recorder.outcome(token, "forked")
            children = []
            for branch, leave in exits:
                child = token.child(f"{token.id}.{branch}", copy_data(token.data), branch=branch, digest=token.hash)
                recorder.token(child, branch, [token.id])
                children.append((child, leave))
            for child, leave in children:
                leave(child)
            for branches_done in self.on_branches_done:
                branches_done(token.id)

        return fork

    def refuse(self, node: Node, token: Token, refused: Refused, state_id: str, *, batch: str | None = None) -> None:
        """The token failed at this node: record it, and send it where errors of this node go."""
        recorder = self.recorder
        error = refused.text(node.id)
        target = node.on_error
        recorder.error(token, node.id, error, target.node if target else None, state_id)
        if target is None:
            recorder.outcome(token, "quarantined" if "poison" in refused.facts else "failed", error=error, batch=batch)
            return
        recorder.route(state_id, target.edge, "divert", None)
        if target.node == DISCARD:
            recorder.outcome(token, "discarded", error=error, batch=batch)
        else:
            row = with_error(self.graph.node(target.node), token.data, node.id, recorder.conceal(refused.reason))
            recorder.to_sink(target.node, token, "quarantined", error, row)

    def set_aside(self, node: Node, token: Token, evidence: dict[str, Any]) -> None:
        """The token has killed the processes that touched it at this node: it goes where the node's errors go."""
        facts = dict(evidence)
        reason = f"killed the process that touched it: {facts.pop('reason', 'unknown')}"
        refused = Refused(reason, {**facts, "poison": True})
        recorder = self.recorder
        state = recorder.state(
            token, node.id, "failed", token.hash, None, recorder.now, error=refused.text(node.id)
        )  # fmt: skip
        token.step += 1
        self.refuse(node, token, refused, state)

    def wait(self, failures: int, context: Context) -> None:
        """Before a node is tried again: wait as long as the policy says, without being taken for hung."""
        until = time.monotonic() + self.retry.delay(failures)
        while (left := until - time.monotonic()) > 0:
            context.progress()
            time.sleep(min(left, 1.0))
        self.recorder.lap()

    # -- rows --------------------------------------------------------------------------------------------------

    def enter(self, token: Token, node: str) -> None:
        """Take a token from `node` to wherever it ends in this stage."""
        self.steps[node].run(token)
