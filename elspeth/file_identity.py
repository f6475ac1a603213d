"""Tells files apart by what they are, not by what they are called: links do not hide that two names are one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from elspeth.errors import SettingsError


def identity(path: Path) -> tuple[int, int] | str:
    """What tells a file from others: device and inode, or its real path where there is none yet."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def require_apart(outputs: Iterable[Path], taken: Mapping[str, str]) -> None:
    """Raise `SettingsError` if one of these outputs is one of the files that are something else: `taken` says what.

    Asked right before outputs are opened: a link may have been laid since the settings were checked.
    """
    others = {identity(Path(path)): what for path, what in taken.items()}
    for output in outputs:
        if (what := others.get(identity(output))) is not None:
            raise SettingsError(
                f"the output {output} is {what}, so nothing is written to it",
                next_step="remove the link, or give the sink another path and start a new run",
            )
