"""What a finished run came to: whether any row went a way that the settings call normal, and why the others did not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from elspeth import canonical
from elspeth.audit.connection import Connection
from elspeth.audit.purge import REMOVE
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database

ALL_FAILED = "all_failed"
"""The key of the verdict in the `detail` of the operator's action that removes a run's records about rows."""

MOST_READ = 100_000
"""Errors looked at, per table: reasons repeat themselves."""

VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What makes one reason look like many: numbers, and values that are quoted."""

_PURGED = "no longer kept"

# A token was refused if an error names it; whoever was discarded without one was meant to be.
_NORMAL = (
    "SELECT 1 FROM token_outcomes AS o WHERE outcome_id >= :run AND outcome_id < :end AND outcome = 'discarded'"
    " AND NOT EXISTS (SELECT 1 FROM validation_errors AS e WHERE e.error_id = o.token_id || '!')"
    " AND NOT EXISTS (SELECT 1 FROM transform_errors AS e WHERE e.error_id >= o.token_id || ':'"
    " AND e.error_id < o.token_id || '?' AND e.token_id = o.token_id) LIMIT 1",
    "SELECT 1 FROM token_outcomes AS o WHERE outcome_id >= :run AND outcome_id < :end AND outcome = 'expanded'"
    " AND NOT EXISTS (SELECT 1 FROM tokens AS t WHERE t.token_id >= o.token_id || '/'"
    " AND t.token_id < o.token_id || '0') LIMIT 1",
    "SELECT 1 FROM batches AS b WHERE batch_id >= :run AND batch_id < :end AND status = 'completed'"
    " AND batch_id LIKE '%@%' AND NOT EXISTS (SELECT 1 FROM tokens AS t WHERE t.token_id >= b.batch_id || '/'"
    " AND t.token_id < b.batch_id || '0') AND EXISTS (SELECT 1 FROM token_outcomes AS o"
    " WHERE o.outcome_id >= :run AND o.outcome_id < :end AND o.outcome = 'consumed_in_batch'"
    " AND o.batch_id = b.batch_id) LIMIT 1",
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows did not go the normal way: at which node, how many, the first one's words, and its token."""

    node: str
    reason: str
    count: int
    token: str

    @property
    def row(self) -> int | None:
        """The index of the row, if the token is a row's own."""
        number = self.token.partition("-")[2]
        return int(number) if number.isdigit() else None


def all_failed(reader: AuditReader, run_id: str) -> bool:
    """Whether rows came and none went a normal way: into a sink by decision, or left out by one.

    Of a run whose records about rows were removed, what was found when that began.
    """
    kept = _kept(reader, run_id)
    if kept is not None:
        return kept
    if not reader.row_count(run_id):
        return False
    outcomes = reader.outcome_counts(run_id)
    if outcomes.get("completed") or outcomes.get("routed"):
        return False
    reach = {"run": run_id, "end": f"{run_id}~"}
    with database.translated_errors(reader.path):
        return not any(reader.connection.execute(query, reach).fetchone() for query in _NORMAL)


def _kept(reader: AuditReader, run_id: str) -> bool | None:
    """The verdict that the first removal noted: a later one, which finishes what that began, saw only the rest."""
    details = (action.detail for action in reader.operator_actions(run_id) if action.action == REMOVE)
    found = (canonical.from_text(detail).get(ALL_FAILED) for detail in details if detail)
    return next((verdict for verdict in found if isinstance(verdict, bool)), None)


def reasons(reader: AuditReader, run_id: str, most: int = 3) -> list[Reason]:
    """The most frequent reasons. Those that differ only in numbers and quoted values are one."""
    with database.translated_errors(reader.path):
        return [reason for reason, _ in kinds(reader, run_id, 1)[0][:most]]


def kinds(reader: AuditReader, run_id: str, samples: int) -> tuple[list[tuple[Reason, list[str]]], int]:
    """All reasons, most frequent first, each with so many of its tokens; and how many errors were looked at."""
    found: dict[tuple[str, str], list[Any]] = {}
    tokens: dict[tuple[str, str], list[str]] = {}
    read = 0
    for node, reason, token in chain(_refused(reader.connection, run_id), _failed(reader.connection, run_id)):
        read += 1
        key = node, VARYING.sub("*", reason)
        known = found.setdefault(key, [node, reason, 0, token])
        known[2] += 1
        listed = tokens.setdefault(key, [])
        if len(listed) < samples:
            listed.append(token)
    ordered = sorted(found.items(), key=lambda item: -item[1][2])
    return [(Reason(*facts), tokens[key]) for key, facts in ordered], read


def _refused(connection: Connection, run_id: str) -> Iterator[tuple[str, str, str]]:
    for node, error, row in connection.execute(
        "SELECT node_id, error, row_id FROM validation_errors WHERE error_id >= ? AND error_id < ?"
        " ORDER BY error_id LIMIT ?",
        (run_id, f"{run_id}~", MOST_READ),
    ):
        yield node, error or _PURGED, row


def _failed(connection: Connection, run_id: str) -> Iterator[tuple[str, str, str]]:
    for node, text, token in connection.execute(
        "SELECT node_id, error_json, token_id FROM transform_errors WHERE error_id >= ? AND error_id < ?"
        " ORDER BY error_id LIMIT ?",
        (run_id, f"{run_id}~", MOST_READ),
    ):
        facts = canonical.from_text(text) if text else None
        yield node, str(facts.get("reason", text)) if isinstance(facts, dict) else _PURGED, token
