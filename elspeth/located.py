"""Where a file lies that the run knows by its path: there, or, in a worker on another machine, where its copy does.

What is recorded and said names files as the run does. Only who opens one asks here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_copies: dict[str, Path] = {}  # like `sys.modules`, one for the process: it is elsewhere, or it is not
_roots: list[str] = []


def located(path: str | os.PathLike[str]) -> Path:
    """Where the file of this path is to be opened: there, but in a worker on another machine where its copy is."""
    if not _copies:
        return Path(path)
    text = os.fspath(path)
    found = _copies.get(text) or (_copies.get(os.path.normpath(text)) if text.startswith("/") else None)
    return found or Path(path)


def known_as(path: str | os.PathLike[str]) -> str:
    """The path by which the run knows the file that lies here: the other way round."""
    text = os.fspath(path)
    for root in _roots:
        if text.startswith(f"{root}/"):
            return text.removeprefix(root)
    return text


def elsewhere(root: Path, copies: Mapping[str, Path]) -> None:
    """From now on files of the head machine are those under `root`; `copies` are known by what the run calls them."""
    _roots.append(str(root))
    _copies.update(copies)
