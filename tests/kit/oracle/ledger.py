"""What must hold between the audit tables, whatever the pipeline was."""

from __future__ import annotations

import bisect
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator

from tests.kit.oracle import canonical, chain

TERMINAL = {
    "completed", "routed", "forked", "expanded", "coalesced", "consumed_in_batch", "quarantined", "discarded", "failed",
}  # fmt: skip
AT_A_SINK = {"completed", "routed"}

REFERENCES = (
    ("tokens", "row_id", "rows", "row_id"),
    ("token_parents", "token_id", "tokens", "token_id"),
    ("node_states", "token_id", "tokens", "token_id"),
    ("node_states", "node_id", "nodes", "node_id"),
    ("routing_events", "state_id", "node_states", "state_id"),
    ("routing_events", "edge_id", "edges", "edge_id"),
    ("token_outcomes", "token_id", "tokens", "token_id"),
    ("token_outcomes", "batch_id", "batches", "batch_id"),
    ("token_outcomes", "sink_name", "nodes", "node_id"),
    ("rows", "source_node_id", "nodes", "node_id"),
    ("edges", "from_node_id", "nodes", "node_id"),
    ("edges", "to_node_id", "nodes", "node_id"),
    ("validation_errors", "row_id", "rows", "row_id"),
    ("validation_errors", "node_id", "nodes", "node_id"),
    ("transform_errors", "token_id", "tokens", "token_id"),
    ("transform_errors", "node_id", "nodes", "node_id"),
    ("batches", "node_id", "nodes", "node_id"),
    ("batch_members", "batch_id", "batches", "batch_id"),
    ("batch_members", "token_id", "tokens", "token_id"),
    ("calls", "state_id", "node_states", "state_id"),
    ("artifacts", "node_id", "nodes", "node_id"),
    ("checkpoints", "row_id", "rows", "row_id"),
    ("checkpoints", "token_id", "tokens", "token_id"),
)
DISCARD = "discard"  # not a node: the one target of an edge, and the one destination, that no table holds
SHOWN = 5  # violations of one kind that are listed one by one


def violations(db: sqlite3.Connection, run_id: str, *, finished: bool) -> Iterator[str]:
    """Every broken rule of one run's records; `finished` says that nothing may be open any more."""
    run = db.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if run is None:
        yield f"runs: there is no run {run_id}"
        return
    if finished:
        yield from _run_is_closed(db, run)
    yield from _references(db, run_id, finished=finished)
    yield from _rows(db, run_id)
    yield from _tokens(db, run_id, finished=finished)
    yield from _commits(db, run)
    yield from chain.violations(db, run_id, audited_tables(db))
    yield from _checkpoints(db, run_id)
    yield from _sink_rows(db, run_id)


def several(found: list[str]) -> Iterator[str]:
    """The first few of many violations of one kind, and how many more there are."""
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield f"{found[0].split(':')[0]}: and {len(found) - SHOWN} more like the last"


def _run_is_closed(db: sqlite3.Connection, run: sqlite3.Row) -> Iterator[str]:
    if run["status"] != "completed":
        yield f"runs: status is {run['status']}, not completed"
    if run["completed_at"] is None:
        yield "runs: completed_at is empty"
    waiting = db.execute(
        "SELECT count(*) FROM token_outcomes WHERE run_id = ? AND is_terminal = 0 AND token_id NOT IN"
        " (SELECT token_id FROM token_outcomes WHERE run_id = ? AND is_terminal = 1)",
        (run["run_id"], run["run_id"]),
    ).fetchone()[0]
    if waiting:
        yield f"token_outcomes: {waiting} tokens are still buffered"


def _references(db: sqlite3.Connection, run_id: str, *, finished: bool) -> Iterator[str]:
    for table, column, target, key in REFERENCES:
        if target == "batches" and not finished:
            continue  # an open batch has no record yet
        orphans = db.execute(
            f"SELECT DISTINCT t.{column} FROM {table} t"
            f" LEFT JOIN {target} o ON o.run_id = t.run_id AND o.{key} = t.{column}"
            f" WHERE t.run_id = ? AND t.{column} IS NOT NULL AND o.{key} IS NULL",
            (run_id,),
        )
        found = [row[0] for row in orphans if row[0] != DISCARD]
        yield from several([f"{table}: {column} {orphan} is not in {target}" for orphan in found])
    strangers = db.execute(
        "SELECT parent_token_id FROM token_parents WHERE run_id = ? EXCEPT SELECT token_id FROM tokens WHERE run_id = ?"
        " EXCEPT SELECT batch_id FROM batches WHERE run_id = ?",
        (run_id, run_id, run_id),
    )
    yield from several([f"token_parents: {row[0]} is neither a token nor a batch" for row in strangers])


def _rows(db: sqlite3.Connection, run_id: str) -> Iterator[str]:
    found = []
    expected = 0
    for row in db.execute("SELECT * FROM rows WHERE run_id = ? ORDER BY row_index", (run_id,)):
        if row["row_index"] != expected:
            found.append(f"rows: row_index {row['row_index']} stands where {expected} is due")
            expected = row["row_index"]
        if row["row_id"] != f"{run_id}-{row['row_index']:09d}":
            found.append(f"rows: {row['row_id']} is not the id of row {row['row_index']}")
        if row["source_data"] is not None:
            digest = canonical.sha256(json.loads(row["source_data"]))
            if digest != row["source_data_hash"]:
                found.append(f"rows: the data of {row['row_id']} does not have its hash")
        expected += 1
    yield from several(found)


def _tokens(db: sqlite3.Connection, run_id: str, *, finished: bool) -> Iterator[str]:
    without = db.execute(
        "SELECT r.row_id FROM rows r LEFT JOIN tokens t ON t.run_id = r.run_id AND t.token_id = r.row_id"
        " WHERE r.run_id = ? AND t.token_id IS NULL",
        (run_id,),
    )
    yield from several([f"tokens: row {row[0]} has no token of its own" for row in without])
    terminal: Counter[str] = Counter()
    waiting = set()
    for token, ends in db.execute("SELECT token_id, is_terminal FROM token_outcomes WHERE run_id = ?", (run_id,)):
        terminal[token] += ends
        waiting.add(token)
    found = []
    for (token,) in db.execute("SELECT token_id FROM tokens WHERE run_id = ?", (run_id,)):
        if terminal[token] != 1 and (terminal[token] or finished or token not in waiting):
            found.append(f"token_outcomes: token {token} has {terminal[token]} terminal outcomes")
    yield from several(found)
    found = []
    for row in db.execute("SELECT * FROM token_outcomes WHERE run_id = ?", (run_id,)):
        outcome = row["outcome"]
        name = f"token_outcomes: {row['token_id']} is {outcome}"
        if outcome not in TERMINAL | {"buffered"}:
            found.append(f"{name}, which is no outcome")
        elif bool(row["is_terminal"]) != (outcome in TERMINAL):
            found.append(f"{name} with is_terminal {row['is_terminal']}")
        if outcome in AT_A_SINK and (row["sink_name"] is None or row["sink_row"] is None):
            found.append(f"{name} without saying at which row of which sink")
        if (row["sink_name"] is None) != (row["sink_row"] is None):
            found.append(f"{name} with only one of sink_name and sink_row")
    yield from several(found)


def _sink_rows(db: sqlite3.Connection, run_id: str) -> Iterator[str]:
    """Each sink's row numbers are 1, 2, 3 … and grow with the tokens, unless some waited for others."""
    found = []
    waited = db.execute("SELECT 1 FROM batch_members WHERE run_id = ? LIMIT 1", (run_id,)).fetchone() is not None
    last: dict[str, tuple[int, str]] = {}
    for row in db.execute(
        "SELECT sink_name, sink_row, token_id FROM token_outcomes WHERE run_id = ? AND sink_row IS NOT NULL"
        " ORDER BY sink_name, sink_row",
        (run_id,),
    ):
        before, token = last.get(row["sink_name"], (0, ""))
        if row["sink_row"] != before + 1:
            found.append(f"token_outcomes: row {row['sink_row']} of {row['sink_name']} follows row {before}")
        if not waited and row["token_id"].partition("-")[2][:9] < token.partition("-")[2][:9]:
            found.append(f"token_outcomes: {row['token_id']} stands after {token} in {row['sink_name']}")
        last[row["sink_name"]] = (row["sink_row"], row["token_id"])
    yield from several(found)


def audited_tables(db: sqlite3.Connection) -> list[str]:
    """The tables whose records belong to a commit, as they are read: some are views."""
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type <> 'index' ORDER BY name")]
    return [
        name
        for name in names
        if name not in ("commits", "commit_tables")
        and {"run_id", "commit_no"} <= {row["name"] for row in db.execute(f"PRAGMA table_info({name})")}
    ]


def _commits(db: sqlite3.Connection, run: sqlite3.Row) -> Iterator[str]:
    run_id = run["run_id"]
    commits = db.execute("SELECT * FROM commits WHERE run_id = ? ORDER BY commit_no", (run_id,)).fetchall()
    if not commits:
        yield "commits: there is none"
        return
    attempt = 0
    for previous, commit in zip([None, *commits], commits, strict=False):
        number = commit["commit_no"]
        if previous is not None:
            if number != previous["commit_no"] + 1:
                yield f"commits: {number} follows {previous['commit_no']}"
            if commit["previous_digest"] != previous["digest"]:
                yield f"commits: {number} does not continue the digest of {previous['commit_no']}"
        if commit["attempt"] < attempt or commit["attempt"] > run["attempt"]:
            yield f"commits: {number} is of attempt {commit['attempt']}, after {attempt}, of {run['attempt']}"
        attempt = max(attempt, commit["attempt"])
    counted: dict[int, int] = {}
    for table in audited_tables(db):
        for number, count in db.execute(
            f"SELECT commit_no, count(*) FROM {table} WHERE run_id = ? GROUP BY commit_no", (run_id,)
        ):
            counted[number] = counted.get(number, 0) + count
    for commit in commits:
        count = counted.pop(commit["commit_no"], 0)
        if count != commit["record_count"]:
            yield f"commits: {commit['commit_no']} counts {commit['record_count']} records, the tables {count}"
    for number in sorted(counted, key=str):
        yield f"commits: {counted[number]} records are of commit {number}, which does not exist"


def _checkpoints(db: sqlite3.Connection, run_id: str) -> Iterator[str]:
    """Sequence numbers grow with the commits, and no checkpoint names a row that its commit does not hold."""
    rows = dict(
        db.execute("SELECT commit_no, max(row_id) FROM rows WHERE run_id = ? GROUP BY commit_no", (run_id,)).fetchall()
    )
    numbers = sorted(rows)
    before = last = None
    for row in db.execute("SELECT * FROM checkpoints WHERE run_id = ? ORDER BY commit_no, sequence_number", (run_id,)):
        number = row["sequence_number"]
        if before is not None and number <= before:
            yield f"checkpoints: sequence number {number} follows {before}"
        before = number
        done = bisect.bisect_right(numbers, row["commit_no"])
        last = max(rows[numbers[done - 1]], last or "") if done else None
        if row["row_id"] is not None and row["row_id"] != last:
            yield f"checkpoints: {row['checkpoint_id']} stands at {row['row_id']}, its commit at {last}"
    if before is None:
        enabled = db.execute("SELECT settings_json FROM runs WHERE run_id = ?", (run_id,)).fetchone()[0]
        if json.loads(enabled or "{}").get("checkpoint", {}).get("enabled", True):
            yield "checkpoints: there is none"
