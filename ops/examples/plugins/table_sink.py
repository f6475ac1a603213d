"""A sink that is no file of bytes: a table in a SQLite database, each row in it exactly once through any kill -9.

The rows and the number of the last one are written in one transaction, so the table always knows where it stands. After
a death that may be further than the position the run comes back to: what is there is compared and not written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from elspeth.errors import OutputDamaged, RunInProgress, SettingsError, TakenOver, Temporary
from elspeth.outputs import OutputInfo
from elspeth.plugins.contract import Cut, PluginOptions, Position, Row
from elspeth.plugins.sinks.positioned import PositionedSink

NOTHING = hashlib.sha256().hexdigest()
WORDS = {bool: "a truth value", list: "a list", dict: "a mapping"}


class TableOptions(PluginOptions):
    """Options of the `table` sink."""

    path: Path = Field(description="The database; it is created if it is missing.")
    table: str = Field(description="The table; it is created with the columns of the first row.")

    @field_validator("table")
    @classmethod
    def _plain(cls, table: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", table):
            raise ValueError("must be a letter followed by letters, digits or _")
        return table


class Table(PositionedSink):
    """Writes rows into a table, beside the id of the run and the row's number. Values are numbers, text or nothing."""

    name = "table"
    Options = TableOptions
    options: TableOptions

    def __init__(self, options: TableOptions) -> None:
        super().__init__(options)
        self._db: sqlite3.Connection | None = None
        self._lock = -1
        self._columns: list[str] | None = None
        self._waiting: list[str] = []  # rows taken since the last flush, as JSON
        self._rows = 0  # up to here rows were given to us, and `_hash` has seen them
        self._there = 0  # up to here the table has them
        self._hash = hashlib.sha256()
        self._holder = ""
        self._found: list[str] = []  # columns of a table that is there

    def outputs(self) -> tuple[Path, ...]:
        """The database: no other sink may write to it."""
        return (self.options.path,)

    def describe(self, position: Position) -> OutputInfo:
        """The number of rows. The position's hash is one over rows, not over bytes of a file, so it is not told."""
        return OutputInfo(rows=position["rows"])

    # -- the way back ------------------------------------------------------------------------------------------------

    def inspect(self) -> Position:
        """Nothing is written yet; looks whether it can be. Another run's rows stay beside ours."""
        folder = self.options.path.absolute().parent
        if self.options.path.is_dir() or not folder.is_dir():
            raise SettingsError(f"{self.options.path} cannot be a database: it is a folder, or is in none.")
        return {"rows": 0, "sha256": NOTHING, "columns": None}

    def check(self, position: Position) -> None:
        """Compare the rows that the position vouches for. Looks only."""
        if position["rows"] == 0:
            return
        if not self.options.path.exists():
            raise self._damaged("is missing", position)
        db = self._connect()
        try:
            self._prefix(db, position)
        finally:
            db.close()

    def lock(self, position: Position) -> None:
        """Take a lock that ends with this process. Not on the database itself: SQLite's own locks are there."""
        self._lock = os.open(f"{self.options.path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunInProgress(f"Run already in progress: another process is writing {self.options.path}.") from None

    def cut(self, position: Position) -> list[Cut]:
        """Come back to the position, and know how much of what follows is there already."""
        if position["rows"] and not self.options.path.exists():
            raise self._damaged("is missing", position)
        self._db = db = self._connect(create=True)
        self._hash = self._prefix(db, position)
        self._begin(db)
        (self._there,) = db.execute("SELECT rows FROM elspeth_position WHERE run = ? AND sink = ?", self._me).fetchone()
        found = db.execute(f"PRAGMA table_info({self.options.table})").fetchall()
        self._found = [name for _, name, *_ in found if name not in ("_run", "_row")]
        return []

    def take_over(self, position: Position) -> list[Cut]:
        """A new holder is entered in the table: a frozen process that wakes up finds that it is none any more."""
        self.prove()
        return self.cut(position)

    def resume(self, position: Position) -> None:
        """Stand behind the position."""
        self._rows = position["rows"]
        self._columns = position["columns"]
        self._waiting = []

    def close(self) -> None:
        """Let go of the database and the lock. What was not flushed is forgotten."""
        if self._db is not None:
            self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._db, self._lock = None, -1

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, rows: list[Row]) -> list[str | None]:
        """One answer per row: None if it was taken, else why not. A refused row leaves nothing behind."""
        answers = []
        for row in rows:
            answers.append(self._refusal(row))
            if answers[-1] is None:
                self._waiting.append(json.dumps({name: _stored_as(row[name]) for name in self._columns or ()}))
        return answers

    def flush(self) -> Position:
        """Write rows and their number in one transaction; it is on disk when SQLite says that it is committed."""
        db = self._db
        if db is None:
            raise Temporary(f"{self.options.path} is not open.")
        try:
            db.execute("BEGIN IMMEDIATE")
            held = db.execute("SELECT holder FROM elspeth_position WHERE run = ? AND sink = ?", self._me).fetchone()
            if held != (self._holder,):
                raise TakenOver(f"Another attempt took {self.options.path} over.")
            for text in self._waiting:
                self._rows += 1
                self._hash.update(text.encode() + b"\n")
                if self._rows > self._there:
                    self._insert(db, text)
                else:
                    self._compare(db, text)
            self._waiting = []
            self._there = max(self._there, self._rows)
            db.execute("UPDATE elspeth_position SET rows = ? WHERE run = ? AND sink = ?", (self._there, *self._me))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()  # what was not committed is gone: the next process starts at the last position
            raise Temporary(
                f"Cannot write {self.options.path}: {error}.", next_step="Mend it, then: elspeth resume latest"
            ) from error
        return {"rows": self._rows, "sha256": self._hash.hexdigest(), "columns": self._columns}

    # -- the table ---------------------------------------------------------------------------------------------------

    @property
    def _me(self) -> tuple[str, str]:
        return self._context.run_id, self.options.table

    def _connect(self, *, create: bool = False) -> sqlite3.Connection:
        """Open the database for writing, also to look at it: what a killed process left half done must be rolled back.

        Read-only, SQLite could not do that and would refuse to show anything.
        """
        mode = "rwc" if create else "rw"
        try:
            db = sqlite3.connect(f"{self.options.path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
            db.execute("PRAGMA synchronous = EXTRA")  # FULL would leave the journal's end unsynced
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise Temporary(f"Cannot open {self.options.path}: {error}.") from error
        return db

    def _begin(self, db: sqlite3.Connection) -> None:
        self._holder = os.urandom(8).hex()
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "CREATE TABLE IF NOT EXISTS elspeth_position"
            " (run TEXT, sink TEXT, rows INTEGER, holder TEXT, PRIMARY KEY (run, sink))"
        )
        db.execute(
            "INSERT INTO elspeth_position VALUES (?, ?, 0, ?)"
            " ON CONFLICT (run, sink) DO UPDATE SET holder = excluded.holder",
            (*self._me, self._holder),
        )
        db.execute("COMMIT")

    def _prefix(self, db: sqlite3.Connection, position: Position) -> Any:
        """A hash that has seen the rows before the position. Raises `OutputDamaged` if they are not what they were."""
        digest = hashlib.sha256()
        count = 0
        if position["rows"]:
            try:
                for text in self._stored(db, 1, position["rows"], position["columns"]):
                    digest.update(text.encode() + b"\n")
                    count += 1
            except sqlite3.OperationalError as error:
                raise self._damaged(f"cannot be read: {error}", position) from error
        if count < position["rows"]:
            raise self._damaged(f"has {count:,} of them", position)
        if digest.hexdigest() != position["sha256"]:
            raise self._damaged("has others", position)
        return digest

    def _stored(self, db: sqlite3.Connection, first: int, last: int, columns: list[str]) -> Any:
        names = ", ".join(map(_quoted, columns))
        found = db.execute(
            f"SELECT {names} FROM {self.options.table} WHERE _run = ? AND _row BETWEEN ? AND ? ORDER BY _row",
            (self._context.run_id, first, last),
        )
        return (json.dumps(dict(zip(columns, values, strict=True))) for values in found)

    def _insert(self, db: sqlite3.Connection, text: str) -> None:
        row = json.loads(text)
        if self._rows == 1:
            columns = ", ".join(("_run", "_row INTEGER", *map(_quoted, row), "PRIMARY KEY (_run, _row)"))
            db.execute(f"CREATE TABLE IF NOT EXISTS {self.options.table} ({columns})")
        names = ", ".join(map(_quoted, ("_run", "_row", *row)))
        marks = ", ".join("?" * (len(row) + 2))
        values = (self._context.run_id, self._rows, *row.values())
        db.execute(f"INSERT INTO {self.options.table} ({names}) VALUES ({marks})", values)

    def _compare(self, db: sqlite3.Connection, text: str) -> None:
        """A row that is there already: the same, or the pipeline decided otherwise than before."""
        if list(self._stored(db, self._rows, self._rows, list(json.loads(text)))) != [text]:
            raise OutputDamaged(f"Row {self._rows} of {self.options.path} is not the one that is written again.")

    def _refusal(self, row: Row) -> str | None:
        if self._columns is None and not row:
            return "the row has no fields"
        for name, value in row.items():
            if type(value) in WORDS:
                return f"field {name} holds {WORDS[type(value)]}, and a table has numbers, text and nothing"
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                return f"field {name} holds a number of more than 64 bits"
            if isinstance(value, float) and not math.isfinite(value):
                return f"field {name} holds {value}, which is no number"
            if "\0" in name or not _is_text(name) or (isinstance(value, str) and not _is_text(value)):
                return f"field {name!r} holds what is no Unicode text"
        columns = list(row)
        if self._columns is None:
            if len({name.lower() for name in ("_run", "_row", *columns)}) < len(columns) + 2:
                return "two of the row's fields, or of _run and _row, would be one column"
            if self._found and sorted(self._found) != sorted(columns):
                return f"the row has the fields {', '.join(columns)}, and the table {', '.join(self._found)}"
            self._columns = columns
        if sorted(columns) != sorted(self._columns):
            return f"the row has the fields {', '.join(columns)} and not {', '.join(self._columns)}"
        return None

    def _damaged(self, found: str, position: Position) -> OutputDamaged:
        return OutputDamaged(
            f"Output {self.options.path}, table {self.options.table}, {found}: {position['rows']:,} rows are committed."
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _stored_as(value: Any) -> Any:
    """The value as it comes back: SQLite keeps no sign of a zero."""
    return value + 0.0 if isinstance(value, float) else value


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
