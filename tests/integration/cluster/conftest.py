"""What tests of runs on a cluster share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.processes import program


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    """Starts the command; what a test leaves running is ended with it."""
    with program.programs() as started:
        yield started
