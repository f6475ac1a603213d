"""The wheel in a container that has nothing of the source: `pipx run` and `uvx` run a pipeline from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.container.engine import docker
from tests.kit.packaging import build

pytestmark = pytest.mark.container

SCRIPT = """
set -e
python3 -m venv /tmp/tools
/tmp/tools/bin/pip install --quiet --no-index --find-links /wheels pipx uv
export PATH=/tmp/tools/bin:$PATH HOME=/tmp/home
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels UV_OFFLINE=1 UV_NO_INDEX=1
export UV_FIND_LINKS=/wheels
export UV_PYTHON_DOWNLOADS=never
for run in "pipx run --spec $1" "uvx --from $1"; do
  mkdir /tmp/empty && cd /tmp/empty
  $run elspeth --version
  $run elspeth init .
  $run elspeth run --settings pipeline.yaml --execute
  cat output/review.csv
  cd / && rm -r /tmp/empty
done
"""


def test_pipx_run_and_uvx_run_a_pipeline(base: str, tmp_path: Path) -> None:
    wheel = build(tmp_path / "source").wheel
    wheels = tmp_path / "wheels"
    version = base.partition(":")[2].removesuffix("-slim")
    # The container reaches no index: all that the wheel needs is laid beside it.
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", version,
         "--dest", wheels, wheel, "pipx", "uv", "pip"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert fetched.returncode == 0, fetched.stderr
    done = docker(
        "run", "--rm", "--network", "none", "-v", f"{wheels}:/wheels:ro", base, "bash", "-c", SCRIPT, "-",
        f"/wheels/{wheel.name}", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("elspeth 0.1.0\n") == 2
    assert done.stdout.count("2,Ben,1800,1805") == 2
