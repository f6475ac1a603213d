"""What the branches of a fork become when they meet: one row, by union, nested, or one branch's own. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.execution.executor import Refused
from elspeth.execution.token import copy_data
from elspeth.graph.model import Node
from elspeth.plugins.contract import Row


def merged(node: Node, arrived: Mapping[str, Row]) -> Row:
    """The row that a coalesce makes of the rows that arrived, by branch; it shares nothing mutable with them.

    Branches count in the order of the node's settings, whatever the order in which they arrived. Raises `Refused` where
    they contradict each other, or where the branch to select is not there.
    """
    branches = [branch for branch in node.branches if branch in arrived]
    if node.merge == "select":
        if node.select_branch is None or node.select_branch not in arrived:
            raise Refused(f"the branch to select, {node.select_branch}, has not arrived", {"arrived": branches})
        return _copy(arrived[node.select_branch])
    if node.merge == "nested":
        return {branch: _copy(arrived[branch]) for branch in branches}
    union: Row = {}
    for branch in branches:
        for key, value in arrived[branch].items():
            if key not in union:
                union[key] = copy_data(value)
            elif not _same(union[key], value):
                if node.union_collision_policy == "fail":
                    raise Refused(f"branches disagree about the field {key!r}", {"field": key, "branch": branch})
                if node.union_collision_policy == "last_wins":
                    union[key] = copy_data(value)
    return union


def _copy(row: Row) -> Row:
    copied: Row = copy_data(row)
    return copied


def _same(one: object, other: object) -> bool:
    """Equal as data: `True` is not `1`, though Python says so; `1` and `1.0` are one JSON number, yet written apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
