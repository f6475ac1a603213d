"""Who waits, as a restoring stage is told: in the order of arrival, whatever the ids say."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.audit.batch_store import BatchStore
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning

BATCH = f"{RUN}-000000005@sum"
ARRIVED = [f"{RUN}-000000005", f"{RUN}-000000002", f"{RUN}-000000009", f"{RUN}-000000001"]


@pytest.fixture
def store(path: Path, writer: AuditWriter) -> BatchStore:
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    members = [(BATCH, token, ordinal, f'["{token}"]') for ordinal, token in enumerate(ARRIVED)]
    writer.commit(RUN, 1, {"batch_members": members[:2]})
    writer.commit(RUN, 1, {"batch_members": members[2:]})
    return BatchStore(path)


def test_members_come_back_in_the_order_of_their_arrival(store: BatchStore) -> None:
    assert [token for token, _ in store.members(BATCH)] == ARRIVED
    store.close()


def test_who_waits_at_a_join_comes_with_its_join_and_not_with_that_of_another(
    store: BatchStore, writer: AuditWriter
) -> None:
    first, second, closed = (f"{RUN}-00000000{n}" for n in (1, 2, 3))
    members = [
        (f"{second}+m", f"{second}.b", 0, "[2]"), (f"{first}+m", f"{first}.z", 0, "[3]"),
        (f"{first}+m", f"{first}.a", 1, "[4]"), (f"{first}+xm", f"{first}.a", 0, "[5]"),
        (f"{closed}+m", f"{closed}.a", 0, "[1]"),
    ]  # fmt: skip
    writer.commit(RUN, 1, {"batch_members": members})
    writer.commit(RUN, 1, {"batches": [(f"{closed}+m", "m", "first", "completed", NOW, NOW)]})
    assert store.waiting("m", f"{first}+m", f"{closed}+m") == [
        (f"{first}+m", f"{first}.z", "[3]"), (f"{first}+m", f"{first}.a", "[4]"), (f"{second}+m", f"{second}.b", "[2]")
    ]  # fmt: skip
    assert store.waiting("m", f"{second}+m", f"{second}+m") == [(f"{second}+m", f"{second}.b", "[2]")]
    assert store.decided(f"{closed}+m")
    assert not store.decided(f"{first}+m")
    store.close()
