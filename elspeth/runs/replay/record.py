"""What is on record of a run, as a replay asks for it: rows, batches, calls, and what nodes answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from elspeth import canonical
from elspeth.audit import dialect
from elspeth.audit.chain.texts import original
from elspeth.audit.connection import Connection
from elspeth.audit.explain.payload_reader import NO_LONGER_KEPT, PayloadReader
from elspeth.coordinator.blame import Conviction
from elspeth.errors import ElspethError
from elspeth.execution.codec import BadRow
from elspeth.plugins.contract import REFUSED, Row

KILLED = "killed the process that"
"""How the reason begins of what was set aside, see `Executor.set_aside`; it ends in a colon and why."""


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row as its source gave it: `data`, or why it was none. `read_at` and `commit_no` say when."""

    row_id: str
    index: int
    source: str
    data: Row | None
    bad: BadRow | None
    line: int | None
    read_at: str
    commit_no: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A batch or pending join that was closed: by what, with how many members, when, and in which commit."""

    trigger: str
    status: str
    members: int
    at: str
    commit_no: int


@dataclass(frozen=True, slots=True)
class Visit:
    """What is on record of a token's last try at a node. `data` is what it gave, None where it gave what it got."""

    state_id: str
    status: str
    error: dict[str, Any]
    given: str | None
    hash: str | None
    data: Row | None


class RunRecord:
    """The records of one run, each asked for by its key. `connection` is open for reading."""

    def __init__(self, connection: Connection, run_id: str, contents: PayloadReader) -> None:
        self.connection = connection
        self.run_id = run_id
        self._contents = contents
        self._reach = (run_id, f"{run_id}~")
        self.set_aside, self.failed_batches = self._killers()

    # -- rows --------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[RecordedRow]:
        """Every row, in order."""
        for row_id, index, source, text, reference, line, at, commit_no, error, raw in dialect.stream(
            self.connection,
            "SELECT r.row_id, r.row_index, r.source_node_id, r.source_data, r.source_data_ref, r.line, r.created_at,"
            " r.commit_no, v.error, v.raw_data FROM rows AS r"
            " LEFT JOIN validation_errors AS v ON v.error_id = r.row_id || '!'"
            " WHERE r.row_id >= ? AND r.row_id < ? ORDER BY r.row_id",
            self._reach,
        ):
            data = self.content(text, reference, f"row {index}")
            bad = None
            if error is not None:
                fields = {name: value for name, value in data.items() if name not in REFUSED}
                bad = BadRow(data.get("_raw") or original(raw or ""), original(error), line, fields)
            yield RecordedRow(row_id, index, source, None if bad else data, bad, line, at, commit_no)

    def content(self, text: str | None, reference: str | None, what: str) -> Row:
        """A row's data, inline or from the payload store. Raises `ElspethError` where it cannot be had."""
        if text is not None:
            return dict(canonical.from_text(text))
        found = self._contents.read(None, reference)
        if found["values"] is None:
            why = found["kept"]
            why = "it was forgotten by a purge" if why == NO_LONGER_KEPT else why
            raise ElspethError(
                f"run {self.run_id} cannot be replayed: the data of {what} is not there: {why}",
                next_step=f"elspeth verify {self.run_id}  (says what of its evidence holds)",
            )
        return dict(found["values"])

    def first_done(self, row_id: str) -> str:
        """When the first thing happened to a row (ISO 8601), empty where nothing did."""
        (at,) = self.connection.execute(
            "SELECT min(at) FROM ("
            "SELECT min(completed_at) AS at FROM node_states WHERE state_id >= ?1 AND state_id < ?2"
            " UNION ALL SELECT min(recorded_at) FROM token_outcomes WHERE outcome_id >= ?1"
            " AND outcome_id < ?2) AS ended",
            (row_id, f"{row_id}~~"),
        ).fetchone()
        return at or ""

    # -- batches and meetings ----------------------------------------------------------------------------------

    def closed(self, batch: str) -> Closed | None:
        """How a batch or pending join ended, None where nothing is on record of that."""
        found = self.connection.execute(
            "SELECT trigger_type, status, (SELECT count(*) FROM batch_members AS m WHERE m.batch_id = b.batch_id),"
            " completed_at, commit_no FROM batches AS b WHERE batch_id = ?",
            (batch,),
        ).fetchone()
        return Closed(*found) if found else None

    def timed_out(self) -> frozenset[str]:
        """The nodes at which what waited was let go by the clock."""
        found = self.connection.execute(
            "SELECT DISTINCT node_id FROM batches WHERE batch_id >= ? AND batch_id < ? AND trigger_type = 'timeout'",
            self._reach,
        )
        return frozenset(node for (node,) in found)

    def ended(self) -> bool:
        """Whether the end of the input let go of anything."""
        query = "SELECT 1 FROM batches WHERE batch_id >= ? AND batch_id < ? AND trigger_type = 'end_of_source' LIMIT 1"
        return self.connection.execute(query, self._reach).fetchone() is not None

    def members(self, batch: str) -> list[str]:
        """The tokens of a batch, in the order of their arrival."""
        query = "SELECT token_id FROM batch_members WHERE batch_id = ? ORDER BY ordinal"
        return [token for (token,) in self.connection.execute(query, (batch,))]

    # -- what killed -------------------------------------------------------------------------------------------

    def _killers(self) -> tuple[dict[tuple[str, str], Conviction], dict[str, Conviction]]:
        """What was set aside because it killed processes: tokens by (token, node), and batches."""
        tokens: dict[tuple[str, str], Conviction] = {}
        batches: dict[str, Conviction] = {}
        for token, node, text in self.connection.execute(
            "SELECT token_id, node_id, error_json FROM node_states WHERE state_id >= ? AND state_id < ?"
            f" AND status = 'failed' AND {dialect.holds(self.connection, 'error_json')}",
            (*self._reach, '"poison":'),
        ):
            facts = facts_of(text)
            reason = str(facts.pop("reason", ""))
            if facts.get("poison") is not True:
                continue
            conviction = _conviction(reason.partition(": ")[2] if reason.startswith(KILLED) else reason, facts)
            if "batch" in facts:
                batches[str(facts["batch"])] = conviction
            else:
                tokens[token, node] = conviction
        return tokens, batches

    # -- what nodes answered -----------------------------------------------------------------------------------

    def visit(self, token: str, node: str) -> Visit | None:
        """The last try of this token at this node."""
        found = self.connection.execute(
            "SELECT state_id, status, error_json, input_hash, output_hash, output_data, output_data_ref"
            " FROM node_states WHERE state_id >= ? AND state_id < ? AND node_id = ? ORDER BY attempt DESC LIMIT 1",
            (f"{token}:", f"{token};", node),
        ).fetchone()
        if found is None:
            return None
        state, status, error, given, after, text, reference = found
        kept = text is not None or reference is not None
        data = self.content(text, reference, f"state {state}") if kept else None
        return Visit(state, status, facts_of(error), given, after, data)

    def way(self, state: str) -> tuple[str, dict[str, Any]] | None:
        """The label of the edge by which a token left a state, and why; None where it left by the usual one."""
        found = self.connection.execute(
            "SELECT e.label, v.reason_json FROM routing_events AS v"
            " JOIN edges AS e ON e.run_id = ? AND e.edge_id = v.edge_id WHERE v.event_id = ? AND v.mode <> 'divert'",
            (self.run_id, state),
        ).fetchone()
        return (found[0], facts_of(found[1])) if found else None

    def outcome(self, token: str) -> str | None:
        """The terminal outcome of a token."""
        query = "SELECT outcome FROM token_outcomes WHERE outcome_id = ?"
        found = self.connection.execute(query, (f"{token}=",)).fetchone()
        return str(found[0]) if found else None

    def products(self, begin: str) -> list[str]:
        """The tokens that a token was expanded into, or that came of a batch, in their order."""
        found = self.connection.execute(
            "SELECT token_id FROM tokens WHERE token_id >= ? AND token_id < ?", (f"{begin}/", f"{begin}0")
        )
        own = [token for (token,) in found if token.removeprefix(f"{begin}/").isdigit()]
        return sorted(own, key=lambda token: int(token.removeprefix(f"{begin}/")))

    def parents(self, token: str) -> list[str]:
        """The tokens, or the batch, that a token was made of."""
        query = "SELECT parent_token_id FROM token_parents WHERE token_id = ? ORDER BY ordinal"
        return [parent for (parent,) in self.connection.execute(query, (token,))]

    # -- calls -------------------------------------------------------------------------------------------------

    def asking_nodes(self) -> frozenset[str]:
        """The nodes that asked anything, as far as that is on record."""
        found = self.connection.execute(
            "SELECT DISTINCT s.node_id FROM calls AS c JOIN node_states AS s ON s.state_id = c.state_id"
            " WHERE c.call_id >= ? AND c.call_id < ?",
            self._reach,
        )
        return frozenset(node for (node,) in found)

    def calls(self, place: str, node: str) -> list[tuple[Any, ...]]:
        """The exchanges of a node for a token, or for a batch, in order: those of its columns that tell of them."""
        if "@" not in place or place.rpartition("@")[2].partition("/")[2]:
            return self._calls(f"{place}:", f"{place};", node)
        found = self._calls(f"{place}/", f"{place}0", node)
        for member in self.members(place):
            found += self._calls(f"{member}:", f"{member};", node)
        return found

    def _calls(self, low: str, high: str, node: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(
            "SELECT c.call_type, c.status, c.request_hash, c.request_data IS NOT NULL, c.response_data, c.latency_ms,"
            " c.created_at FROM calls AS c JOIN node_states AS s ON s.state_id = c.state_id"
            " WHERE c.call_id >= ? AND c.call_id < ? AND s.node_id = ? ORDER BY s.attempt, c.state_id, c.call_index",
            (low, high, node),
        ).fetchall()


def facts_of(text: str | None) -> dict[str, Any]:
    """The facts of an error or a reason on record; nothing where they are no longer kept."""
    if text is None:
        return {}
    found = canonical.from_text(text)
    return found if isinstance(found, dict) else {}


def _conviction(reason: str, facts: dict[str, Any]) -> Conviction:
    known: dict[str, Any] = {
        name: facts[name] for name in ("detail", "signal", "exit_code", "unit", "stage", "place") if name in facts
    }
    attempts = facts.get("attempts", 1)
    try:
        return msgspec.convert(known | {"reason": reason, "attempts": attempts}, Conviction)
    except msgspec.ValidationError:
        return Conviction(reason=reason, attempts=1)
