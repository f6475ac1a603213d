"""A place for an audit database, and a writer that has opened it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.finished_run import copy, finished  # noqa: F401


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "audit.db"


@pytest.fixture
def writer(path: Path) -> Iterator[AuditWriter]:
    writer = AuditWriter(path)
    yield writer
    writer.close()
