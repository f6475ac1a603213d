"""From the tables that people read to the small records that are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from elspeth.audit.chain.records import Record
from elspeth.audit.mapping.codes import MODES, OUTCOMES, STATUSES, packed_duration, packed_hash, packed_time
from elspeth.audit.mapping.tables import ADDED, STORED, StoredTable
from elspeth.errors import ElspethError

ROW_AND_TOKEN, ROW, TOKEN = 1, 2, 3
STATE, STATE_AND_WAY, WAY = 1, 2, 3
SAME = 1
"""The code of an `output_hash` that is the `input_hash`, and of an `input_hash` that is that of the row as read."""

_ROW_ID = 18
_DIGITS = "0123456789"

Tables = Mapping[str, Sequence[Record]]
StoredRecords = dict[str, list[Record]]


class _Memo(dict[Any, Any]):
    """What a function made of a value: times repeat themselves, and so do hashes."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __missing__(self, value: Any) -> Any:
        made = self[value] = self._make(value)
        return made


def packed(records: Tables, read: Mapping[Any, Any] | None = None, *, strict: bool = True) -> StoredRecords:
    """The stored form of records of whatever tables; those that are stored as they are read are left out.

    A row and its first token, a state and its first way must come together where both are new. `read` are the hashes of
    rows besides those that are among the records. Raises `ElspethError` where an id is not made of what it names, if
    `strict`; else it comes out as its id says.
    """
    times, hashes = _Memo(packed_time), _Memo(packed_hash)
    more: dict[str, dict[str, Record]] = {}
    for table, later in ADDED.items():
        held = records.get(table, ())
        more[table] = {record[0]: record[-len(later) :] for record in held}
        records = {**records, table: [record[: -len(later)] for record in held]}
    read = {**(read or {}), **{row[0]: row[3] for row in records.get("rows", ())}}
    found = {
        "token_records": _tokens(records.get("rows", ()), records.get("tokens", ()), times, hashes),
        "state_records": _states(
            records.get("node_states", ()), records.get("routing_events", ()), read, times, hashes, strict=strict
        ),
        "outcome_records": _outcomes(records.get("token_outcomes", ()), times, strict=strict),
    }
    if more:
        found = {table: [_with_more(STORED[table], record, more) for record in made] for table, made in found.items()}
    return {table: made for table, made in found.items() if made}


def _with_more(form: StoredTable, record: Record, more: Mapping[str, Mapping[str, Record]]) -> Record:
    for table in form.holds:
        if table in more:
            record += more[table].get(record[0], (None,) * len(ADDED[table]))
    return record


def _tokens(rows: Sequence[Record], tokens: Sequence[Record], times: _Memo, hashes: _Memo) -> list[Record]:
    if not rows and not tokens:
        return []
    first = {token[0]: token for token in tokens} if rows else {}
    found: list[Record] = []
    for row_id, index, source, digest, data, reference, line, at in rows:
        number = None if type(index) is int and row_id[9:_ROW_ID] == f"{index:09d}" else index
        token = first.pop(row_id, None)
        created = times[at]
        if token is None:
            what, row, branch, other = ROW, None, None, None
        else:
            _, row, branch, token_at = token
            what, other = ROW_AND_TOKEN, None if token_at == at else times[token_at]
            if row == row_id[:_ROW_ID]:
                row = None
        found.append((row_id, what, source, hashes[digest], data, reference, line, created, number, branch, row, other))
    for token_id, row, branch, at in first.values() if rows else tokens:
        row = None if row == token_id[:_ROW_ID] else row
        found.append((token_id, TOKEN, None, None, None, None, None, times[at], None, branch, row, None))
    return found


def _states(
    states: Sequence[Record],
    ways: Sequence[Record],
    read: Mapping[Any, Any],
    times: _Memo,
    hashes: _Memo,
    *,
    strict: bool,
) -> list[Record]:
    if not states and not ways:
        return []
    taken = {way[0]: way for way in ways}
    found: list[Record] = []
    for (state_id, token, node, step, attempt, status, given, after, data, reference, error, started, ended,
         duration) in states:  # fmt: skip
        if state_id.rstrip("0123456789.")[:-1] != token and strict:
            raise _of_another(state_id, token)
        begun, took = times[started], times[ended]
        if type(begun) is int and type(took) is int:
            took -= begun
        else:
            took = ended
        way = taken.pop(state_id, None)
        if way is not None and way[1] != state_id and strict:
            raise ElspethError(f"an audit record does not fit its table: {state_id} is no way behind {way[1]!r}")
        if way is None:
            what, edge, mode, reason, routed = STATE, None, None, None, None
        else:
            _, _, edge, mode, reason, at = way
            what, mode, routed = STATE_AND_WAY, MODES.get(mode, mode), times[at]
            if type(routed) is int and type(took) is int:
                routed -= begun + took
            else:
                routed = at
        found.append((
            state_id, what, node, STATUSES.get(status, status), step, attempt,
            SAME if given is not None and read.get(token) == given else hashes[given],
            SAME if after is not None and after == given else hashes[after], data, reference, error, begun, took,
            packed_duration(duration), edge, mode, reason, routed, None,
        ))  # fmt: skip
    for event_id, state_id, edge, mode, reason, at in taken.values():
        when = times[at]
        begun, routed = (when, 0) if type(when) is int else (0, at)
        found.append((
            event_id, WAY, None, None, None, None, None, None, None, None, None, begun, 0, None, edge,
            MODES.get(mode, mode), reason, routed, state_id,
        ))  # fmt: skip
    return found


def _outcomes(outcomes: Iterable[Record], times: _Memo, *, strict: bool) -> list[Record]:
    found: list[Record] = []
    for outcome_id, token, outcome, terminal, sink, row, batch, error, at in outcomes:
        if outcome_id.rstrip(_DIGITS)[:-1] != token and strict:
            raise _of_another(outcome_id, token)
        own = None if terminal == (outcome != "buffered") else terminal
        found.append((outcome_id, OUTCOMES.get(outcome, outcome), sink, row, batch, error, times[at], own))
    return found


def _of_another(record: str, token: object) -> ElspethError:
    return ElspethError(
        f"an audit record does not fit its table: {record} is no id of what happened to token {token!r}"
    )
