"""What goes along with a worker to another machine: files by their content, and the paths by which the run knows them.

They arrive in the folder that the worker is started in, each content once, under its hash. There the worker lays them
out as they lie on the head machine, under a folder that stands for its root: so relative paths lead to copies by
themselves, `..` in them included, and what stands beside a plugin's file does too.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

GIVEN = "given"
"""The folder in which contents arrive."""

ROOT = "head"
"""The folder that stands for the root of the head machine."""

STATE = "state"
"""What a plugin is told is its state directory: gone with the worker."""


class Baggage(msgspec.Struct, frozen=True):
    """`files` are SHA-256 (hex) by absolute path, without `..`; `named` are these paths by what the run calls them."""

    files: dict[str, str]
    named: dict[str, str]


def arrival(sha256: str) -> str:
    """Where the content with this hash arrives, relative to the worker's folder."""
    return f"{GIVEN}/{sha256}"


def lay_out(baggage: Baggage, folder: Path, working_directory: str) -> dict[str, Path]:
    """Make the files that have arrived in `folder` lie as on the head machine; answers copies by what they are called.

    Both names of a path, as the run has it and absolute, are among them. Raises `OSError`.
    """
    root = folder / ROOT
    work = _below(root, working_directory)
    work.mkdir(parents=True, exist_ok=True)
    (folder / STATE).mkdir(exist_ok=True)
    for path, sha256 in baggage.files.items():
        place = _below(root, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / arrival(sha256), place)
    for name in baggage.named:
        _make_the_way(work, name)
    copies = {path: _below(root, path) for path in baggage.files}
    return {**copies, **{name: copies[path] for name, path in baggage.named.items()}}


def _make_the_way(work: Path, name: str) -> None:
    """Folders that a path leads through before it goes up again: the system follows a path step by step."""
    parts = Path(name).parts[:-1]
    if ".." in parts and not name.startswith("/"):
        here = work
        for part in parts:
            here = Path(os.path.normpath(here / part))
            here.mkdir(parents=True, exist_ok=True)


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
