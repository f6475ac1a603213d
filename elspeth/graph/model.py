"""The compiled graph as frozen values: what every role is given, and what `nodes` and `edges` record."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from elspeth.plugins.contract import ERROR_FIELDS, REFUSED

NodeKind = Literal["source", "transform", "gate", "aggregation", "coalesce", "sink"]
EdgeMode = Literal["move", "copy", "divert"]

DISCARD = "discard"
"""The target of a route that ends a token without a sink."""


class Target(msgspec.Struct, frozen=True):
    """One way out of a node: the node it leads to (or `DISCARD`), the edge it takes, the branch a fork names it."""

    node: str
    edge: str
    branch: str | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the pipeline.

    `id` is the step's name, unique among steps and sinks. `sequence` numbers the nodes in topological order, `stage` is
    the hop in which the node runs: even stages are stateless, odd ones see all rows in order in one process.
    """

    id: str
    kind: NodeKind
    plugin: str  # "gate" and "coalesce" for the two kinds that have no plugin of their own
    options: dict[str, Any] = {}
    sequence: int = 0
    stage: int = 0

    # Ways out. A label is "continue" for the normal way, a gate's route label, or "error".
    # Several targets under one label are a fork: each gets a child token of its own.
    routes: dict[str, tuple[Target, ...]] = {}
    on_error: Target | None = None  # errors, invalid rows, refused writes; None: the token ends as `failed`

    condition: str | None = None  # gates, and aggregation triggers
    pool_size: int = 1  # rows in flight at once in a slow transform
    validate_input: bool = False
    schema: dict[str, Any] | None = None  # normalised row schema (elspeth.schema), None: take what comes
    types: dict[str, str] = {}  # of fields that come to the step, as far as they are known (elspeth.graph.types)

    # aggregations
    trigger_count: int | None = None
    trigger_seconds: float | None = None
    output_mode: Literal["transform", "passthrough"] = "transform"
    expected_output_count: int | None = None

    # coalesces; a branch's place in the tuple is its rank wherever order matters
    branches: tuple[str, ...] = ()
    policy: Literal["require_all", "quorum", "best_effort", "first"] = "require_all"
    quorum_count: int | None = None
    timeout_seconds: float | None = None
    merge: Literal["union", "nested", "select"] = "union"
    union_collision_policy: Literal["last_wins", "first_wins", "fail"] = "last_wins"
    select_branch: str | None = None

    # sinks
    error_fields: bool = False  # whether rows that steps refused come with `ERROR_FIELDS`
    default: bool = False  # the end of the normal way: a row that lands here is `completed`, elsewhere `routed`


class Edge(msgspec.Struct, frozen=True):
    """A recorded connection. `edge_id` is `FROM:LABEL`; a fork's edges carry the branch name as label."""

    edge_id: str
    from_node: str
    to_node: str
    label: str
    mode: EdgeMode


class Graph(msgspec.Struct, frozen=True):
    """Nodes in topological order (sources first, sinks last), edges, and for each stage whether it keeps state."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    stateful: tuple[bool, ...]

    def node(self, node_id: str) -> Node:
        """The node with this id. Raises `KeyError`."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def types_at(self, node_id: str) -> dict[str, str]:
        """The types of fields that come to the node, as far as they are known; none for what is no node."""
        return next((node.types for node in self.nodes if node.id == node_id), {})

    def takes_refused(self, node_id: str) -> bool:
        """Whether rows that a source refused go to this sink, and others as well."""
        refused = any(node.on_error and node.on_error.node == node_id for node in self.of_kind("source"))
        others = (target for node in self.nodes for targets in node.routes.values() for target in targets)
        errors = (node.on_error for node in self.nodes if node.on_error and node.kind != "source")
        return refused and any(target.node == node_id for target in (*others, *errors))

    def evidence(self, node_id: str) -> tuple[str, ...]:
        """The fields that refused rows have at this sink and others there need not have, in the order of columns."""
        fields: tuple[str, ...] = REFUSED if self.takes_refused(node_id) else ()
        errors = (node.on_error for node in self.nodes if node.on_error and node.kind != "source")
        if any(target.node == node_id for target in errors) and self.node(node_id).error_fields:
            fields += tuple(name for name in ERROR_FIELDS if name not in fields)
        return fields

    def of_kind(self, *kinds: NodeKind) -> tuple[Node, ...]:
        """The nodes of these kinds, in topological order."""
        return tuple(node for node in self.nodes if node.kind in kinds)
