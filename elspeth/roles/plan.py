"""What a child process is told when it starts: everything it needs to know of the run, as one frozen value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from elspeth.audit.members import prove_ownership
from elspeth.decide.walk import RetryPolicy
from elspeth.graph.model import Graph, Node
from elspeth.payloads import PayloadStore
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Plugin


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The run as its children see it. Paths are absolute, or relative to `working_directory`."""

    run_id: str
    attempt: int
    graph: Graph
    working_directory: str
    state_directory: str
    database: str
    plugin_files: tuple[str, ...] = ()
    retry: dict[str, Any] = {}
    payload_base: str = "state/payloads"
    inline_limit: int = 65536
    headers: dict[str, str] = {}  # identifier -> name as found in the input
    replace_outputs: bool = False  # a take-over from a process that still holds the outputs
    log_format: str = "text"
    log_level: str = "WARNING"


class AuditPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit process is told: the database, and the attempt that it has to prove or to begin.

    `run` is given for the first attempt of a run: columns of `runs`. `records` go into the commit that begins the
    attempt.
    """

    run_id: str
    database: str
    attempt: int
    attempt_columns: dict[str, Any]
    run: dict[str, Any] | None = None
    records: dict[str, list[tuple[Any, ...]]] = {}
    checkpoint: dict[str, Any] | None = None
    checkpoints: bool = True
    supersedes: tuple[tuple[str, int], ...] = ()  # unfinished runs that are given up for this one
    reason: str | None = None
    inputs: dict[str, str] = {}  # source -> path
    journal: str | None = None
    working_directory: str = "."
    log_format: str = "text"
    log_level: str = "WARNING"


_encode = msgspec.msgpack.Encoder().encode
_plan = msgspec.msgpack.Decoder(Plan)
_audit_plan = msgspec.msgpack.Decoder(AuditPlan)


def encode_plan(plan: Plan | AuditPlan) -> bytes:
    """The plan as the argument of a child."""
    return _encode(plan)


def decode_plan(argument: bytes) -> Plan:
    return _plan.decode(argument)


def decode_audit_plan(argument: bytes) -> AuditPlan:
    return _audit_plan.decode(argument)


class Workshop:
    """Builds the plugins of a plan inside a child: loads the user's files, validates options, sets up.

    Raises `SettingsError` where a plugin is missing or refuses its options.
    """

    def __init__(self, plan: Plan, beat: Any = None) -> None:
        self.plan = plan
        self._beat = beat
        os.chdir(plan.working_directory)
        registry.load_files([Path(file) for file in plan.plugin_files])

    def build(self, node: Node) -> Plugin:
        """The node's plugin, built and set up."""
        kind = node.kind
        assert kind in ("source", "transform", "aggregation", "sink")
        plugin = registry.build(registry.find(kind, node.plugin), node.options, node.id)
        plugin.setup(self.context(node.id))
        return plugin

    def context(self, node_id: str) -> Context:
        """A fresh context for calls of this node's plugin."""
        plan = self.plan
        return Context(
            plan.run_id,
            node_id,
            state_directory=Path(plan.state_directory),
            headers=plan.headers,
            _beat=self._beat,
            _prove=lambda: prove_ownership(Path(plan.database), plan.run_id, plan.attempt),
        )

    def payloads(self) -> PayloadStore:
        """Where large data goes."""
        return PayloadStore(Path(self.plan.payload_base), self.plan.inline_limit)

    def retry(self) -> RetryPolicy:
        """When transient errors are tried again."""
        return RetryPolicy(**self.plan.retry)
