"""A file of input as a stream of plain bytes, whether it lies there as it is or compressed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from elspeth.errors import ElspethError, SettingsError, Temporary
from elspeth.plugins.compression.kinds import KINDS, Kind

BLOCK_BYTES = 1 << 20


class ByteStream(Protocol):
    """Plain bytes from the beginning of a file on."""

    position: int
    """Plain bytes before the place that was reached."""

    def size(self) -> int | None:
        """Plain bytes in the file now; None where only reading them tells."""

    def taken(self) -> int:
        """Bytes of the file, as it lies there, that were read."""

    def file_size(self) -> int:
        """Bytes of the file now, as it lies there."""

    def read(self, size: int) -> bytes:
        """The next plain bytes, empty at the end. Raises `Temporary`, or `SettingsError` for what is not to be read."""

    def skip_to(self, offset: int) -> None:
        """Go on to `offset`, or to the end if that comes first. Raises like `read`."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """Where a file is and how its bytes become plain: compressed as `kind` (None: not), at most `most` times larger."""

    path: Path
    kind: Kind | None = None
    most: int | None = None

    def open(self) -> ByteStream:
        """The file from its beginning on. Raises `SettingsError` if it cannot be read."""
        file = _open(self.path)
        return _Plain(self.path, file) if self.kind is None else _Unpacked(self, file, self.kind)


class _Plain:
    def __init__(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file
        self.position = 0

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def taken(self) -> int:
        return self.position

    def file_size(self) -> int:
        return self.size()

    def read(self, size: int) -> bytes:
        data = _read(self._path, self._file, size)
        self.position += len(data)
        return data

    def skip_to(self, offset: int) -> None:
        self.position = self._file.seek(offset)

    def close(self) -> None:
        self._file.close()


class _Unpacked:
    def __init__(self, source: InputFile, file: FileIO, kind: Kind) -> None:
        from elspeth.plugins.compression import unpacking  # with its libraries, and few inputs are compressed

        self._source = source
        self._file = file
        self._kind = kind
        self._errors = unpacking
        self._unpacker = unpacking.Unpacker(kind, lambda size: _read(source.path, file, size), source.most)
        self.position = 0

    def size(self) -> int | None:
        return None if self.file_size() else 0

    def taken(self) -> int:
        return self._file.tell()

    def file_size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        path, kind = self._source.path, self._kind.name
        try:
            data = self._unpacker.read(size)
        except self._errors.NotOfKind as error:
            other = next((f"Set compression: {one.name}." for one in KINDS if _begins(path, one)), "")
            raise SettingsError(
                f"Source file {path} is to be {kind}, and it begins with {error}, which no {kind} file does",
                next_step=other or "Put the compressed file there, or set compression: none if it is plain.",
                option=("compression",),
            ) from error
        except self._errors.Damaged as error:
            raise Temporary(
                f"Source file {path} {error}",
                details=(f"{self.position:,} plain bytes before that could be read", f"it is to be a {kind} file"),
                next_step="Put the whole file in its place, then resume the run, or start it if it has not begun.",
            ) from error
        except self._errors.TooLarge as error:
            raise SettingsError(
                f"Source file {path} unpacks to more than max_expansion allows: {error}",
                next_step="If that is meant, set a greater max_expansion and start a fresh run with --force-new.",
                option=("max_expansion",),
            ) from error
        self.position += len(data)
        return data

    def skip_to(self, offset: int) -> None:
        while self.position < offset and self.read(min(BLOCK_BYTES, offset - self.position)):
            pass

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self.close()  # one that was unpacked to be checked waits for a reader, who may not come


def _begins(path: Path, kind: Kind) -> bool:
    with path.open("rb") as file:
        return kind.begins(file.read(6))


def _open(path: Path) -> FileIO:
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or device, which cannot be read again after a crash"
        raise SettingsError(
            f"Source file {path} is {kind}", next_step="Give the path of a regular file (copy a pipe to one)."
        )
    return FileIO(number, "rb")


def _read(path: Path, file: FileIO, size: int) -> bytes:
    try:
        return file.read(size) or b""
    except OSError as error:
        raise Temporary(
            f"Source file {path} could not be read: {error.strerror}", next_step="Mend it and resume."
        ) from error


def _unreadable(path: Path, error: OSError) -> ElspethError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SettingsError(
            f"Source file {path} does not exist",
            details=(f"looked in {Path.cwd()}",) if not path.is_absolute() else (),
            next_step="Correct the source's path, or run in the directory it is relative to.",
        )
    return SettingsError(
        f"Source file {path} cannot be read: {error.strerror}", next_step="Make it readable, then try again."
    )
