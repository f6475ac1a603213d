"""A clone is called `elspeth`, like the package: whoever works beside it means the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.repository import ROOT


def test_the_package_is_imported_beside_a_clone(tmp_path: Path) -> None:
    (tmp_path / "elspeth").symlink_to(ROOT)
    script = "import elspeth; print(elspeth.__version__)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"was it installed by ops/test? {done.stderr}"
