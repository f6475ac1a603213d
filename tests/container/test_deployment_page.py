"""The commands of the page on container deployment, typed in order beside the four folders."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import OWNER
from tests.container.engine import IMAGE, ROOT, expected, folders
from tests.docs.markdown import blocks

pytestmark = pytest.mark.container

PAGE = ROOT / "ops" / "docs" / "runbooks" / "container-deployment.md"


def test_every_command_of_the_page_works(base: str, tmp_path: Path) -> None:
    pipeline = folders(tmp_path, OWNER, rows=200)
    shutil.copy(ROOT / "ops" / "deploy" / "compose.yaml", tmp_path)
    typed = [block.text for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "docker"]
    assert len(typed) == 2
    try:
        for text in typed:
            done = typed_in(tmp_path, f"set -e\n{text}")
            assert done.returncode == 0, done.stdout
            assert pipeline.written() == expected(200)
    finally:
        typed_in(tmp_path, "docker-compose down --timeout 5")
    # Compose found a completed run, and let it be.
    asked = typed_in(tmp_path, f"docker run --rm -v $(pwd)/state:/app/state {IMAGE} runs --json")
    assert [run["status"] for run in json.loads(asked.stdout)["runs"]] == ["completed"]


def typed_in(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Lines of shell, with stdout and stderr together."""
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        check=False,
    )  # fmt: skip
