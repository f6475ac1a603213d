"""What the doctor asks of the audit database's files: whole, of our version, writable, with nobody else's beside."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth.audit.store import schema
from elspeth.audit.store.database import damaged, file_system, open_reader, side_files, translated_errors
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.runs.doctor import server
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.doctor.schema_check import unaltered_version
from elspeth.runs.liveness.identity import user_name

SHOWN = 5
"""So many damages are listed; one is enough to know."""


def check_database(place: Place, findings: Findings) -> bool:
    """Look at the database itself; answers whether runs can be read from it."""
    if isinstance(place, PostgresPlace):
        return server.check_database(place, findings)
    path = place
    _side_files(path, findings)  # first: SQLite, opening them for root, gives them to the database's owner
    readable = findings.ask("integrity", lambda: _integrity(path)) and findings.ask("schema", lambda: _schema(path))
    kind = file_system(path)
    if kind is not None:
        findings.add(
            "file system", "note", f"the database lies on a network file system ({kind})",
            "locks of other machines cannot be trusted there; whether a run lives is told by its heartbeat",
        )  # fmt: skip
    return readable


def check_writable(place: Place, findings: Findings) -> bool:
    """Whether a resume could write to the database and lock its attempt."""
    if isinstance(place, PostgresPlace):
        return server.check_writable(place, findings)
    path = place
    locks = path.resolve().parent / "locks"
    refused = [
        f"{place} {_why_not(place)}"
        for place in (path, path.resolve().parent, locks)
        if place.exists() and not os.access(place, os.W_OK)
    ]
    if refused:
        findings.add(
            "writable", "wrong", "the audit database cannot be written from here, so nothing can be resumed or fixed",
            *refused, next_step="mount the folder writable, or run this as a user who may write there",
        )  # fmt: skip
    return not refused


def _integrity(path: Path) -> str:
    connection = open_reader(path)
    try:
        with translated_errors(path):
            lines = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({SHOWN})")]
    finally:
        connection.close()
    if lines != ["ok"]:
        raise damaged(path, "\n".join([line for text in lines for line in text.splitlines()][:SHOWN]))
    return "SQLite finds the database whole"


def _schema(path: Path) -> str:
    found = unaltered_version(path)
    if found != schema.VERSION:
        return f"schema version {found}; the next run or resume, or doctor --fix, brings it to {schema.VERSION}"
    return f"schema version {schema.VERSION}"


def _side_files(path: Path, findings: Findings) -> None:
    owner = path.stat().st_uid
    for side in side_files(path):
        found = side.stat().st_uid
        if found != owner:
            findings.add(
                "side files", "wrong",
                f"{side.name} belongs to {user_name(found)}, the database to {user_name(owner)}",
                "whoever may not write it cannot open the database",
                next_step=f"chown {owner} {side}",
            )  # fmt: skip
        elif not os.access(side, os.R_OK | os.W_OK) and not _is_read_only(side):  # of a mount, `writable` tells
            findings.add("side files", "wrong", f"{side} {_why_not(side)}", next_step=f"chmod u+rw {side}")


def _why_not(path: Path) -> str:
    if _is_read_only(path):
        return "lies on a read-only file system"
    return f"is not writable for {user_name(os.geteuid())}"


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
