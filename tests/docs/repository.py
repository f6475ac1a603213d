"""The files of the repository, as the documentation tests look at them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {".git", ".venv", "__pycache__", "build", "dist", "output", "runs", "state", "node_modules"}


def tracked(*suffixes: str) -> list[Path]:
    """Every file that git tracks, or (without git) every file that it would; with one of these suffixes, if any."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        files = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = [file for file in ROOT.rglob("*") if not LEFT_OUT & set(file.relative_to(ROOT).parts[:-1])]
    return sorted(file for file in files if file.is_file() and (not suffixes or file.suffix in suffixes))


def text_of(file: Path) -> str:
    """The file's text, or nothing where it is not text."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def name_of(file: Path) -> str:
    """The file's path from the top of the repository, for messages and test ids."""
    return file.relative_to(ROOT).as_posix()
