"""What must hold between the records of a run, whoever wrote them: hashes, references, one outcome per token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from operator import itemgetter
from typing import Any

from elspeth import canonical
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.chain.records import Record
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_view
from elspeth.audit.mapping.views import BEHIND_A_TOKEN
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
_EDGE = ("routing_events", "event_id", "edge_id")

_ACCOUNTS = "accounts"

_FEW = 4096
"""Values of a column that are remembered; where there are more the database is asked."""


class Contents:
    """What the records of one table say by themselves, gathered while they are read for another purpose.

    That is: data whose hash is `wrong`, and what is `named` in columns of few values.
    """

    def __init__(self, table: str) -> None:
        columns = NEWEST.columns[table]
        self.wrong: dict[str, list[Discrepancy]] = {data: [] for of, _, data, _ in _HASHED if of == table}
        self.named: dict[str, set[Any]] = {column: set() for of, _, column in (*_NODES, _EDGE) if of == table}
        self._hashed = [
            (table, columns.index(key), data, columns.index(data), digest, columns.index(digest))
            for of, key, data, digest in _HASHED
            if of == table
        ]
        self._named = [(self.named[column], itemgetter(columns.index(column))) for column in self.named]

    def take(self, records: Sequence[Record]) -> None:
        """Take some more records, with the newest columns, in the order of their keys."""
        for table, key, data, at, digest, digest_at in self._hashed:
            wrong = self.wrong[data]
            if len(wrong) < NAMED:
                for record in records:
                    text, expected = record[at], record[digest_at]
                    if text is not None and expected is not None and not _fits(text, expected):
                        wrong.append(_wrong_hash(table, record[key], data, digest))
                del wrong[NAMED:]
        for values, value_of in self._named:
            if len(values) <= _FEW:
                values.update(map(value_of, records))

    def only(self, column: str, known: Set[str]) -> bool:
        """Whether this column is sure to hold no other values than these, or none."""
        return len(self.named[column]) <= _FEW and self.named[column] <= {None, *known}


Answer = Callable[[str], Iterable[Discrepancy]]


def questions(connection: Connection, run_id: str) -> list[str]:
    """What takes a statement over all records to find out, by name."""
    completed = _is_completed(connection, run_id)
    return [*(f"{of}.{column}" for of, _, column, _, _, at_end in _REFERENCES if completed or not at_end), _ACCOUNTS]


def answer(connection: Connection, run_id: str, question: str) -> Iterator[Discrepancy]:
    """What does not hold there, some of it."""
    if question == _ACCOUNTS:
        yield from _accounts(connection, run_id, _is_completed(connection, run_id))
    for table, key, column, target, target_key, _ in _REFERENCES:
        if question == f"{table}.{column}" and not _is_joined(connection, run_id, table, column):
            there = f"SELECT 1 FROM {target} AS t WHERE t.{target_key} = r.{column}"
            yield from _dangling(connection, run_id, table, key, column, target, there)


def findings(
    connection: Connection, run_id: str, contents: Mapping[str, Contents | None], answers: Answer
) -> Iterator[Discrepancy]:
    """What does not hold between the records of this run, a few of each kind.

    `contents` are those of each table, None where they could not be gathered; `answers` gives what `answer` does.
    """
    for table, key, data, digest in _HASHED:
        held = contents[table]
        yield from _hashes(connection, run_id, table, key, data, digest) if held is None else held.wrong[data]
    for question in questions(connection, run_id):
        if question != _ACCOUNTS:
            yield from answers(question)
    for table, key, column in (*_NODES, _EDGE):
        target, target_key = ("edges", "edge_id") if column == "edge_id" else ("nodes", "node_id")
        known = {
            name for (name,) in connection.execute(f"SELECT {target_key} FROM {target} WHERE run_id = ?", (run_id,))
        }
        held = contents[table]
        if held is None or not held.only(column, known):
            there = f"SELECT 1 FROM {target} AS t WHERE t.run_id = '{run_id}' AND t.{target_key} = r.{column}"
            yield from _dangling(connection, run_id, table, key, column, target, there)
    # What a batch gave names its batch, or the members of which it was made.
    there = (
        "SELECT 1 FROM tokens AS t WHERE t.token_id = r.parent_token_id"
        " UNION ALL SELECT 1 FROM batches AS b WHERE b.batch_id = r.parent_token_id"
    )
    yield from _dangling(connection, run_id, "token_parents", "token_id", "parent_token_id", "tokens or batches", there)
    yield from answers(_ACCOUNTS)


def _is_completed(connection: Connection, run_id: str) -> bool:
    found = connection.execute("SELECT 1 FROM runs WHERE run_id = ? AND status = 'completed'", (run_id,)).fetchone()
    return found is not None


def _hashes(connection: Connection, run_id: str, table: str, key: str, data: str, digest: str) -> Iterator[Discrepancy]:
    left = NAMED
    for name, text, expected in connection.execute(
        f"SELECT {key}, {data}, {digest} FROM {table}"
        f" WHERE {key} >= ? AND {key} < ? AND {data} IS NOT NULL AND {digest} IS NOT NULL ORDER BY {key}",
        (run_id, run_id + "~"),
    ):
        if not _fits(text, expected):
            yield _wrong_hash(table, name, data, digest)
            left -= 1
            if not left:
                return


def _fits(text: Any, expected: Any) -> bool:
    try:
        return bool(canonical.sha256_of_text(text) == expected)
    except (TypeError, ValueError):
        return False  # it is no JSON


def _wrong_hash(table: str, name: Any, data: str, digest: str) -> Discrepancy:
    return Discrepancy("hash", f"{table} {name}: {data} does not have the hash in {digest}", table, str(name))


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


def _is_joined(connection: Connection, run_id: str, table: str, column: str) -> bool:
    """Whether all that this column names is there for certain: a view finds tokens by a join, or rows without one."""
    joined = column == "token_id" and table in BEHIND_A_TOKEN and is_view(connection, table)
    return joined and next(_without_token(connection, run_id), None) is None


def _without_token(connection: Connection, run_id: str) -> Iterator[str]:
    """The ids of rows, some of them, that have no first token."""
    for (name,) in connection.execute(
        "SELECT row_id FROM rows AS r WHERE row_id >= ? AND row_id < ?"
        f" AND NOT EXISTS (SELECT 1 FROM tokens AS t WHERE t.token_id = r.row_id) LIMIT {NAMED}",
        (run_id, run_id + "~"),
    ):
        yield name


def _accounts(connection: Connection, run_id: str, completed: bool) -> Iterator[Discrepancy]:
    """Every row has its first token, and every token its one terminal outcome, under the id that says so."""
    reach = (run_id, run_id + "~")
    for name in _without_token(connection, run_id):
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
