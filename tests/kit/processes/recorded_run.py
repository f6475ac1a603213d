"""What an audit database tells about a run, without what differs between two runs of the same pipeline."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.kit.compressed import UNPACK, plain_bytes

TABLES = (
    "nodes", "edges", "rows", "tokens", "token_parents", "node_states", "routing_events", "token_outcomes",
    "validation_errors", "transform_errors", "batches", "batch_members", "calls", "artifacts",
)  # fmt: skip
"""Everything that is said about rows and files. What an attempt did (checkpoints, commits, events) may differ."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
VARYING = {"commit_no", "created_at", "started_at", "completed_at", "recorded_at", "duration_ms", "latency_ms"}


def query(database: Path, text: str, *values: Any) -> list[tuple[Any, ...]]:
    """The answer to a question, from a connection that can write nothing."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(text, values).fetchall()


def run_id(database: Path) -> str:
    """The id of the only run."""
    ((found,),) = query(database, "SELECT run_id FROM runs")
    return str(found)


def comparable_records(database: Path, run: str) -> dict[str, list[tuple[Any, ...]]]:
    """The records of a run by table, in key order, the run's id replaced by a word."""
    told = {}
    for table in TABLES:
        columns = [row[1] for row in query(database, f"PRAGMA table_info({table})")]
        kept = [column for column in columns if column not in VARYING]
        records = query(database, f"SELECT {', '.join(kept)} FROM {table} WHERE run_id = ?", run)
        if table == "artifacts":
            records = [_of_any_commits(kept, record) for record in records]
        told[table] = sorted((tuple(_plain(value, run) for value in record) for record in records), key=repr)
    return told


def _of_any_commits(columns: list[str], record: tuple[Any, ...]) -> tuple[Any, ...]:
    """An artifact without size and hash if it is compressed: these depend on when there were commits."""
    named = dict(zip(columns, record, strict=True))
    if named["kind"] == "output" and Path(named["path"] or "").suffix in UNPACK:
        named |= {"size_bytes": None, "content_hash": None}
    return tuple(named.values())


def _plain(value: Any, run: str) -> Any:
    return TIME.sub("TIME", value.replace(run, "RUN")) if isinstance(value, str) else value


def differences(found: dict[str, list[tuple[Any, ...]]], expected: dict[str, list[tuple[Any, ...]]]) -> list[str]:
    """Where the records of two runs differ: per table, how many there are and the first that only one run has."""
    told = []
    for table, records in expected.items():
        if found[table] != records:
            more, less = set(found[table]) - set(records), set(records) - set(found[table])
            told.append(
                f"{table}: {len(found[table])} records, not {len(records)}; "
                f"only here: {sorted(more, key=repr)[:1]}, missing: {sorted(less, key=repr)[:1]}"
            )
    return told


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of what is in every file in the output folder, by name."""
    return {path.name: hashlib.sha256(plain_bytes(path)).hexdigest() for path in sorted((folder / "output").glob("*"))}


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below a folder with the time of its last change and its SHA-256: what "nothing written" is held to.

    SQLite's shared memory is left out: it holds no data, and readers lock it.
    """
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }
