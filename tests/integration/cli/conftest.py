"""Folders with a pipeline in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.processes.running import EXAMPLES


@pytest.fixture
def threshold(tmp_path: Path) -> Path:
    """The example of eight rows, in a folder of its own."""
    folder = tmp_path / "threshold"
    shutil.copytree(EXAMPLES / "threshold", folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    return folder
