"""The files behind one source: what a glob, a folder or a list means now, and whether it still means what it did."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import msgspec

from elspeth.errors import SettingsError, SourceChanged
from elspeth.file_identity import identity

_NAMED = 5  # files in one sentence


class FileEntry(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when the set was fixed: its path as the run names it, bytes, time of its last change (ns)."""

    path: str
    size: int
    mtime_ns: int


def is_set(path: Path | tuple[Path, ...]) -> bool:
    """Whether this stands for any number of files: a list, a folder, or a pattern that is not the name of a file."""
    return isinstance(path, tuple) or path.is_dir() or (glob.has_magic(str(path)) and not path.exists())


def expand(path: Path | tuple[Path, ...]) -> tuple[FileEntry, ...]:
    """The files that are there now: those of a pattern or folder by name, those of a list in its order.

    Raises `SettingsError` for a pattern or folder without a file, and for a file that is named twice.
    """
    found: dict[object, FileEntry] = {}
    for one in path if isinstance(path, tuple) else (path,):
        for file in _files(one):
            entry = _entry(file)
            known = found.setdefault(identity(file), entry)
            if known is not entry:
                raise SettingsError(
                    f"Source file {file} is named twice: {known.path} is the same file",
                    next_step="Name it once, or narrow the pattern.",
                )
    return tuple(found.values())


def require_as_it_was(entry: FileEntry) -> None:
    """Raise `SourceChanged` if the file is gone, or has another size than when the set was fixed."""
    try:
        size = Path(entry.path).stat().st_size
    except OSError as error:
        raise SourceChanged(
            f"Source file {entry.path} was there when the run began, and cannot be read now: {error.strerror}",
            next_step="Put the file back and resume, or start a fresh run with --force-new.",
        ) from error
    if size != entry.size:
        raise SourceChanged(
            f"Source file {entry.path} had {entry.size:,} bytes when the run began, and has {size:,} now",
            next_step="Put the file back as it was and resume, or start a fresh run with --force-new.",
        )


def stdin_folder(state_directory: Path) -> Path:
    """Where what came by standard input is kept, a file for each run."""
    return state_directory / "stdin"


def touched(entries: Sequence[FileEntry]) -> tuple[str, ...]:
    """Which of these files were written to since: what can be told when only a hash of all of them is known."""
    changed = [entry.path for entry in entries if _mtime(entry.path) != entry.mtime_ns]
    return (f"written to since the run began: {named(changed)}",) if changed else ()


def appeared(path: Path | tuple[Path, ...], fixed: Sequence[FileEntry]) -> list[str]:
    """Files that the path stands for now, and that are not in the set."""
    known = {entry.path for entry in fixed}
    try:
        return [entry.path for entry in expand(path) if entry.path not in known]
    except SettingsError:
        return []


def named(paths: Sequence[str]) -> str:
    """Some files in words."""
    words = ["standard input" if path == "-" else path for path in paths[:_NAMED]]
    more = len(paths) - _NAMED
    return ", ".join(words) + (f" and {more:,} more" if more > 0 else "")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    elif glob.has_magic(str(path)) and not path.exists():
        files = [Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file()]  # noqa: PTH207
    else:
        return [path]
    if not files:
        kind = "folder holds no file" if path.is_dir() else "pattern fits no file"
        raise SettingsError(
            f"Source path {path}: this {kind}",
            details=(f"looked in {Path.cwd()}",) if not path.is_absolute() else (),
            next_step="Correct the source's path, or put the input there.",
        )
    return sorted(files, key=str)


def _entry(file: Path) -> FileEntry:
    try:
        facts = file.stat()
    except OSError as error:
        raise SettingsError(
            f"Source file {file} cannot be read: {error.strerror}",
            details=(f"looked in {Path.cwd()}",) if not file.is_absolute() else (),
            next_step="Correct the source's path, or put the file there.",
        ) from error
    return FileEntry(str(file), facts.st_size, facts.st_mtime_ns)


def _mtime(path: str) -> int | None:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return None
