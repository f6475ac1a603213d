"""Whether the disks have room for the rest of a run: for its audit records, journal and outputs, and for new files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from elspeth.errors import Temporary

LEAST_BYTES = 64 * 1024 * 1024
"""Less than this is too little for any run: a commit alone may take 32 MiB, and its journal as much again."""

LEAST_FILES = 100
"""New files that any run may need: a lock, the database's side files, outputs, cut tails, payloads."""

LEAST_SHARE = 0.05
"""What every file begins with, headers or empty tables, would be taken for growth before."""


@dataclass(frozen=True, slots=True)
class Need:
    """A file that will grow by about this many bytes."""

    path: Path
    bytes: int


def growth(size: int, done: float | None) -> int:
    """By how many bytes a file grows that has reached `size` bytes when this share of the input was read.

    0 where that is not known, or where too little was read to tell.
    """
    return round(size * (1 - done) / done) if done is not None and done >= LEAST_SHARE else 0


def check_room(needs: Iterable[Need]) -> str:
    """Answers what is free in words. Raises `Temporary` where a disk has too little room."""
    by_disk: dict[int, list[Need]] = {}
    for need in needs:
        by_disk.setdefault(_existing(need.path).stat().st_dev, []).append(need)
    said = []
    for group in by_disk.values():
        place = _existing(group[0].path)
        free, wanted = _free(place), max(LEAST_BYTES, sum(need.bytes for need in group))
        if free < wanted:
            raise Temporary(
                f"the disk of {place} has {mebibytes(free)} left, about {mebibytes(wanted)} are needed",
                details=[f"for {need.path}: about {mebibytes(need.bytes)} more" for need in group if need.bytes],
                next_step="make room there, then resume",
            )
        if (files := _free_files(place)) is not None and files < LEAST_FILES:
            raise Temporary(
                f"the disk of {place} can hold {files:,} more files, a run may need {LEAST_FILES}: its inodes are used",
                next_step="delete files there, then resume",
            )
        said.append(f"{mebibytes(free)} free at {place}")
    return "; ".join(said)


def mebibytes(number: int) -> str:
    """Bytes in words."""
    return f"{number / 1024 / 1024:,.0f} MiB"


def _free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _free_files(place: Path) -> int | None:
    """How many files can still be made there, None where the file system does not count them."""
    found = os.statvfs(place)
    return found.f_favail if found.f_files else None


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
