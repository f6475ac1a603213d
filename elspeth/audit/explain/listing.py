"""The rows of a run and where its tokens ended, one after the other, however many there are.

They are read a page at a time, by key: memory does not grow, and nobody who writes meanwhile is held up by a long read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elspeth import ids
from elspeth.audit.explain.node_visits import parsed
from elspeth.audit.explain.payload_reader import PayloadReader, bases_of
from elspeth.audit.purge import PURGE, last_action
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database
from elspeth.audit.store.place import Place

PAGE = 2000


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row as it was read, by its index over all sources.

    `values` is None where the data is no longer kept or cannot be found: `kept` says which. `sha256` (hex) is of the
    values, `line` the line of the input, counted from 1, where the source can tell.
    """

    index: int
    row_id: str
    source: str
    line: int | None
    values: dict[str, Any] | None
    kept: str
    sha256: str | None
    read_at: str


@dataclass(frozen=True, slots=True)
class TokenOutcome:
    """Where a token ended: its outcome, the sink and the number of its row there, or what was wrong.

    `row` is the index of the row that it came of; of a token that came of a batch, of the batch's first.
    """

    token_id: str
    row: int
    outcome: str
    sink: str | None
    sink_row: int | None
    error: Any
    recorded_at: str


def rows(place: Place, run_id: str) -> Iterator[RecordedRow]:
    """The rows of a run in the order in which they were read. Raises `RunNotFound`, and what reading raises."""
    contents = _contents(place, run_id)
    for row_id, index, source, digest, data, reference, line, at in _paged(
        place,
        run_id,
        "SELECT row_id, row_index, source_node_id, source_data_hash, source_data, source_data_ref, line, created_at"
        " FROM rows WHERE row_id > ? AND row_id < ? ORDER BY row_id LIMIT ?",
    ):
        content = contents.read(data, reference)
        yield RecordedRow(index, row_id, source, line, content["values"], content["kept"], digest, at)


def outcomes(place: Place, run_id: str) -> Iterator[TokenOutcome]:
    """The terminal outcome of each token of a run that has one, by row. Raises as `rows` does."""
    for _, token, outcome, sink, sink_row, error, at in _paged(
        place,
        run_id,
        "SELECT outcome_id, token_id, outcome, sink_name, sink_row, error_json, recorded_at FROM token_outcomes"
        " WHERE outcome_id > ? AND outcome_id < ? AND is_terminal = 1 ORDER BY outcome_id LIMIT ?",
    ):
        yield TokenOutcome(token, ids.row_index(token), outcome, sink, sink_row, parsed(error), at)


def _contents(place: Place, run_id: str) -> PayloadReader:
    with AuditReader(place) as reader:
        run = reader.run(run_id)
        purged = last_action(reader.connection, run_id, PURGE) > 0
    return PayloadReader(bases_of(run.settings_json, run.working_directory), purged=purged)


def _paged(place: Place, run_id: str, query: str) -> Iterator[tuple[Any, ...]]:
    """What the query answers, whose first column is the key that it goes by."""
    last = run_id
    while True:
        with AuditReader(place) as reader, database.translated_errors(place):
            found = reader.connection.execute(query, (last, f"{run_id}~", PAGE)).fetchall()
        yield from found
        if len(found) < PAGE:
            return
        last = found[-1][0]
