"""A token's way through the nodes, as recorded: what each was given, what it answered, and where that led."""

from __future__ import annotations

import ast
import json
from typing import Any

from elspeth.audit.connection import Connection
from elspeth.audit.explain.payload_reader import NO_LONGER_KEPT, Explained, PayloadReader, differences

UNKNOWN: Explained = {"values": None, "kept": "not recorded"}


class NodeVisits:
    """Reads the visits of tokens to nodes of one run. `nodes` and `edges` are the run's, by id."""

    def __init__(
        self,
        connection: Connection,
        contents: PayloadReader,
        nodes: dict[str, Explained],
        edges: dict[str, Explained],
    ) -> None:
        self._connection = connection
        self._contents = contents
        self._nodes = nodes
        self._edges = edges

    def of(self, token: str, content: Explained) -> tuple[list[Explained], Explained]:
        """The token's visits in order, and what it holds behind the last one; `content` is what it began with."""
        reach = (f"{token}:", f"{token};")
        states = self._connection.execute(
            "SELECT state_id, node_id, step_index, attempt, status, input_hash, output_hash, output_data,"
            " output_data_ref, error_json, started_at, completed_at, duration_ms FROM node_states"
            " WHERE state_id >= ? AND state_id < ?",
            reach,
        ).fetchall()
        routes = self._routes(reach)
        calls = self._calls(reach)
        refusals = self._refusals(token, reach)
        visits = []
        for state in sorted(states, key=lambda state: (state[2], state[3])):
            visit, content = self._visit(state, content)
            state_id = state[0]
            decision = routes.get(state_id, [])
            node = self._nodes.get(state[1], {})
            if node.get("node_type") == "gate":
                visit["gate"] = _gate(node, decision, visit)
            visit["routes"] = [_way(route, gate=visit["kind"] == "gate") for route in decision]
            visit["calls"] = calls.get(state_id, [])
            if state_id in refusals:
                visit["refused_to"] = refusals[state_id]["destination"]
            visits.append(visit)
        visits += [refusal for key, refusal in refusals.items() if key not in {state[0] for state in states}]
        return visits, content

    def _visit(self, state: tuple[Any, ...], given: Explained) -> tuple[Explained, Explained]:
        (state_id, node_id, _, attempt, status, before, after, data, reference, error, started, ended, duration) = state
        node = self._nodes.get(node_id, {})
        if data is not None or reference is not None:
            returned = self._contents.read(data, reference)
        elif after is None:
            returned = {"values": None, "kept": "nothing"}
        elif after == before:
            returned = given
        else:
            returned = {"values": None, "kept": NO_LONGER_KEPT}
        both = given["values"] is not None and returned["values"] is not None
        visit = {
            "state_id": state_id,
            "node": node_id,
            "kind": node.get("node_type"),
            "plugin": node.get("plugin_name"),
            "plugin_version": node.get("plugin_version"),
            "deterministic": node.get("determinism") == "deterministic",
            "try": attempt,
            "status": status,
            "given": given["values"],
            "given_kept": given["kept"],
            "given_hash": before,
            "returned": returned["values"],
            "returned_kept": returned["kept"],
            "returned_hash": after,
            "changed": None if after is None else after != before,
            "changes": differences(given["values"], returned["values"]) if both else None,
            "error": parsed(error),
            "started_at": started,
            "completed_at": ended,
            "duration_ms": duration,
        }
        return visit, returned if after is not None else given

    def _routes(self, reach: tuple[str, str]) -> dict[str, list[Explained]]:
        found: dict[str, list[Explained]] = {}
        for state, edge, mode, reason in self._connection.execute(
            "SELECT state_id, edge_id, mode, reason_json FROM routing_events WHERE event_id >= ? AND event_id < ?"
            " ORDER BY event_id",
            reach,
        ):
            there = self._edges.get(edge, {})
            found.setdefault(state, []).append(
                {"edge": edge, "label": there.get("label"), "to": there.get("to_node_id"), "mode": mode,
                 "reason": parsed(reason)}
            )  # fmt: skip
        return found

    def _calls(self, reach: tuple[str, str]) -> dict[str, list[Explained]]:
        found: dict[str, list[Explained]] = {}
        for state, index, kind, status, at, asked, asked_hash, said, said_hash, latency in self._connection.execute(
            "SELECT state_id, call_index, call_type, status, created_at, request_data, request_hash, response_data,"
            " response_hash, latency_ms FROM calls WHERE call_id >= ? AND call_id < ? ORDER BY call_id",
            reach,
        ):
            found.setdefault(state, []).append(
                {"call": index, "type": kind, "status": status, "at": at, "request": parsed(asked),
                 "request_hash": asked_hash, "response": parsed(said), "response_hash": said_hash,
                 "latency_ms": latency}
            )  # fmt: skip
        return found

    def _refusals(self, token: str, reach: tuple[str, str]) -> dict[str, Explained]:
        """What nodes refused, by state, and what sinks refused, which pass through no state."""
        found: dict[str, Explained] = {}
        for low, high in (reach, (f"{token}>", f"{token}?")):
            for error_id, node_id, error, destination, at in self._connection.execute(
                "SELECT error_id, node_id, error_json, destination, created_at FROM transform_errors"
                " WHERE error_id >= ? AND error_id < ? ORDER BY error_id",
                (low, high),
            ):
                node = self._nodes.get(node_id, {})
                found[error_id.rstrip("!")] = {
                    "node": node_id, "kind": node.get("node_type"), "plugin": node.get("plugin_name"),
                    "status": "refused", "error": parsed(error), "destination": destination, "completed_at": at,
                }  # fmt: skip
        return found


def parsed(text: str | None) -> Any:
    """JSON as data; what is no JSON stays text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _way(route: Explained, *, gate: bool) -> Explained:
    """A way that a token took; of a side output with the reason, which a gate says once for all its ways."""
    way = {key: route[key] for key in ("edge", "label", "to", "mode")}
    return way if gate or route["mode"] == "divert" else {**way, "reason": route["reason"]}


def fields_in(condition: str) -> list[str]:
    """The fields of the row that a condition reads, in order."""
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return []
    found: dict[str, None] = {}
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id="row"), slice=ast.Constant(value=str(field))):
                found[field] = None
            case ast.Call(func=ast.Attribute(value=ast.Name(id="row")), args=[ast.Constant(value=str(field)), *_]):
                found[field] = None
            case ast.Name(id=name) if name != "row" and node not in functions:
                found[name] = None
    return list(found)


def _gate(node: Explained, decision: list[Explained], visit: Explained) -> Explained:
    reason = decision[0]["reason"] if decision else None
    config = parsed(node.get("config_json"))
    condition = config.get("condition") if isinstance(config, dict) else None
    if isinstance(reason, dict) and "condition" in reason:
        condition = reason["condition"]
    answer = {"answer": reason.get("answer"), "answer_kept": True} if isinstance(reason, dict) else {
        "answer": None, "answer_kept": False
    }  # fmt: skip
    row = visit["given"]
    values = {field: row.get(field) for field in fields_in(condition or "") if field in row} if row else None
    return {"condition": condition, "values": values, **answer}
