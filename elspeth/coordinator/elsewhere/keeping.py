"""What a worker on another machine has the main process keep for it, and what it is answered.

Apart from the protocol, because the coordinator never sees it: the keeper (keeper.py) takes it out. Numbers are the
asker's own.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import msgspec

_TAG = "keep"


class Keeping(msgspec.Struct, frozen=True, tag_field=_TAG, tag=True):
    """Base of these headers."""


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """An `OSError` of the head machine: its number, its words, and the file."""

    number: int
    words: str
    file: str | None = None

    @staticmethod
    def of(error: OSError) -> Refusal:
        """The error as a value."""
        return Refusal(error.errno or 0, error.strerror or str(error), error.filename and str(error.filename))

    def error(self) -> OSError:
        """The value as an error."""
        return OSError(self.number, self.words, self.file)


class KeepEntry(Keeping, frozen=True):
    """Write this frame of a journal of calls (body) to the asker's file `file`; answered when that is done.

    A file is begun with its first entry. `durable`: it is to survive a power cut, too.
    """

    number: int
    file: int
    durable: bool


class EntryKept(Keeping, frozen=True):
    """It is written; with `refusal` it is not."""

    number: int
    refusal: Refusal | None = None


class ReadJournals(Keeping, frozen=True):
    """What stands in the journals of others behind so many bytes of each, by name?"""

    number: int
    read: dict[str, int]


class JournalsRead(Keeping, frozen=True):
    """What stands there: a body for each name. With `refusal` one of them could not be read."""

    number: int
    names: tuple[str, ...] = ()
    refusal: Refusal | None = None


class DropEntries(Keeping, frozen=True):
    """The asker's file `file` is of no more use, or that of this `name` which another left."""

    file: int = 0
    name: str = ""


class KeepPayloads(Keeping, frozen=True):
    """Put these contents (bodies) into the payload store: a message behind this one mentions them."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(functools.reduce(operator.or_, Keeping.__subclasses__()))
_MARK = _encoder.encode(_TAG)

encode = _encoder.encode
"""A header as bytes."""


def decode(header: bytes | memoryview) -> Any:
    """The message behind a header. Raises `msgspec.DecodeError` on anything that `encode` did not write."""
    return _decoder.decode(header)


def is_keeping(header: bytes | memoryview) -> bool:
    """Whether a header is one of these: they begin with a key of their own."""
    return header[1 : 1 + len(_MARK)] == _MARK
