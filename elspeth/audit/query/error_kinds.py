"""Errors of a run by kind, each with a few rows that met it and their way through the pipeline: never many."""

from __future__ import annotations

from typing import Any

from elspeth import ids
from elspeth.audit.connection import Connection
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.verdict import MOST_READ, VARYING, Reason, kinds
from elspeth.audit.store import database
from elspeth.canonical import JsonObject
from elspeth.visible import shortened

MOST_KINDS = 25
SAMPLES = 3
STEPS = 20
TEXT = 300
"""Characters of a row and of a reason that are shown."""


def errors(reader: AuditReader, run_id: str, *, data: bool) -> JsonObject:
    """The most frequent kinds of errors. Without `data` nothing is told that people wrote into rows."""
    with database.translated_errors(reader.path):
        found, read = kinds(reader, run_id, SAMPLES)
        connection = reader.connection
        listed = [
            {
                "node": kind.node,
                "reason": cut(kind.reason) if data else _without_data(kind),
                "count": kind.count,
                "samples": [_sample(connection, token, data=data) for token in tokens],
            }
            for kind, tokens in found[:MOST_KINDS]
        ]
    return {"kinds": listed, "more_kinds": max(len(found) - MOST_KINDS, 0), "read": read, "all": read < MOST_READ}


def by_reason(reader: AuditReader, run_id: str) -> dict[str, int]:
    """How many errors there are of each of the kinds that `errors` lists, by node and reason, without data."""
    with database.translated_errors(reader.path):
        found, _ = kinds(reader, run_id, 0)
    return {f"{kind.node}: {_without_data(kind)}": kind.count for kind, _ in found[:MOST_KINDS]}


def slowest(reader: AuditReader, run_id: str, most: int = 10) -> list[JsonObject]:
    """The visits of tokens that took longest. Looks at every one of them."""
    with database.translated_errors(reader.path):
        found = reader.connection.execute(
            "SELECT token_id, node_id, duration_ms FROM node_states WHERE state_id >= ? AND state_id < ?"
            " ORDER BY duration_ms IS NULL, duration_ms DESC LIMIT ?",
            (run_id, f"{run_id}~", most),
        ).fetchall()
    return [{"token": token, "node": node, "seconds": (ms or 0) / 1000} for token, node, ms in found]


def _without_data(kind: Reason) -> str | None:
    return cut(VARYING.sub("…", kind.reason))


def cut(text: str | None) -> str | None:
    """A text that is short enough to be shown."""
    return None if text is None else shortened(text, TEXT)


def _sample(connection: Connection, token: str, *, data: bool) -> JsonObject:
    def one(query: str, *values: Any) -> Any:
        return connection.execute(query, values).fetchone()

    row_id = ids.row_of(token)
    row = one("SELECT row_index, line, source_node_id, source_data, source_data_ref FROM rows WHERE row_id = ?", row_id)
    states = connection.execute(
        "SELECT node_id, status, duration_ms, attempt FROM node_states WHERE state_id > ? AND state_id < ?"
        " ORDER BY step_index, attempt LIMIT ?",
        (f"{token}:", f"{token};", STEPS),
    ).fetchall()
    outcome = one("SELECT outcome, sink_name, sink_row FROM token_outcomes WHERE outcome_id = ?", f"{token}=")
    found: JsonObject = {
        "token": token,
        "row": row[0] if row else None,
        "line": row[1] if row else None,
        "source": row[2] if row else None,
        "steps": [{"node": node, "status": status, "seconds": (ms or 0) / 1000, "try": tried}
                  for node, status, ms, tried in states],
        "outcome": outcome[0] if outcome else None,
        "sink": outcome[1] if outcome else None,
        "sink_row": outcome[2] if outcome else None,
    }  # fmt: skip
    if data and row:
        kept = row[3] if row[3] is not None else ("(in the payload store)" if row[4] else "(no longer kept)")
        found["data"] = cut(kept)
    return found
