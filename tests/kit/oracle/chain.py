"""The chain of commits, digested again from what the tables hold now.

A record is a line of compact JSON: an array of its values. Per commit and table, the lines in key order are hashed,
followed by four bytes for each (Adler-32, little endian). What people wrote into rows is left out of these lines and
digested the same way apart, as `[key, values]` of the records that have any. The digest of a commit is the SHA-256 of
the canonical JSON of its header, which names the digest before it and those of its tables.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from tests.kit.oracle import canonical

APART = {
    "rows": ["source_data"],
    "node_states": ["output_data", "error_json"],
    "routing_events": ["reason_json"],
    "token_outcomes": ["error_json"],
    "validation_errors": ["raw_data"],
    "transform_errors": ["error_json"],
    "batch_members": ["member_data"],
    "calls": ["request_data", "response_data"],
}
CHANGING = {
    "runs": {"status", "completed_at", "attempt", "superseded_by", "failure"},
    "run_attempts": {"heartbeat_number", "heartbeat_at", "ended_at", "end_reason"},
}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
PAIRS = {"token_parents", "batch_members"}  # whose key has two columns


class Digest:
    """The running digest of records, given as lists of values."""

    def __init__(self) -> None:
        self.whole = hashlib.sha256()
        self.marks = bytearray()

    def add(self, values: list[Any]) -> None:
        line = _encode(values).encode()
        self.whole.update(line + b"\n")
        self.marks += struct.pack("<I", zlib.adler32(line))

    def result(self) -> tuple[int, str]:
        """How many records there were, and the digest over them and their marks."""
        whole = self.whole.copy()
        whole.update(self.marks)
        return len(self.marks) // 4, whole.hexdigest()


def table_digests(db: sqlite3.Connection, run_id: str, table: str) -> dict[int, tuple[int, str, str | None]]:
    """Per commit: how many records it wrote into a table, their digest, and that of what is kept apart."""
    columns = [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
    apart = APART.get(table, [])
    left_out = {"commit_no", *apart, *CHANGING.get(table, ())} | (set() if table == "runs" else {"run_id"})
    left_out |= {"row_index"} if table != "rows" else set()  # what the id says, for people
    fixed = [column for column in columns if column not in left_out]
    key = fixed[: 2 if table in PAIRS else 1]
    digests: dict[int, tuple[Digest, Digest]] = {}
    wanted = ", ".join(f'"{column}"' for column in [*fixed, "commit_no", *apart])
    for record in db.execute(f"SELECT {wanted} FROM {table} WHERE run_id = ? ORDER BY {', '.join(key)}", (run_id,)):
        number = record[len(fixed)]
        if number not in digests:
            digests[number] = (Digest(), Digest())
        outer, inner = digests[number]
        outer.add(list(record[: len(fixed)]))
        values = record[len(fixed) + 1 :]
        if any(value is not None for value in values):
            inner.add([*record[: len(key)], *values])
    found = {}
    for number, (outer, inner) in digests.items():
        kept, digest = inner.result()
        found[number] = (*outer.result(), digest if kept else None)
    return found


def header(run_id: str, commit: dict[str, Any], parts: list[list[Any]]) -> str:
    """The digest of a commit."""
    said = {
        "previous": commit["previous_digest"],
        "run_id": run_id,
        "attempt": commit["attempt"],
        "commit_no": commit["commit_no"],
        "committed_at": commit["committed_at"],
        "tables": sorted(parts),
    }
    if commit.get("layout") is not None:  # the first layout did not say so
        said["layout"] = commit["layout"]
    return canonical.sha256(said)


def violations(db: sqlite3.Connection, run_id: str, tables: list[str]) -> Iterator[str]:
    """Every commit whose records are not those that were committed."""
    found = {table: table_digests(db, run_id, table) for table in tables}
    for commit in db.execute("SELECT * FROM commits WHERE run_id = ? ORDER BY commit_no", (run_id,)):
        number = commit["commit_no"]
        parts = []
        for part in db.execute("SELECT * FROM commit_tables WHERE run_id = ? AND commit_no = ?", (run_id, number)):
            name = part["table_name"]
            said = (part["record_count"], part["digest"], part["purgeable_digest"])
            parts.append([name, *said])
            actual = found.get(name, {}).pop(number, None)
            if said != actual:
                yield f"commit_tables: {name} does not hold what commit {number} wrote into it"
        for name, left in found.items():
            if left.pop(number, None):
                yield f"commit_tables: {name} holds records of commit {number}, which wrote none"
        if header(run_id, dict(commit), parts) != commit["digest"]:
            yield f"commits: the digest of {number} is not that of its header"
