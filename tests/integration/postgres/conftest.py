"""A writer on a server, of a run that has begun: what tests of lost, refused and delayed commits start from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from elspeth.audit.store.place import PostgresPlace, place_of
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.pipelines.undisturbed import outputs_of  # noqa: F401

if TYPE_CHECKING:
    from tests.kit.postgres.databases import Database  # psycopg may be missing, which skips the tests


@pytest.fixture
def place(postgres: Database) -> PostgresPlace:
    """The fresh database."""
    place = place_of(postgres.url)
    assert isinstance(place, PostgresPlace)
    return place


@pytest.fixture
def begun(place: PostgresPlace) -> Iterator[AuditWriter]:
    """The writer of a run with one commit, of three rows."""
    writer = AuditWriter(place)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 3))
    yield writer
    writer.close()
