"""What is in hand, where the death of every process of a run leaves it: a small file beside the lock of the attempt.

Rows that go one at a time (`elspeth.coordinator.suspicion.caution`) are marked here before they are touched. The mark
is a write into the page cache and nothing more: it costs a microsecond, and a SIGKILL of the whole tree does not undo
it. A power cut does. So the file also says whose it is, the machine's boot included, and counts for nothing after
another one.

Behind the main process's words each stage has a page for what it touches (`elspeth.roles.flush_mark`). A file
of the first version, of 48 bytes, knows of the row in hand alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from actors.crash_points import crash_point
from actors.identity import here
from elspeth.coordinator.attempt.marking import Marking
from elspeth.durable import PRIVATE
from elspeth.roles.flush_mark import PAGE, Held, answered, held_in, page_of

_HEAD = struct.Struct("<8s32s")  # what it is and of which version; whose it is
_WORD = struct.Struct("<q")  # aligned and of eight bytes, so that nobody finds half of it
_FIRST, _MAGIC = b"elspeth1", b"elspeth2"
_NOT_BEGUN, _NONE, _MANY = -2, -1, -3
_GIVEN_OUT = _HEAD.size + _WORD.size
_MOST_BYTES = 16 << 20  # of more stages than anybody has
_SIZE = _GIVEN_OUT + _WORD.size  # of what the main process writes, besides its words in the pages of the stages


@dataclass(frozen=True, slots=True)
class Marked:
    """What an attempt had in hand when it died. `begun`: it had marked a row before; `row_index` is None for no row.

    `many`: rows went together again. `held` was in hand in its later stages. `given_out`: rows from this one on nobody
    had touched; None where that is not known.
    """

    begun: bool
    row_index: int | None
    many: bool = False
    held: tuple[Held, ...] = ()
    given_out: int | None = None


def mark_path(lock_path: Path) -> Path:
    """Where the mark lies of the attempt that has this lock."""
    return lock_path.with_suffix(".row")


class RowMark(Marking):
    """The marks of an attempt that is alive. Whoever holds the attempt's lock makes them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def create(cls, lock_path: Path, run_id: str, attempt: int) -> RowMark:
        """Make the file, in place of whatever has its name: its attempt never came on record. Raises `OSError`."""
        path = mark_path(lock_path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, PRIVATE)
        try:
            crash_point("main.before_row_mark")
            os.pwrite(descriptor, _head(_MAGIC, run_id, attempt) + _WORD.pack(_NOT_BEGUN) + _WORD.pack(_NONE), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def row(self, row_index: int | None) -> None:
        """Mark this row as the only one in hand, or None. Raises `OSError`, as all of these do."""
        self._write(_NONE if row_index is None else row_index, _HEAD.size)
        crash_point("main.row_marked")

    def many(self) -> None:
        self._write(_MANY, _HEAD.size)

    def given_out(self, row_end: int) -> None:
        self._write(row_end, _GIVEN_OUT)

    def passed(self, stage: int, micro_batch: int) -> None:
        os.pwrite(self._descriptor, answered(micro_batch), page_of(stage))

    def _write(self, word: int, offset: int) -> None:
        os.pwrite(self._descriptor, _WORD.pack(word), offset)

    def close(self) -> None:
        """Let go of the file. It stays, as long as the lock does."""
        os.close(self._descriptor)


def read_mark(lock_path: Path, run_id: str, attempt: int) -> Marked | None:
    """What this attempt had marked; None if it marked nothing, or if what is there cannot be trusted to be its mark."""
    try:
        descriptor = os.open(mark_path(lock_path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        regular = stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES
        content = os.pread(descriptor, found.st_size, 0) if regular else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(content) == _GIVEN_OUT and content.startswith(_head(_FIRST, run_id, attempt)):
        return _marked(content, None, ())
    if len(content) < _SIZE or not content.startswith(_head(_MAGIC, run_id, attempt)):
        return None
    (given_out,) = _WORD.unpack_from(content, _GIVEN_OUT)
    pages = [content[at : at + PAGE] for at in range(page_of(0), len(content), PAGE)]
    held = tuple(each for page in pages if (each := held_in(page)) is not None)
    return _marked(content, int(given_out) if given_out >= 0 else None, held)


def _marked(content: bytes, given_out: int | None, held: tuple[Held, ...]) -> Marked:
    (word,) = _WORD.unpack_from(content, _HEAD.size)
    return Marked(word != _NOT_BEGUN, int(word) if word >= 0 else None, word == _MANY, held, given_out)


def _head(magic: bytes, run_id: str, attempt: int) -> bytes:
    whose = "\n".join((run_id, str(attempt), here()[0]))
    return _HEAD.pack(magic, hashlib.sha256(whose.encode()).digest())
