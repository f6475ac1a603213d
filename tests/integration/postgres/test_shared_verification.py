"""Several processes verify a run on a server, and find what one finds."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import place_of
from elspeth.audit.verify import shared
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.databases import Database

TAMPERED = {
    "nothing": (),
    "a value": ("UPDATE token_records SET source_data = '{}' WHERE token_id LIKE '%2'",),
    "records": ("DELETE FROM outcome_records WHERE outcome_id LIKE '%1='", "DELETE FROM checkpoints"),
    "nodes": ("DELETE FROM nodes", "DELETE FROM edges"),
    "a commit": ("DELETE FROM commits WHERE commit_no = 1",),
}


@pytest.fixture
def written(postgres: Database) -> Database:
    writer = AuditWriter(place_of(postgres.url), signing_key=KEY)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 5))
    writer.commit(RUN, 1, rows(5, 9, number=2), {"status": "completed", "completed_at": NOW})
    writer.close()
    return postgres


@pytest.mark.parametrize("kind", TAMPERED)
def test_processes_find_what_one_finds(kind: str, written: Database) -> None:
    for statement in TAMPERED[kind]:
        written.ask(statement)
    with AuditReader(place_of(written.url)) as reader:
        alone = verify_run(reader, RUN, KEY, processes=1)
        assert verify_run(reader, RUN, KEY, processes=2) == alone
    assert bool(alone) == (kind != "nothing")


def test_they_see_the_moment_that_the_first_one_saw(written: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shared._begin

    def begin(partners: list[shared.Partner], snapshot: str | None) -> None:
        written.ask("DELETE FROM checkpoints")
        real(partners, snapshot)

    monkeypatch.setattr(shared, "_begin", begin)
    with AuditReader(place_of(written.url)) as reader:
        assert verify_run(reader, RUN, KEY, processes=2) == []
        assert verify_run(reader, RUN, KEY, processes=1) != []


def test_a_process_that_is_killed_is_no_verdict(written: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shared.Shared.plan

    def plan(self: shared.Shared, planned: Any) -> None:
        os.kill(self._partners[0].pid, signal.SIGKILL)
        real(self, planned)

    monkeypatch.setattr(shared.Shared, "plan", plan)
    with AuditReader(place_of(written.url)) as reader, pytest.raises(Temporary, match="was killed by SIGKILL"):
        verify_run(reader, RUN, KEY, processes=2)
