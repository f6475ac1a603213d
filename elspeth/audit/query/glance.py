"""A glance at which runs there are, for whoever must not change a file or wait: a shell that completes a word."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

BUSY_SECONDS = 0.2


class Glimpse(NamedTuple):
    """A run, as much of it as fits beside its id."""

    run_id: str
    status: str
    started_at: str


def recent_runs(path: Path, limit: int, *, unfinished: bool = False) -> list[Glimpse]:
    """So many runs at most, latest first; only those that can be resumed or given up if `unfinished`.

    No file is changed or made, which elsewhere readers do to see what was written last. Raises `OSError` or
    `sqlite3.Error` where that is not possible.
    """
    condition = "WHERE completed_at IS NULL AND superseded_by IS NULL" if unfinished else ""
    with closing(sqlite3.connect(_read_only(path), uri=True, timeout=BUSY_SECONDS)) as connection:
        found = connection.execute(
            f"SELECT run_id, status, started_at FROM runs {condition} ORDER BY started_at DESC, run_id DESC LIMIT ?",
            (limit,),
        )
        return [Glimpse(*row) for row in found]


def _read_only(path: Path) -> str:
    wal, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if wal.exists() and not index.exists():
        raise FileNotFoundError(f"{index} is not there, and SQLite would make it")
    return f"{path.resolve(strict=True).as_uri()}?mode=ro{'' if wal.exists() else '&immutable=1'}"
