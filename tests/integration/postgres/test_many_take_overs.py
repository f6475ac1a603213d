"""Sixty who take a run over at the same moment: one has it, in either database, and the others are told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place, place_of
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.server import Server, missing

MANY = 60


@pytest.fixture(params=["a file", "a server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "a file":
        yield tmp_path / "audit.db"
        return
    if why := missing():
        pytest.skip(why)
    from tests.kit.postgres.databases import fresh_database

    with Server(max_connections=str(2 * MANY)) as server, fresh_database(server) as database:
        yield place_of(database.url)


def test_one_of_sixty_has_it(place: Place) -> None:
    writer = AuditWriter(place)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 3))
    ends: Counter[str] = Counter()
    ready = threading.Barrier(MANY)

    def take_over() -> None:
        mine = AuditWriter(place)
        try:
            ready.wait()
            mine.begin_attempt(RUN, 1, ATTEMPT, {})
            ends["won"] += 1
            mine.commit(RUN, 2, rows(3, 6, number=2))
        except ElspethError as error:
            ends[type(error).__name__] += 1
        finally:
            mine.close()

    threads = [threading.Thread(target=take_over) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends["won"] == 1
    assert sum(ends.values()) == MANY
    with pytest.raises(ElspethError, match="taken over"):
        writer.commit(RUN, 1, rows(6, 9, number=3))
    writer.close()
    with AuditReader(place) as reader:
        assert [attempt.attempt for attempt in reader.attempts(RUN)] == [1, 2]
        assert reader.row_count(RUN) == 6
        assert verify_run(reader, RUN) == []
