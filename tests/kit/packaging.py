"""Builds what is released, as the command that does so builds it, from a copy of what git tracks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from tests.docs.command import SCRIPTS, run
from tests.docs.repository import ROOT, tracked


class Built(NamedTuple):
    """A source distribution, and the wheel that was built from it."""

    source: Path
    wheel: Path


def build(folder: Path) -> Built:
    """Build both in `folder`; what is installed already serves to build them, so that no index is asked."""
    for file in tracked():
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target, follow_symlinks=False)
    (folder / ".venv").mkdir()
    for part in SCRIPTS.parent.iterdir():  # the environment of these tests, but for the mark of what it was made for
        if part.name != "installed":
            (folder / ".venv" / part.name).symlink_to(part)
    done = run('. ops/environment && stamp "[test,dev]" > .venv/installed && ops/package', folder)
    assert done.returncode == 0, done.stdout
    (source,), (wheel,) = folder.glob("dist/*.tar.gz"), folder.glob("dist/*.whl")
    return Built(source, wheel)
