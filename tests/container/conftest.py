"""The engine and the image, once for all tests; where there is no engine, the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine import Folders, build, docker, folders, unavailable

OWNER = 12345


@pytest.fixture(scope="session")
def base() -> str:
    """The image is there; answers the name of its base."""
    reason = unavailable() or ("" if os.geteuid() == 0 else "only root can make folders of any owner")
    if reason and os.environ.get("ELSPETH_CONTAINERS_REQUIRED") == "1":
        pytest.fail(f"containers are to be tested here, but: {reason}")
    if reason:
        pytest.skip(reason)
    return build()


@pytest.fixture
def pipeline(base: str, tmp_path: Path) -> Folders:
    """Folders of somebody who is neither root nor the image's own user."""
    return folders(tmp_path, OWNER)


@pytest.fixture
def container(base: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a container, which is gone after the test."""
    name = f"elspeth-test-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}"
    yield name
    docker("rm", "--force", name)
