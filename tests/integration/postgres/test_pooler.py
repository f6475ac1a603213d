"""Behind a pooler of transactions nothing that a session holds lasts: it is found out, and refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit.store.place import place_of
from elspeth.audit.store.postgres import sessions
from elspeth.audit.writer import AuditWriter
from elspeth.errors import SettingsError
from tests.kit.postgres.databases import Database


class Pooled:
    """A session as it looks behind a pooler, which says a number of its own: each statement is some backend's."""

    def __init__(self, backends: Sequence[int]) -> None:
        self.info = SimpleNamespace(backend_pid=1)
        self._backends = cycle(backends)

    def execute(self, _: str) -> Any:
        return SimpleNamespace(fetchone=lambda: (next(self._backends),))

    def __enter__(self) -> Pooled:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("mine", "others"), [([7], [7]), ([7, 8], [9]), ([7, 7, 7, 8], [9, 9, 9])])
def test_a_pooler_of_transactions_is_refused(
    monkeypatch: pytest.MonkeyPatch, mine: list[int], others: list[int]
) -> None:
    monkeypatch.setattr(sessions, "opened", lambda _: Pooled(others))
    with pytest.raises(SettingsError, match="behind a pooler that gives each transaction another session"):
        sessions._require_sessions(Pooled(mine), place_of("postgresql://h/d"))  # type: ignore[arg-type]


def test_a_pooler_of_sessions_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "opened", lambda _: Pooled([8]))
    sessions._require_sessions(Pooled([7]), place_of("postgresql://h/d"))  # type: ignore[arg-type]


def test_without_a_pooler_no_second_session_is_opened(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real, opened = sessions.opened, []
    monkeypatch.setattr(sessions, "opened", lambda place: opened.append(1) or real(place))
    AuditWriter(place_of(postgres.url)).close()
    assert opened == [1]
