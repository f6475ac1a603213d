"""What the doctor asks of an audit database in PostgreSQL: the server's version, its schema, and this role's rights."""

from __future__ import annotations

from typing import Any

from elspeth.audit.store.database import open_reader, translated_errors
from elspeth.audit.store.place import PostgresPlace
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.doctor.schema_check import unaltered_version

OLDEST = 14
"""The oldest version of the server that is still maintained; what is older is told, and used."""

_RIGHTS = """
    SELECT c.relname, (SELECT string_agg(wanted, ', ') FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) wanted
                       WHERE NOT has_table_privilege(c.oid, wanted))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND c.relkind = 'r' ORDER BY 1
"""


def check_database(place: PostgresPlace, findings: Findings) -> bool:
    """Look at server and schema; answers whether runs can be read from there."""
    return findings.ask("server", lambda: _server(place, findings)) and findings.ask(
        "schema", lambda: f"schema version {unaltered_version(place)}"
    )


def check_writable(place: PostgresPlace, findings: Findings) -> bool:
    """Whether a resume could write there."""
    well = True
    with findings.noting("writable"):
        (standby,), (user,) = _answer(place, "SELECT pg_is_in_recovery()")[0], _answer(place, "SELECT current_user")[0]
        lacking = [f"{table}: no {rights}" for table, rights in _answer(place, _RIGHTS, place.schema) if rights]
        if standby:
            well = False
            findings.add(
                "writable", "wrong", "the server is a standby: it can be read, and nothing can be resumed there",
                next_step="name the server that is written to",
            )  # fmt: skip
        elif lacking:
            well = False
            findings.add(
                "writable", "wrong", f"{user} may not write there, so nothing can be resumed or fixed", *lacking,
                next_step="do it as the role that owns the schema",
            )  # fmt: skip
    return well


def _server(place: PostgresPlace, findings: Findings) -> str:
    (version,) = _answer(place, "SHOW server_version")[0]
    if int(version.partition(".")[0]) < OLDEST:
        findings.add("server", "note", f"PostgreSQL {version} is not maintained any more")
    return f"PostgreSQL {version} answers at {place}"


def _answer(place: PostgresPlace, query: str, *values: str) -> list[tuple[Any, ...]]:
    connection = open_reader(place)
    try:
        with translated_errors(place):
            return list(connection.execute(query, values).fetchall())
    finally:
        connection.close()
