"""A schema of PostgreSQL: created, recognised by its stamp, compared with what it should be."""

from __future__ import annotations

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.connection import ServerConnection
from elspeth.audit.store.postgres import ddl
from elspeth.errors import SettingsError

APPLICATION = "elspeth"

_THERE = (
    "SELECT c.relname, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ? AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
    # What extensions put there is the server's.
    " AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    " AND d.deptype = 'e') ORDER BY c.relname"
)
_COLUMNS = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull, coalesce(l.collname, '')"
    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_collation AS l ON l.oid = a.attcollation"
    " WHERE n.nspname = ? ORDER BY c.relname, a.attnum"
)
_TRIGGERS = (
    "SELECT c.relname, t.tgname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
    " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ? AND NOT t.tgisinternal"
    " UNION ALL SELECT r.tablename, r.rulename FROM pg_rules AS r WHERE r.schemaname = ? ORDER BY 1, 2"
)
_VIEWS = (
    "SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'v' AND n.nspname = ?"
)
_COMPARED = "elspeth_compared"


def is_empty(connection: ServerConnection) -> bool:
    """Whether the schema holds nothing, or is not there."""
    return not connection.execute(_THERE, (connection.schema,)).fetchone()


def version(connection: ServerConnection) -> int | None:
    """The version that the stamp says, None if the schema is not ours."""
    if ddl.STAMP not in _kinds(connection):
        return None
    if connection.execute("SELECT has_schema_privilege(?, 'USAGE')", (connection.schema,)).fetchone() != (True,):
        raise SettingsError(
            f"the role may not look into the schema {connection.schema}",
            next_step=f'ask its owner: GRANT USAGE ON SCHEMA "{connection.schema}", and SELECT on what is in it',
        )
    row = connection.execute(f'SELECT "version" FROM {ddl.STAMP} WHERE "application" = ?', (APPLICATION,)).fetchone()
    return None if row is None else int(row[0])


def create(connection: ServerConnection) -> None:
    """Create the newest schema in the transaction that is open."""
    name = connection.schema
    if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (name,)).fetchone():
        connection.execute(f'CREATE SCHEMA "{name.replace(chr(34), chr(34) * 2)}"')
    for statement in ddl.statements().values():
        connection.execute(statement)
    connection.execute(
        f'INSERT INTO {ddl.STAMP} ("application", "version") VALUES (?, ?)', (APPLICATION, NEWEST.number)
    )


def tables(connection: ServerConnection) -> list[str]:
    """The tables of the schema, the stamp aside."""
    return [name for name, kind in _kinds(connection).items() if kind in ("r", "p") and name != ddl.STAMP]


def columns(connection: ServerConnection, table: str) -> list[str]:
    """The columns of a table or view, in order."""
    found = connection.execute(_COLUMNS, (connection.schema,)).fetchall()
    return [column for name, column, *_ in found if name == table]


def differences(connection: ServerConnection) -> list[str]:
    """What stands in the schema that should not, or stands otherwise, or is missing; a sentence each."""
    expected = {name: _shape(name, statement) for name, statement in ddl.statements().items()}
    found = _kinds(connection)
    named = {"r": "table", "v": "view"}
    sentences = [f"{shape[0]} {name} is missing" for name, shape in sorted(expected.items()) if name not in found]
    sentences += [
        f"{named.get(kind, 'relation')} {name} was added"
        for name, kind in sorted(found.items())
        if name not in expected
    ]
    held: dict[str, list[str]] = {}
    for name, column, kind, required, collation in connection.execute(_COLUMNS, (connection.schema,)):
        text = f'"{column}" {kind.upper()}{" COLLATE " + chr(34) + collation + chr(34) if kind == "text" else ""}'
        held.setdefault(name, []).append(text + (" NOT NULL" if required else ""))
    views = _altered_views(connection)
    for name, (kind, parts) in sorted(expected.items()):
        if name in found and (
            named.get(found[name]) != kind or (kind == "table" and held.get(name) != parts) or name in views
        ):
            sentences.append(f"{kind} {name} was altered")
    schema = connection.schema
    for table, trigger in connection.execute(_TRIGGERS, (schema, schema)):
        if trigger != "_RETURN":
            sentences.append(f"trigger {trigger} on {table} was added")
    if (stamped := version(connection)) != NEWEST.number:
        sentences.append(f"the schema's stamp is {stamped}, not {NEWEST.number}")
    return sentences


def _kinds(connection: ServerConnection) -> dict[str, str]:
    return dict(connection.execute(_THERE, (connection.schema,)).fetchall())


def _shape(name: str, statement: str) -> tuple[str, list[str]]:
    """Whether this creates a table or a view, and the table's columns as they are declared."""
    if statement.startswith("CREATE VIEW"):
        return "view", []
    inner = statement.partition(" (")[2].rpartition(")")[0]
    key = inner.partition('PRIMARY KEY ("')[2].partition('")')[0].split('", "')
    columns = []
    for part in inner.split(", "):
        if not part.startswith('"') or " " not in part:
            continue
        column = part.replace(" PRIMARY KEY", "")
        if column.split('"')[1] in key and not column.endswith("NOT NULL"):
            column += " NOT NULL"
        columns.append(column)
    return "table", columns


def _altered_views(connection: ServerConnection) -> set[str]:
    """The views that are not what their declaration makes of the tables that are there.

    What a declaration makes of them only the server says: each is made under another name, and not kept. Where that is
    not possible (a standby, a role that may only read) none is named.
    """
    other = connection.beside()
    try:
        try:
            other.execute("BEGIN READ WRITE")
        except Exception as error:
            if not other.is_refused(error):
                raise
            return set()  # a standby
        held = dict(other.execute(_VIEWS, (connection.schema,)).fetchall())
        return {
            name
            for name, statement in ddl.statements().items()
            if name in held and _made_by(other, name, statement) not in (None, held[name])
        }
    finally:
        other.close()


def _made_by(connection: ServerConnection, name: str, statement: str) -> str | None:
    """How the server writes the view that this statement creates; None where it does not create it."""
    for kind in ("TEMP VIEW", "VIEW"):
        connection.execute("SAVEPOINT compared")
        try:
            connection.execute(statement.replace(f'CREATE VIEW "{name}"', f'CREATE {kind} "{_COMPARED}"', 1))
            row = connection.execute(f"SELECT pg_get_viewdef('{_COMPARED}'::regclass)").fetchone()
        except Exception as error:
            if not connection.is_refused(error):
                raise
        else:
            return str(row[0])
        finally:
            connection.execute("ROLLBACK TO SAVEPOINT compared")
    return None
