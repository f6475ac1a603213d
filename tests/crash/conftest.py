"""Fixtures of the crash tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.pipelines.undisturbed import outputs_of  # noqa: F401
from tests.kit.processes import program
from tests.kit.processes.mounts import Mount, mounts


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    """Starts the command; what a test leaves running is ended with it."""
    with program.programs() as started:
        yield started


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Puts a small file system over a folder, or changes how it is mounted; only root may."""
    with mounts() as do:
        yield do
