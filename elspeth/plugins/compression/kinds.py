"""The kinds of compressed files: names, suffixes, first bytes, and whether this installation can handle them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Compression = Literal["auto", "none", "gzip", "bzip2", "xz", "zstd"]
Name = Literal["gzip", "bzip2", "xz", "zstd"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of compressed file. `magic`: what each member begins with; `padded`: zeros may stand behind the last."""

    name: Name
    suffix: str
    magic: tuple[bytes, ...]
    padded: bool = False

    def begins(self, head: bytes) -> bool:
        """Whether a member may begin so; `head` may be short."""
        return any(head.startswith(magic[: len(head)]) for magic in self.magic)


KINDS: tuple[Kind, ...] = (
    Kind("gzip", ".gz", (b"\x1f\x8b",), padded=True),
    Kind("bzip2", ".bz2", (b"BZh",)),
    Kind("xz", ".xz", (b"\xfd7zXZ\x00",), padded=True),
    # A zstd file may hold frames that are to be skipped; their magic numbers differ in the last four bits.
    Kind("zstd", ".zst", (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + low, 0x2A, 0x4D, 0x18)) for low in range(16)))),
)
_BY_NAME = {kind.name: kind for kind in KINDS}
_BY_SUFFIX = {kind.suffix: kind for kind in KINDS}


def kind_of(compression: Compression, path: Path) -> Kind | None:
    """How a file is compressed, by the option or else by its suffix; None where it is not."""
    if compression == "auto":
        return _BY_SUFFIX.get(path.suffix.lower())
    return None if compression == "none" else _BY_NAME[compression]


def plain_path(compression: Compression, path: Path) -> Path:
    """The path without the suffix of its compression: what is in `a.jsonl.gz` is a `.jsonl`."""
    kind = kind_of(compression, path)
    return path.with_suffix("") if kind is not None and path.suffix.lower() == kind.suffix else path


def require_installed(compression: Compression, path: Path) -> None:
    """Raise `ValueError` if this needs a package that is not there; the sentence says how to get it."""
    kind = kind_of(compression, path)
    if kind is not None and kind.name == "zstd" and find_spec("zstandard") is None:
        raise ValueError(
            "zstd needs the package zstandard, which is not installed: pip install 'elspeth[zstd]', or use gzip"
        )
