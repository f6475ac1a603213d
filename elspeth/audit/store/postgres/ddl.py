"""The schema in PostgreSQL, from the declarations that SQLite's is made of: tables, small records, views, the stamp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elspeth.audit.mapping import views
from elspeth.audit.mapping.forms import POSTGRES
from elspeth.audit.mapping.tables import HELD_IN, NAMES, STORED, StoredTable
from elspeth.audit.mapping.typed_records import BYTES, FLOAT, TEXT, WHOLE, column_types
from elspeth.audit.store import summary_views

STAMP = "elspeth_schema"
"""The table that says whose schema this is, and of which version."""

TYPES: Mapping[str, str] = {
    TEXT: 'TEXT COLLATE "C"',  # keys are found by ranges of bytes
    WHOLE: "BIGINT",
    FLOAT: "DOUBLE PRECISION",
    BYTES: "BYTEA",
}

_FIELDS = {"TextField": TEXT, "IntegerField": WHOLE, "FloatField": FLOAT, "BlobField": BYTES}


def statements() -> dict[str, str]:
    """The statements that create the newest schema in an empty one, by name, in order: tables, then views."""
    made = {**_declared(), **{name: _records(form) for name, form in STORED.items()}}
    made[NAMES] = (
        f'CREATE TABLE "{NAMES}" ("run_id" {TYPES[TEXT]} NOT NULL, "name_no" BIGINT NOT NULL,'
        f' "name" {TYPES[TEXT]} NOT NULL, PRIMARY KEY ("run_id", "name_no"))'
    )
    made[STAMP] = (
        f'CREATE TABLE "{STAMP}" ("application" {TYPES[TEXT]} NOT NULL PRIMARY KEY, "version" BIGINT NOT NULL)'
    )
    for statement in (*views.statements(POSTGRES), *summary_views.statements(postgres=True).values()):
        made[statement.split('"', 2)[1]] = statement
    return made


def _declared() -> dict[str, str]:
    from elspeth.audit.store.models import TABLES  # peewee costs start-up time that only a new schema has to pay

    made = {}
    for table in TABLES:
        meta: Any = table._meta
        if meta.table_name in HELD_IN:
            continue
        columns = [
            f'"{field.column_name}" {TYPES[_FIELDS[type(field).__name__]]}{"" if field.null else " NOT NULL"}'
            for field in meta.sorted_fields
        ]
        key = ", ".join(f'"{field.column_name}"' for field in meta.get_primary_keys())
        made[meta.table_name] = f'CREATE TABLE "{meta.table_name}" ({", ".join(columns)}, PRIMARY KEY ({key}))'
    return made


def _records(form: StoredTable) -> str:
    required = {form.key, *form.required}
    columns = [
        f'"{column}" {TYPES[kind]}{" NOT NULL" if column in required else ""}'
        for column, kind in column_types(form).items()
    ]
    return f'CREATE TABLE "{form.name}" ({", ".join(columns)}, "commit_no" BIGINT NOT NULL, PRIMARY KEY ("{form.key}"))'
