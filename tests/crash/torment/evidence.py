"""Changes of recorded evidence, by whoever has the database and by whoever has the key as well."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.run import verify_run
from elspeth.errors import ElspethError
from tests.crash.torment.round import Round
from tests.kit.fixtures.sample_run import KEY, RUN, write_run
from tests.kit.fixtures.tampering import is_told_by_the_key, rebuild, tampering

TRIES = 25
UNCHAINED = {"heartbeat_number", "heartbeat_at"}
"""Columns that are covered by nothing, as the audit database's page says."""


def tamper(this: Round) -> None:
    """Records that were changed, removed or put there are found; with all digests made to fit, by the key alone."""
    pristine = this.folder / "pristine.db"
    write_run(pristine, key=KEY)
    this.hold("what nobody touched holds", true=_holds(pristine, KEY))
    for number in range(TRIES):
        database = Path(shutil.copy(pristine, this.folder / f"{number}.db"))
        rebuilt = this.chance.random() < 0.5
        with tampering(database) as connection:
            deed = this.chance.choice((_change, _change, _remove, _copy))(this, connection)
            if deed is None:
                continue
            if rebuilt:
                rebuild(connection, RUN)
        holds = _holds(database, KEY)
        said = f"{deed}{', digests made to fit' if rebuilt else ''} ({database.name})"
        this.hold(f"found by verify with the key: {said}", true=not holds)
        if not rebuilt:
            this.hold(f"found by verify without the key: {said}", true=not _holds(database, None))
        database.unlink()


def _holds(database: Path, key: bytes | None) -> bool:
    try:
        with AuditReader(database) as reader:
            return not [found for found in verify_run(reader, RUN, key) if not _only_unsigned(found, key)]
    except (ElspethError, sqlite3.Error):
        return False  # it cannot even be read


def _only_unsigned(found: Any, key: bytes | None) -> bool:
    """Without the key nobody can say whether a signature holds: that alone is no finding."""
    return key is None and "key" in str(found.kind)


def _change(this: Round, connection: sqlite3.Connection) -> str | None:
    table = this.chance.choice(sorted(NEWEST.columns))
    columns = [column for column in NEWEST.columns[table] if column not in UNCHAINED and column != "run_id"]
    column = this.chance.choice([column for column in columns if not is_told_by_the_key(table, column)])
    found = connection.execute(f'SELECT rowid_, "{column}" FROM ({_numbered(table)})').fetchall()
    if not found:
        return None
    at, value = this.chance.choice(found)
    new = _other(this, value)
    keys = _keys(connection, table)
    condition = " AND ".join(f'"{key}" = ?' for key in keys)
    row = connection.execute(f"SELECT {', '.join(keys)} FROM ({_numbered(table)}) WHERE rowid_ = ?", (at,)).fetchone()
    try:
        connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE {condition}', (new, *row))
    except sqlite3.IntegrityError:
        return None  # the schema itself refuses it
    return f"{table}.{column} of record {at}: {value!r} became {new!r}"


def _remove(this: Round, connection: sqlite3.Connection) -> str | None:
    return _whole_record(this, connection, "removed")


def _copy(this: Round, connection: sqlite3.Connection) -> str | None:
    return _whole_record(this, connection, "copied under another key")


def _whole_record(this: Round, connection: sqlite3.Connection, what: str) -> str | None:
    table = this.chance.choice(sorted(set(NEWEST.columns) - {"runs"}))
    keys = _keys(connection, table)
    rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
    if not rows:
        return None
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    record = dict(zip(columns, this.chance.choice(rows), strict=True))
    name = ", ".join(str(record[key]) for key in keys)
    if what == "removed":
        condition = " AND ".join(f'"{key}" = ?' for key in keys)
        connection.execute(f'DELETE FROM "{table}" WHERE {condition}', [record[key] for key in keys])
        return f"{table}: record {name} removed"
    last = next((key for key in reversed(keys) if key != "run_id"), keys[-1])
    record[last] = _other(this, record[last])
    marks = ", ".join("?" * len(columns))
    try:
        connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', [record[column] for column in columns])
    except sqlite3.IntegrityError:
        return None
    return f"{table}: record {name} copied with {last} = {record[last]!r}"


def _other(this: Round, value: Any) -> Any:
    match value:
        case int():
            return value + this.chance.choice((-1, 1, 1000))
        case float():
            return value + 0.5
        case bytes():
            return value + b"\0"
        case str() if value:
            at = this.chance.randrange(len(value))
            return value[:at] + chr(ord("a") + (ord(value[at]) + 1) % 26) + value[at + 1 :]
    return "0"


def _numbered(table: str) -> str:
    return f'SELECT *, row_number() OVER () AS rowid_ FROM "{table}"'


def _keys(connection: sqlite3.Connection, table: str) -> list[str]:
    found = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    return [row[1] for row in sorted(found, key=lambda row: row[5]) if row[5]]
