"""Holds what a replay decided against what is on record, row by row: the first thing in which each row differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from elspeth import ids
from elspeth.audit import dialect
from elspeth.audit.connection import Connection
from elspeth.audit.explain.payload_reader import PayloadReader, differences
from elspeth.runs.replay.record import facts_of
from elspeth.visible import shortened

_TRY = re.compile(r"(:[0-9]+)\.[0-9]+")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """In what a row differs first: at which node, in which field, and what stands on either side.

    `what` is `row`, `token`, `way`, `field`, `status`, `reason`, `route`, `batch`, `outcome` or `order`.
    """

    row: int
    line: int | None
    token: str
    node: str | None
    what: str
    field: str | None
    on_record: Any
    replayed: Any


@dataclass(slots=True)
class _State:
    node: str
    step: int
    attempt: int
    status: str
    given: str | None
    after: str | None
    text: str | None
    reference: str | None
    error: str | None
    routes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Row:
    """What one side knows of a row."""

    hash: str | None = None
    line: int | None = None
    text: str | None = None
    reference: str | None = None
    branches: dict[str, str | None] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    states: dict[str, dict[str, _State]] = field(default_factory=dict)
    ends: dict[str, tuple[str, str | None, str | None, str | None]] = field(default_factory=dict)
    refused: dict[str, set[str]] = field(default_factory=dict)
    batches: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)


class _Side:
    """One of the two: its records, grouped by row. Both hold them in the order of their keys, which begin with rows."""

    def __init__(self, connection: Connection, run_id: str, *, recorded: bool) -> None:
        self._connection = connection
        self._reach = (run_id, f"{run_id}~")
        self._readers = {
            "row": self._read("rows", "row_id", "source_data_hash, line, source_data, source_data_ref"),
            "token": self._read("tokens", "token_id", "branch_name"),
            "parent": self._read("token_parents", "token_id", "parent_token_id, ordinal"),
            "state": self._read(
                "node_states", "state_id", "token_id, node_id, step_index, attempt, status, input_hash, output_hash,"
                " output_data, output_data_ref, error_json"
            ),
            "route": self._read("routing_events", "event_id", "state_id, edge_id, mode"),
            "end": self._read(
                "token_outcomes", "outcome_id", "token_id, outcome, sink_name, batch_id, error_json",
                " AND is_terminal = 1",
            ),
            "batch": self._read("batches", "batch_id", "node_id, trigger_type, status"),
            "member": self._read("batch_members", "batch_id", "token_id, ordinal"),
        }  # fmt: skip
        if recorded:
            self._readers["refused"] = self._read("transform_errors", "error_id", "token_id, node_id")
        self._next = {name: next(reader, None) for name, reader in self._readers.items()}

    def _read(self, table: str, key: str, columns: str, condition: str = "") -> Iterator[tuple[Any, ...]]:
        return dialect.stream(
            self._connection,
            f"SELECT {key}, {columns} FROM {table} WHERE {key} >= ? AND {key} < ?{condition} ORDER BY {key}",
            self._reach,
        )

    def row(self, row_id: str) -> _Row:
        """Everything of this row. Rows are asked for in order."""
        found = _Row()
        tries: dict[str, _State] = {}
        for name in self._readers:
            for record in self._of(name, row_id):
                self._take(found, tries, name, record)
        for members in (*found.members.values(), *found.parents.values()):
            members.sort()
        return found

    def _of(self, name: str, row_id: str) -> Iterator[tuple[Any, ...]]:
        record = self._next[name]
        while record is not None and (of := ids.row_of(record[0])) <= row_id:
            if of == row_id:
                yield record
            record = next(self._readers[name], None)
        self._next[name] = record

    @staticmethod
    def _take(found: _Row, tries: dict[str, _State], name: str, record: tuple[Any, ...]) -> None:
        match name:
            case "row":
                _, found.hash, found.line, found.text, found.reference = record
            case "token":
                found.branches[record[0]] = record[1]
            case "parent":
                found.parents.setdefault(record[0], []).append(f"{record[2]:09d} {record[1]}")
            case "state":
                state = _State(*record[2:])
                of_token = found.states.setdefault(record[1], {})
                before = of_token.get(state.node)
                if before is None or before.attempt < state.attempt:  # the last try is what the node answered
                    of_token[state.node] = tries[_TRY.sub(r"\1", record[0])] = state
            case "route":
                if (state_of := tries.get(_TRY.sub(r"\1", record[1]))) is not None:
                    state_of.routes.append((record[2], record[3]))
            case "end":
                found.ends[record[1]] = record[2:]
            case "batch":
                found.batches[record[0]] = record[1:]
            case "member":
                found.members.setdefault(record[0], []).append(f"{record[2]:09d} {record[1]}")
            case "refused" if record[0].startswith(f"{record[1]}>"):
                found.refused.setdefault(record[1], set()).add(record[2])


class Comparison:
    """Compares; `same_settings` says that the same steps are to have done the same, not only where both went.

    `contents` reads what is on record from the payload store.
    """

    def __init__(
        self, recorded: Connection, decided: Connection, run_id: str, contents: PayloadReader, *,
        same_settings: bool,
    ) -> None:  # fmt: skip
        self._run_id = run_id
        self._recorded, self._decided = recorded, decided
        self._sides = _Side(recorded, run_id, recorded=True), _Side(decided, run_id, recorded=False)
        self._contents = contents
        self._strict = same_settings

    def differences(self) -> Iterator[Difference]:
        """The first difference of each row that differs, in the order of rows."""
        query = "SELECT row_id, row_index FROM rows WHERE row_id >= ? AND row_id < ? ORDER BY row_id"
        for row_id, index in self._recorded.execute(query, (self._run_id, f"{self._run_id}~")):
            before, after = self._sides[0].row(row_id), self._sides[1].row(row_id)
            found = next(self._of_row(before, after, row_id), None)
            if found is not None:
                token, node, what, name, then, now = found
                yield Difference(index, before.line, token, node, what, name, _short(then), _short(now))

    def _of_row(self, before: _Row, after: _Row, row_id: str) -> Iterator[tuple[Any, ...]]:
        if before.hash != after.hash:
            yield row_id, None, "row", None, before.hash, after.hash
        tokens = sorted({*before.branches, *after.branches}, key=_in_order)
        for token in tokens:
            if "@" not in token:
                yield from self._of_token(before, after, token)
        for batch in sorted({*before.batches, *after.batches, *before.members, *after.members}):
            node = (before.batches.get(batch) or after.batches.get(batch) or (None,))[0]
            if (members := before.members.get(batch, [])) != (others := after.members.get(batch, [])):
                yield batch, node, "batch", "members", _names(members), _names(others)
            if before.batches.get(batch) != after.batches.get(batch):
                yield batch, node, "batch", None, before.batches.get(batch), after.batches.get(batch)
        for token in tokens:
            if "@" in token:
                yield from self._of_token(before, after, token)

    def _of_token(self, before: _Row, after: _Row, token: str) -> Iterator[tuple[Any, ...]]:
        if token not in after.branches or token not in before.branches:
            there = (token in before.branches, token in after.branches)
            yield token, None, "token", None, *("there" if each else "not there" for each in there)
            return
        if before.branches[token] != after.branches[token]:
            yield token, None, "token", "branch", before.branches[token], after.branches[token]
        parents, others = _parents(before, token), _parents(after, token)
        if parents != others:
            yield token, None, "token", "parents", parents, others
        then, now = before.states.get(token, {}), after.states.get(token, {})
        ordered = sorted({**then, **now}, key=lambda node: min(x.step for x in (then.get(node), now.get(node)) if x))
        for node in ordered:
            old, new = then.get(node), now.get(node)
            if old is None or new is None:
                if self._strict:
                    yield token, node, "way", None, *("passed" if each else "not passed" for each in (old, new))
                continue
            if old.status != new.status:
                yield token, node, "status", None, _said(old), _said(new)
            if old.after != new.after:
                yield token, node, *self._fields(before, after, token, old, new)
            reasons = facts_of(old.error).get("reason"), facts_of(new.error).get("reason")
            if self._strict and old.error and old.status == "failed" and reasons[0] != reasons[1]:
                yield token, node, "reason", None, *reasons
            if sorted(old.routes) != sorted(new.routes):
                yield token, node, "route", None, _ways(old.routes), _ways(new.routes)
        old_end, new_end = before.ends.get(token), after.ends.get(token)
        if new_end is not None and new_end[1] in before.refused.get(token, ()):
            return  # the sink had the last word, and it is not asked again
        if (old_end and old_end[:3]) != (new_end and new_end[:3]):
            yield token, None, "outcome", None, _ended(old_end), _ended(new_end)
        if not self._strict and old_end is not None and old_end[1] is not None:
            yield from self._written(before, after, token)

    def _fields(self, before: _Row, after: _Row, token: str, old: _State, new: _State) -> tuple[Any, ...]:
        """The first field in which what a node gave differs."""
        values = (
            self._data(before, token, old, recorded=True), self._data(after, token, new, recorded=False)
        )  # fmt: skip
        return _first_field(*values) or ("field", None, old.after, new.after)

    def _written(self, before: _Row, after: _Row, token: str) -> Iterator[tuple[Any, ...]]:
        """Whether the row that comes to the sink is another, by steps that only one of the pipelines has."""
        then, now = self._final(before, token, recorded=True), self._final(after, token, recorded=False)
        if then is not None and now is not None and then != now:
            found = _first_field(then, now)
            if found is not None:
                yield token, None, *found

    def _final(self, row: _Row, token: str, *, recorded: bool) -> Any:
        states = sorted(row.states.get(token, {}).values(), key=lambda state: state.step, reverse=True)
        return self._given(row, token, states, recorded=recorded)

    def _data(self, row: _Row, token: str, state: _State, *, recorded: bool) -> Any:
        """What a state gave, None where that is not to be had."""
        earlier = [each for each in row.states[token].values() if each.step <= state.step]
        return self._given(row, token, sorted(earlier, key=lambda each: each.step, reverse=True), recorded=recorded)

    def _given(self, row: _Row, token: str, states: list[_State], *, recorded: bool) -> Any:
        """What the newest of these states gave; it may have given what it got."""
        for state in states:
            if state.text is not None or state.reference is not None:
                return self._read(state.text, state.reference, recorded=recorded)
        parents = _names(row.parents.get(token, []))
        if not parents:
            return self._read(row.text, row.reference, recorded=recorded)
        parent = parents[0]
        own = sorted(row.states.get(parent, {}).values(), key=lambda state: state.step, reverse=True)
        return self._given(row, parent, own, recorded=recorded) if parent in row.branches else None

    def _read(self, text: str | None, reference: str | None, *, recorded: bool) -> Any:
        if text is not None:
            return json.loads(text)
        return self._contents.read(None, reference)["values"] if recorded and reference is not None else None

    # -- the order of outputs ----------------------------------------------------------------------------------

    def order(self) -> Iterator[Difference]:
        """For each sink the first row that came to it in another place among those that came to it both times."""
        query = (
            "SELECT token_id, sink_name FROM token_outcomes WHERE outcome_id >= ? AND outcome_id < ?"
            " AND sink_row IS NOT NULL ORDER BY sink_name, sink_row"
        )
        reach = (self._run_id, f"{self._run_id}~")
        refused = {
            token for (token,) in self._recorded.execute(
                "SELECT token_id FROM transform_errors WHERE error_id >= ? AND error_id < ? AND error_id LIKE '%>%'",
                reach,
            )
        }  # fmt: skip
        then, now = (
            (record for record in dialect.stream(side, query, reach) if record[0] not in refused)
            for side in (self._recorded, self._decided)
        )
        for (old, sink), (new, _) in zip(then, now, strict=False):
            if old != new:
                yield Difference(ids.row_index(old), None, old, sink, "order", None, f"{old} comes next", f"{new} does")
                return


def _in_order(token: str) -> str:
    """Branches in front of what they became together."""
    return token.replace("+", "}")


def _first_field(then: Any, now: Any) -> tuple[Any, ...] | None:
    found = differences(then, now) if then is not None and now is not None else []
    first = found[0] if found else None
    return ("field", first["field"], first.get("before"), first.get("after")) if first else None


def _parents(row: _Row, token: str) -> list[str]:
    """What a token was made of. The first release named every member of a batch where the batch is named today."""
    found = _names(row.parents.get(token, []))
    batch = token.rpartition("/")[0]
    return _names(row.members.get(batch, [])) if found == [batch] and "@" in batch else found


def _names(numbered: list[str]) -> list[str]:
    return [each.partition(" ")[2] for each in numbered]


def _said(state: _State) -> str:
    reason = facts_of(state.error).get("reason")
    return f"{state.status}: {reason}" if reason else state.status


def _ways(routes: list[tuple[str, str]]) -> str:
    return ", ".join(edge for edge, _ in sorted(routes)) or "none"


def _ended(end: tuple[Any, ...] | None) -> str:
    if end is None:
        return "not ended"
    outcome, sink, batch, _ = end
    return f"{outcome}, to {sink}" if sink else f"{outcome}, in {batch}" if batch else str(outcome)


def _short(value: Any) -> Any:
    """A value as it is shown: evidence, not a copy of the row."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _SHOWN else shortened(text, _SHOWN)
