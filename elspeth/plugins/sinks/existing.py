"""What is in a file that is appended to, plain or compressed: its text from the beginning, and how it ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from elspeth.errors import SettingsError
from elspeth.plugins.compression.kinds import Kind
from elspeth.plugins.sinks.prefix_hash import BLOCK


@contextmanager
def opened(path: Path, kind: Kind | None) -> Iterator[IO[bytes]]:
    """The plain bytes of the file. Raises `OSError`, and `SettingsError` for what is no whole file of this kind."""
    with path.open("rb") as file:
        if kind is None:
            yield file
            return
        from elspeth.plugins.compression import unpacking  # with its libraries, and few outputs are compressed

        try:
            yield io.BufferedReader(_Plain(unpacking.Unpacker(kind, file.read, None)), BLOCK)
        except unpacking.NotOfKind as error:
            raise _unusable(path, f"it is to be {kind.name}, and it begins with {error}") from error
        except unpacking.Damaged as error:
            raise _unusable(path, f"it {error}") from error


def last_bytes(path: Path, kind: Kind | None, count: int) -> bytes:
    """The last plain bytes of the file, at most so many; a compressed one is unpacked to its end. Raises like `opened`.

    So whatever is appended follows a member that is whole.
    """
    with opened(path, kind) as file:
        if kind is None:
            size = file.seek(0, io.SEEK_END)
            file.seek(-min(count, size), io.SEEK_END)
            return file.read()
        last = b""
        while block := file.read(BLOCK):
            last = (last + block)[-count:]
        return last


class _Plain(io.RawIOBase):
    def __init__(self, unpacker: Any) -> None:
        super().__init__()
        self._unpacker = unpacker

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unpacker.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unusable(path: Path, found: str) -> SettingsError:
    return SettingsError(
        f"Output {path} cannot be appended to: {found}.",
        next_step="Put a whole file in its place, set compression to what it is, or write to another file.",
    )
