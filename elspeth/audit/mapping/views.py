"""From the small records that are stored to the tables that people read: views in SQL.

Everything that a view knows besides its record is found by a left join to a key: the run, the token, a name. So a
record that belongs to no run is shown, too; a join that a question does not need is left out by SQLite; and where it
names a run or a token, the join is turned round, and records are found by the range of their keys. That works since
'-' < '.' and ':' < ';', and every id begins with the id of what it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from elspeth.audit.mapping import tables
from elspeth.audit.mapping.codes import MODES, OUTCOMES, STATUSES
from elspeth.audit.mapping.forms import SQLITE, Forms


class Behind(NamedTuple):
    """What stands behind a token's id in the id of a record that concerns it.

    That is one character and then some of `end`, and the whole sorts between `low` and `high`.
    """

    end: str
    low: str
    high: str


BEHIND_A_TOKEN: Mapping[str, Behind] = {
    "node_states": Behind("0123456789.", ":", ";"),
    "token_outcomes": Behind("0123456789", "", "~~"),
}
"""Per view that finds the token in its own id, how."""


def row_index(key: str) -> str:
    """The SQL that reads the row's index out of the id of a record that concerns it, in SQLite."""
    return SQLITE.row_index(key)


def _run(key: str) -> str:
    return (
        f" LEFT JOIN runs AS u ON u.run_id = substr({key}, 1, 8)"
        f" AND {key} > u.run_id || '-' AND {key} < u.run_id || '.'"
    )


def _selected(f: Forms) -> Mapping[str, tuple[dict[str, str], str]]:
    """Per view its columns, and what they are selected from."""

    def name(alias: str, column: str, key: str) -> str:
        return (
            f" LEFT JOIN names AS {alias} ON {alias}.run_id = substr({key}, 1, 8)"
            f" AND {alias}.name_no = {f.number(column)}"
        )

    def token(view: str, key: str) -> str:
        end, low, high = BEHIND_A_TOKEN[view]
        first = f"k.token_id || '{low}'" if low else "k.token_id"
        return (
            f" LEFT JOIN token_records AS k ON k.token_id = {f.without_end(key, end)}"
            f" AND {key} > {first} AND {key} < k.token_id || '{high}'"
        )

    given = f.or_same("s.input_hash", "k.source_data_hash")
    return {
        "rows": (
            {
                "row_id": "k.token_id",
                "run_id": "u.run_id",
                "row_index": f"coalesce(k.row_index, {f.row_index('k.token_id')})",
                "source_node_id": f.named("n", "k.source"),
                "source_data_hash": f.hash_of("k.source_data_hash"),
                "source_data": "k.source_data",
                "source_data_ref": "k.source_data_ref",
                "line": "k.line",
                "created_at": f.time_of("k.created_at"),
                "commit_no": "k.commit_no",
            },
            "token_records AS k" + _run("k.token_id") + name("n", "k.source", "k.token_id") + " WHERE k.what < 3",
        ),
        "tokens": (
            {
                "token_id": "k.token_id",
                "run_id": "u.run_id",
                "row_id": "coalesce(k.row_id, substr(k.token_id, 1, 18))",
                "branch_name": "k.branch_name",
                "created_at": f.time_of("coalesce(k.token_created_at, k.created_at)"),
                "commit_no": "k.commit_no",
                "row_index": f.row_index("k.token_id"),
            },
            "token_records AS k" + _run("k.token_id") + " WHERE k.what <> 2",
        ),
        "node_states": (
            {
                "state_id": "s.state_id",
                "run_id": "u.run_id",
                "token_id": f.joined("k.token_id"),
                "node_id": f.named("n", "s.node"),
                "step_index": "s.step_index",
                "attempt": "s.attempt",
                "status": f.word_of("s.status", STATUSES),
                "input_hash": f.hash_of(given),
                "output_hash": f.hash_of(f.or_same("s.output", given)),
                "output_data": "s.output_data",
                "output_data_ref": "s.output_data_ref",
                "error_json": "s.error_json",
                "started_at": f.time_of("s.started_at"),
                "completed_at": f.time_of("s.started_at", "s.took"),
                "duration_ms": f.duration_of("s.duration"),
                "commit_no": "s.commit_no",
                "row_index": f.row_index("s.state_id"),
            },
            "state_records AS s"
            + _run("s.state_id")
            + token("node_states", "s.state_id")
            + name("n", "s.node", "s.state_id")
            + " WHERE s.what < 3",
        ),
        "routing_events": (
            {
                "event_id": "s.state_id",
                "run_id": "u.run_id",
                "state_id": "q.state_id",
                "edge_id": f.named("e", "s.edge"),
                "mode": f.word_of("s.mode", MODES),
                "reason_json": f.named("w", "s.reason"),
                "created_at": f.time_of("s.started_at", "s.took", "s.routed"),
                "commit_no": "s.commit_no",
                "row_index": f.row_index("s.state_id"),
            },
            "state_records AS s"
            + _run("s.state_id")
            + " LEFT JOIN state_records AS q ON q.state_id = coalesce(s.state, s.state_id)"
            + " AND s.state_id >= q.state_id AND s.state_id < q.state_id || '0'"
            + name("e", "s.edge", "s.state_id")
            + name("w", "s.reason", "s.state_id")
            + " WHERE s.what > 1",
        ),
        "token_outcomes": (
            {
                "outcome_id": "o.outcome_id",
                "run_id": "u.run_id",
                "token_id": f.joined("k.token_id"),
                "outcome": f.word_of("o.outcome", OUTCOMES),
                "is_terminal": f"coalesce(o.is_terminal, {f.is_not('o.outcome', OUTCOMES['buffered'])})",
                "sink_name": f.named("n", "o.sink"),
                "sink_row": "o.sink_row",
                "batch_id": "o.batch_id",
                "error_json": "o.error_json",
                "recorded_at": f.time_of("o.recorded_at"),
                "commit_no": "o.commit_no",
                "row_index": f.row_index("o.outcome_id"),
            },
            "outcome_records AS o"
            + _run("o.outcome_id")
            + token("token_outcomes", "o.outcome_id")
            + name("n", "o.sink", "o.outcome_id"),
        ),
    }


def _added(view: str, origin: str) -> dict[str, str]:
    alias = origin.split(" ", 3)[2]
    return {column: f"{alias}.{tables.added_name(view, column)}" for column in tables.ADDED.get(view, ())}


def selects(forms: Forms = SQLITE) -> dict[str, str]:
    """Per view the SELECT that it is."""
    return {
        view: "SELECT "
        + ", ".join(f'{expression} AS "{column}"' for column, expression in (selected | _added(view, origin)).items())
        + f" FROM {origin}"
        for view, (selected, origin) in _selected(forms).items()
    }


def statements(forms: Forms = SQLITE) -> tuple[str, ...]:
    """The statements that create the views."""
    found = selects(forms)
    assert found.keys() == tables.HELD_IN.keys()
    return tuple(f'CREATE VIEW "{view}" AS {select}' for view, select in found.items())
