"""What tests ask for by name: `postgres_server`, one for all tests of a process, and `postgres`, a fresh database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.kit.postgres.server import Server, missing

if TYPE_CHECKING:
    from tests.kit.postgres.databases import Database


@pytest.fixture(scope="session")
def _shared_server() -> Iterator[Server]:
    if why := missing():
        pytest.skip(why)
    with Server() as server:
        yield server


@pytest.fixture
def postgres_server(_shared_server: Server) -> Server:
    """A server that runs. It is shared with other tests of this process: who stops it need not start it again."""
    if not (_shared_server.alive() and _shared_server.accepts()):
        _shared_server.stop()
        _shared_server.start()
    return _shared_server


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[Database]:
    """A fresh database with a schema and two roles."""
    from tests.kit.postgres.databases import fresh_database  # psycopg may be missing, which skips the test

    with fresh_database(postgres_server) as database:
        yield database
