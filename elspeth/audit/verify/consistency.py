"""What must hold between the records of a run, whoever wrote them: hashes, references, one outcome per token."""

from __future__ import annotations

from collections.abc import Iterator

from elspeth import canonical
from elspeth.audit.connection import Connection
from elspeth.audit.verify.findings import Discrepancy

NAMED = 10  # findings per question

_HASHED = (
    ("rows", "row_id", "source_data", "source_data_hash"),
    ("node_states", "state_id", "output_data", "output_hash"),
    ("calls", "call_id", "request_data", "request_hash"),
    ("calls", "call_id", "response_data", "response_hash"),
)

# table, its key, the column that refers, the table and column referred to, whether only once the run is completed
_REFERENCES = (
    ("tokens", "token_id", "row_id", "rows", "row_id", False),
    ("token_parents", "token_id", "token_id", "tokens", "token_id", False),
    ("node_states", "state_id", "token_id", "tokens", "token_id", False),
    ("routing_events", "event_id", "state_id", "node_states", "state_id", False),
    ("token_outcomes", "outcome_id", "token_id", "tokens", "token_id", False),
    ("token_outcomes", "outcome_id", "batch_id", "batches", "batch_id", True),  # an open batch has no record yet
    ("batch_members", "batch_id", "batch_id", "batches", "batch_id", True),
    ("batch_members", "batch_id", "token_id", "tokens", "token_id", False),
    ("calls", "call_id", "state_id", "node_states", "state_id", False),
    ("validation_errors", "error_id", "row_id", "rows", "row_id", False),
    ("transform_errors", "error_id", "token_id", "tokens", "token_id", False),
    ("checkpoints", "checkpoint_id", "row_id", "rows", "row_id", False),
    ("checkpoints", "checkpoint_id", "token_id", "tokens", "token_id", False),
)

_NODES = (
    ("rows", "row_id", "source_node_id"),
    ("node_states", "state_id", "node_id"),
    ("batches", "batch_id", "node_id"),
    ("validation_errors", "error_id", "node_id"),
    ("transform_errors", "error_id", "node_id"),
    ("artifacts", "artifact_id", "node_id"),
)


def findings(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    """What does not hold between the records of this run, a few of each kind."""
    completed = connection.execute("SELECT 1 FROM runs WHERE run_id = ? AND status = 'completed'", (run_id,)).fetchone()
    for table, key, data, digest in _HASHED:
        yield from _hashes(connection, run_id, table, key, data, digest)
    for table, key, column, target, target_key, at_end in _REFERENCES:
        if completed or not at_end:
            there = f"SELECT 1 FROM {target} AS t WHERE t.{target_key} = r.{column}"
            yield from _dangling(connection, run_id, table, key, column, target, there)
    for table, key, column in _NODES:
        there = f"SELECT 1 FROM nodes AS t WHERE t.run_id = '{run_id}' AND t.node_id = r.{column}"
        yield from _dangling(connection, run_id, table, key, column, "nodes", there)
    there = f"SELECT 1 FROM edges AS t WHERE t.run_id = '{run_id}' AND t.edge_id = r.edge_id"
    yield from _dangling(connection, run_id, "routing_events", "event_id", "edge_id", "edges", there)
    # What a batch gave names its batch, or the members of which it was made.
    there = (
        "SELECT 1 FROM tokens AS t WHERE t.token_id = r.parent_token_id"
        " UNION ALL SELECT 1 FROM batches AS b WHERE b.batch_id = r.parent_token_id"
    )
    yield from _dangling(connection, run_id, "token_parents", "token_id", "parent_token_id", "tokens or batches", there)
    yield from _accounts(connection, run_id, completed is not None)


def _hashes(connection: Connection, run_id: str, table: str, key: str, data: str, digest: str) -> Iterator[Discrepancy]:
    left = NAMED
    for name, text, expected in connection.execute(
        f"SELECT {key}, {data}, {digest} FROM {table}"
        f" WHERE {key} >= ? AND {key} < ? AND {data} IS NOT NULL AND {digest} IS NOT NULL ORDER BY {key}",
        (run_id, run_id + "~"),
    ):
        try:
            found = canonical.sha256(canonical.from_text(text))
        except (TypeError, ValueError):
            found = "that of no JSON"
        if found != expected:
            yield Discrepancy("hash", f"{table} {name}: {data} does not have the hash in {digest}", table, str(name))
            left -= 1
            if not left:
                return


def _dangling(
    connection: Connection, run_id: str, table: str, key: str, column: str, target: str, there: str
) -> Iterator[Discrepancy]:
    for name, value in connection.execute(
        f"SELECT r.{key}, r.{column} FROM {table} AS r WHERE r.{key} >= ? AND r.{key} < ?"
        f" AND r.{column} IS NOT NULL AND NOT EXISTS ({there}) LIMIT {NAMED}",
        (run_id, run_id + "~"),
    ):
        yield Discrepancy(
            "reference", f"{table} {name}: {column} {value!r} does not exist in {target}", table, str(name)
        )


def _accounts(connection: Connection, run_id: str, completed: bool) -> Iterator[Discrepancy]:
    """Every row has its first token, and every token its one terminal outcome, under the id that says so."""
    reach = (run_id, run_id + "~")
    for (name,) in connection.execute(
        "SELECT row_id FROM rows AS r WHERE row_id >= ? AND row_id < ?"
        f" AND NOT EXISTS (SELECT 1 FROM tokens AS t WHERE t.token_id = r.row_id) LIMIT {NAMED}",
        reach,
    ):
        yield Discrepancy("account", f"row {name} has no token", "rows", name)
    count, highest = connection.execute(
        "SELECT count(*), max(row_index) FROM rows WHERE row_id >= ? AND row_id < ?", reach
    ).fetchone()
    if count and highest != count - 1:
        yield Discrepancy("account", f"{count} rows are recorded, the highest row_index is {highest!r}", "rows")
    for name, outcome in connection.execute(
        "SELECT outcome_id, outcome FROM token_outcomes WHERE outcome_id >= ? AND outcome_id < ? AND CASE"
        " WHEN is_terminal = 1 AND outcome <> 'buffered' THEN outcome_id <> token_id || '='"
        f" ELSE substr(outcome_id, 1, length(token_id) + 1) <> token_id || '~' END LIMIT {NAMED}",
        reach,
    ):
        sentence = f"outcome {name} ({outcome}) is not the one outcome of its token"
        yield Discrepancy("account", sentence, "token_outcomes", str(name))
    if not completed:
        return
    for (name,) in connection.execute(
        "SELECT token_id FROM tokens AS t WHERE token_id >= ? AND token_id < ? AND NOT EXISTS"
        f" (SELECT 1 FROM token_outcomes AS o WHERE o.outcome_id = t.token_id || '=') LIMIT {NAMED}",
        reach,
    ):
        yield Discrepancy(
            "account", f"token {name} has no terminal outcome though the run is completed", "tokens", name
        )
