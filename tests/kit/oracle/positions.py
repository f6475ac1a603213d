"""What the audit database says about whole files, held against the files."""

from __future__ import annotations

import bisect
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.compressed import plain_bytes


class Position(NamedTuple):
    """Where an output stood at a checkpoint."""

    sink: str
    path: Path
    size: int
    sha256: str
    rows: int
    commit_no: int


def positions(db: sqlite3.Connection, run_id: str, working_directory: Path) -> Iterator[Position]:
    """The place of every output in every checkpoint, oldest first."""
    for row in db.execute("SELECT * FROM checkpoints WHERE run_id = ? ORDER BY sequence_number", (run_id,)):
        for sink, found in _files(json.loads(row["message"])["sinks"]):
            path = working_directory / found["path"]
            yield Position(sink, path, found["size"], found["sha256"], found["rows"], row["commit_no"])


def _files(sinks: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, held in sinks.items():
        if held["output"]["path"] is not None:
            yield name, held["output"]


def not_behind(db: sqlite3.Connection, run_id: str, recorded: list[Position]) -> Iterator[str]:
    """No checkpoint claims more of an output than is there, and each counts the rows committed with it."""
    committed: dict[str, list[int]] = {}
    for name, number in db.execute(
        "SELECT sink_name, commit_no FROM token_outcomes WHERE run_id = ? AND sink_row IS NOT NULL ORDER BY commit_no",
        (run_id,),
    ):
        committed.setdefault(name, []).append(number)
    for sink in sorted({position.sink for position in recorded}):
        own = [position for position in recorded if position.sink == sink]
        digest, done = hashlib.sha256(), 0
        content = own[-1].path.read_bytes() if own[-1].path.exists() else b""
        numbers = committed.get(sink, [])
        for position in own:
            if position.rows != (count := bisect.bisect_right(numbers, position.commit_no)):
                yield f"checkpoints: {sink} stands at row {position.rows} while {count} outcomes are committed"
            if not position.rows or position.size < done:
                continue
            if position.size > len(content):
                yield f"checkpoints: {sink} stands at byte {position.size}, its file has {len(content)}"
                break
            digest.update(content[done : position.size])
            done = position.size
            if digest.hexdigest() != position.sha256:
                yield f"checkpoints: {sink} does not have the recorded hash before byte {position.size}"
                break


def artifacts(db: sqlite3.Connection, run_id: str, working_directory: Path) -> Iterator[str]:
    for row in db.execute("SELECT * FROM artifacts WHERE run_id = ?", (run_id,)):
        path = working_directory / ("stdin" if row["path"] == "-" else row["path"])  # what a test gave as such
        if row["kind"] == "input" and path.is_dir():
            yield from _folder(row, path, working_directory)
            continue
        if not path.exists():
            yield f"artifacts: {row['path']} is missing"
            continue
        content = path.read_bytes()
        if row["size_bytes"] is not None and len(content) != row["size_bytes"]:
            yield f"artifacts: {row['path']} has {len(content)} bytes, {row['size_bytes']} on record"
        if row["content_hash"] is not None and hashlib.sha256(content).hexdigest() != row["content_hash"]:
            yield f"artifacts: {row['path']} does not have the recorded hash"


def _folder(row: sqlite3.Row, folder: Path, base: Path) -> Iterator[str]:
    """Of an input of many files: their bytes in all, and a hash over the name and the plain bytes of each."""
    files = sorted(folder.iterdir())
    if sum(file.stat().st_size for file in files) != row["size_bytes"]:
        yield f"artifacts: {row['path']} has not the {row['size_bytes']} bytes on record"
    digest = hashlib.sha256()
    for file in files:
        text = json.dumps([str(file.relative_to(base)), hashlib.sha256(plain_bytes(file)).hexdigest()])
        digest.update(text.encode())
    if digest.hexdigest() != row["content_hash"]:
        yield f"artifacts: {row['path']} does not have the recorded hash"


def place(recorded: list[Position], name: str, options: dict[str, Any], base: Path) -> tuple[Path, int]:
    """Where a sink's file is, and how many of its bytes are older than the run."""
    own = [position for position in recorded if position.sink == name]
    if not own:
        return base / options.get("path", ""), 0
    return own[-1].path, own[0].size if options.get("mode") == "append" else 0
