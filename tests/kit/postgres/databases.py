"""Fresh databases, each with a role that may do what it likes in one schema, and nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import psycopg

from tests.kit.postgres.server import Server

_numbers = count(1)


@dataclass(frozen=True)
class Database:
    """A database of its own. `role` owns the schema `schema` in it, `reader` may read what `role` makes there.

    Every role's password is its name with `-secret` behind it.
    """

    server: Server
    name: str
    schema: str

    @property
    def role(self) -> str:
        return f"{self.name}_owner"

    @property
    def reader(self) -> str:
        return f"{self.name}_reader"

    @property
    def url(self) -> str:
        """What is given to Elspeth: the owner's, by TCP, with password and schema."""
        return self.url_of(self.role)

    @property
    def admin_url(self) -> str:
        """The superuser's, by the unix socket, as libpq takes it."""
        return self.server.socket_url(self.name)

    def url_of(self, role: str, password: str | None = None) -> str:
        """The same for another role."""
        return f"{self.plain_url(role, password)}?schema={self.schema}"

    def plain_url(self, role: str | None = None, password: str | None = None) -> str:
        """As libpq takes it, without the schema, which is no word of libpq's."""
        role = role or self.role
        secret = quote(password if password is not None else f"{role}-secret", safe="")
        return f"postgresql://{role}:{secret}@127.0.0.1:{self.server.port}/{self.name}"

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query answers to the superuser, who finds the schema's tables without its name."""
        with psycopg.connect(self.admin_url, autocommit=True, options=f"-c search_path={self.schema}") as connection:
            cursor = connection.execute(query, values or None)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    def another_schema(self, name: str) -> Database:
        """The same database, for another schema, which is made, with the same roles."""
        _make_schema(self, name)
        return Database(self.server, self.name, name)


@contextmanager
def fresh_database(server: Server, schema: str = "audit") -> Iterator[Database]:
    """A database with roles, gone afterwards, whoever is connected to it."""
    made = Database(server, f"d{next(_numbers)}", schema)
    with psycopg.connect(server.socket_url(), autocommit=True) as connection:
        for role in (made.role, made.reader):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}-secret'")
        connection.execute(f"CREATE DATABASE {made.name} TEMPLATE template0")
        connection.execute(f"REVOKE ALL ON DATABASE {made.name} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {made.name} TO {made.role}, {made.reader}")
    _make_schema(made, schema)
    try:
        yield made
    finally:
        if not (server.alive() and server.accepts()):
            server.stop()
            server.start()
        with psycopg.connect(server.socket_url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {made.name} WITH (FORCE)")
            connection.execute(f"DROP ROLE {made.role}, {made.reader}")


def _make_schema(database: Database, schema: str) -> None:
    owner, reader = database.role, database.reader
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute(f'CREATE SCHEMA "{schema}" AUTHORIZATION {owner}')
        connection.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO {reader}')
        connection.execute(
            f'ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA "{schema}" GRANT SELECT ON TABLES TO {reader}'
        )
