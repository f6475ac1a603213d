"""Small file systems over folders, for a test that fills one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Mount = Callable[[Path, str], None]
"""Puts a small file system over a folder, with these options, or changes how it is mounted."""


@contextmanager
def mounts() -> Iterator[Mount]:
    """What is mounted inside is gone at the end; only root may, for others the test is skipped."""
    mounted: list[Path] = []

    def do(folder: Path, options: str) -> None:
        if folder in mounted:
            _mount("-o", f"remount,{options}", str(folder))
            return
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() or not _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder), check=False):
            pytest.skip("only root, where it may mount, can make a file system small or read-only")
        mounted.append(folder)

    try:
        yield do
    finally:
        for folder in mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*words: str, check: bool = True) -> bool:
    return not subprocess.run(["mount", *words], check=check, capture_output=True).returncode
