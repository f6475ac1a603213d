"""What a journal of calls holds, and the frames in which it stands: length, CRC and content, behind a header.

A file begins with `MAGIC`, which ends in the number of its form. A frame is two unsigned 32-bit numbers, little endian
(the length of the content and its CRC-32), and the content: an entry, as msgpack. Whatever does not add up at the end
of a file was being written when its process died: it is left out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from elspeth.calls.model import Exchange
from elspeth.errors import NewerVersion

MAGIC = b"elspeth calls 1\n"
_HEAD = struct.Struct("<II")


RECORDED = "recorded"
"""The kind of a call that a plugin makes by a client of its own, as the record has it."""


class CallKey(msgspec.Struct, frozen=True, array_like=True):
    """Which call: of which token, at which node, under which name, asking what (SHA-256 in hex)."""

    token: str
    node: str
    name: str
    request_hash: str


class Intent(msgspec.Struct, frozen=True, tag="i", array_like=True):
    """About to be sent: try number `number` (from 1), at `at` (ISO 8601, UTC). `request` is what is asked, as JSON.

    `stage` is that of the node: what the first stage asked is durable with its row, what later ones asked need not be.
    `expected` is what it may cost (a decimal number, as text): what counts while nobody knows better.
    """

    key: CallKey
    number: int
    at: str
    kind: str
    request: str
    stage: int
    expected: str = "0"


class Outcome(msgspec.Struct, frozen=True, tag="o", array_like=True):
    """What a try came to, and what it cost (a decimal number, as text)."""

    key: CallKey
    number: int
    exchange: Exchange
    cost: str = "0"


Entry = Intent | Outcome

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def frame(entry: Entry) -> bytes:
    """The entry as it stands in a journal."""
    content = _encode(entry)
    return _HEAD.pack(len(content), zlib.crc32(content)) + content


def frames(data: bytes, place: str) -> Iterator[tuple[Entry, int]]:
    """Every whole entry of a journal's bytes, and where it ends; nothing where not even the header is whole.

    Raises `NewerVersion` where the header names a form that is not known; `place` says which file it is.
    """
    if len(data) < len(MAGIC):
        return
    if not data.startswith(MAGIC):
        raise NewerVersion(
            f"{place} is no journal of calls of a form that this Elspeth reads",
            next_step="continue the run with the Elspeth that wrote it, or a later one",
        )
    yield from entries(data, len(MAGIC))


def entries(data: bytes, at: int) -> Iterator[tuple[Entry, int]]:
    """Every whole entry from `at` on, and where it ends."""
    while at + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        content = data[at + _HEAD.size : end]
        if end > len(data) or zlib.crc32(content) != crc:
            return
        try:
            entry = _decode(content)
        except msgspec.DecodeError:
            return
        yield entry, end
        at = end
