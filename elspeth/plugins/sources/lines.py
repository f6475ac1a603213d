"""Physical lines of a file, in batches, within bounded memory."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path

from elspeth.errors import SettingsError
from elspeth.plugins.sources.hashed_file import RAW_BYTES, HashedFile

_BOMS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_STATEFUL = ("utf-7", "hz", "iso2022", "unicode_escape", "unicode-escape", "raw", "punycode", "idna")


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was not kept because it is longer than the limit: how it begins, and its length in bytes."""

    head: bytes
    size: int
    ended: bool  # by a line end, not by the end of the file


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes become text: the codec, the bytes of its byte-order mark in this file, and its line end."""

    codec: str
    bom_bytes: int
    newline: bytes
    unit: int  # bytes; line ends begin at multiples of it

    def decode(self, raw: bytes) -> str:
        """Text of whole lines. Raises `UnicodeDecodeError`."""
        return raw.decode(self.codec)

    def forgiving(self, raw: bytes) -> str:
        """Text with a replacement character for what cannot be decoded, so that its structure can still be read."""
        return raw.decode(self.codec, "replace")

    def line(self, raw: bytes) -> str:
        """All of the text as it was read, undecodable bytes as `\\xNN`, without the line end behind it."""
        return raw.decode(self.codec, "backslashreplace").removesuffix("\n").removesuffix("\r")

    def shown(self, raw: bytes) -> str:
        """Text for the record of a piece that is no row: bounded, undecodable bytes as `\\xNN`."""
        return raw[:RAW_BYTES].decode(self.codec, "backslashreplace")


def check_encoding(name: str) -> str:
    """The normal name of a codec. Raises `ValueError` if there is none, or if it cannot be read line by line."""
    try:
        codec = codecs.lookup(name)
    except LookupError:
        raise ValueError(f"unknown encoding '{name}'; usual ones are utf-8, utf-16, latin-1 and cp1252") from None
    if codec.name.startswith("utf-16"):
        return codec.name
    if codec.name in ("utf-8", "utf-8-sig"):
        return "utf-8"
    # In any other, a line feed must be the byte 0x0A and every line must stand for itself, without shift states.
    fits = not codec.name.startswith(_STATEFUL)
    try:
        fits = fits and "a\r\n".encode(name) == b"a\r\n"
    except (UnicodeError, LookupError):
        fits = False
    if not fits:
        raise ValueError(f"encoding '{name}' cannot be read line by line; convert the file to utf-8")
    return codec.name


def detect(name: str, head: bytes, path: Path) -> Encoding:
    """The encoding of a file that begins with `head`: byte order and byte-order mark taken into account.

    A UTF-8 mark is skipped whether the settings say `utf-8` or `utf-8-sig`. `utf-16` needs a mark, `utf-16-le` and
    `utf-16-be` do not. Raises `SettingsError` if the mark contradicts the settings.
    """
    codec = check_encoding(name)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins like the mark of UTF-16
        raise SettingsError(
            f"Source file {path} is text in four bytes per character, UTF-32, which no setting reads",
            next_step="Convert the file to utf-8.",
        )
    marked = next((c for c, bom in _BOMS.items() if head.startswith(bom)), None)
    if marked is not None and marked != "utf-8" and not codec.startswith("utf-16"):
        raise SettingsError(
            f"Source file {path} begins with the byte-order mark of UTF-16, but its encoding is set to {name}",
            next_step="Set encoding: utf-16.",
            option=("encoding",),
        )
    if marked == "utf-8" and codec != "utf-8":
        raise SettingsError(
            f"Source file {path} begins with the mark of UTF-8, but its encoding is set to {name}",
            next_step="Set encoding: utf-8 (the mark is passed over).",
            option=("encoding",),
        )
    if marked is None and not codec.startswith("utf-16") and (guess := _wide(head)):
        raise SettingsError(
            f"Source file {path} is text in two bytes per character, but its encoding is set to {name}",
            next_step=f"Set encoding: {guess}, or convert the file to utf-8.",
            option=("encoding",),
        )
    if codec == "utf-16":
        if head and marked not in ("utf-16-le", "utf-16-be"):
            raise SettingsError(
                f"Source file {path} has no byte-order mark, so encoding utf-16 does not say which byte comes first",
                next_step="Set encoding to utf-16-le or utf-16-be.",
                option=("encoding",),
            )
        codec = marked or "utf-16-le"
    bom = len(_BOMS[codec]) if marked == codec else 0
    unit = 2 if codec.startswith("utf-16") else 1
    return Encoding(codec, bom, "\n".encode(codec), unit)


def _wide(head: bytes) -> str:
    """The encoding of text without a mark of which every other byte is NUL, or nothing."""
    even, odd = head[:64:2], head[1:64:2]
    if len(odd) > 1 and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 1 and not any(even) and all(odd) else ""


def batches(file: HashedFile, encoding: Encoding, limit: int) -> Iterator[list[bytes | Overlong | None]]:
    """Lines with their line ends, from where `file` was started to its end; the last one may have no line end.

    Memory stays within the limit and a few blocks: a line of more than `limit` bytes may come as None, at the end of a
    batch. Nothing of it is passed over before the next item is asked for, which is its `Overlong`; the caller must
    be done with all lines before it by then, for the mark of the file moves.
    """
    narrow = _split_bytes if encoding.newline == b"\n" else _split_cr
    split = narrow if encoding.unit == 1 else _split_wide(encoding.newline)
    carry = b""  # the beginning of a line
    start = file.mark  # where that line begins, bytes
    while block := file.block():
        lines, rest = split(carry + block)
        if lines:
            yield lines
            start += sum(map(len, lines))  # type: ignore[arg-type]
        carry = rest
        if len(carry) > limit:
            yield [None]
            overlong, carry = _pass_over(file, encoding, carry, limit, start)
            start += overlong.size
            yield [overlong]
            if carry:  # it may hold whole lines, and is within a block
                lines, carry = split(carry)
                if lines:
                    yield lines
                    start += sum(map(len, lines))  # type: ignore[arg-type]
    if carry:
        yield [carry]


def plain_lines(file: HashedFile, encoding: Encoding, limit: int) -> Iterator[bytes | Overlong]:
    """Lines one by one, every one of more than `limit` bytes as `Overlong`."""
    for raw in chain.from_iterable(batches(file, encoding, limit)):
        if isinstance(raw, bytes):
            if len(raw) <= limit:
                yield raw
            else:
                yield Overlong(overlong_head(raw, limit), len(raw), raw.endswith(encoding.newline))
        elif raw is not None:
            yield raw


def last_lines_at(blocks: Iterable[bytes], encoding: Encoding, count: int) -> int:
    """Where the last `count` lines begin, bytes; `blocks` are all of the file. Where it has no more lines: 0.

    Memory does not grow with the lines, whatever their length.
    """
    newline, unit = encoding.newline, encoding.unit
    ends: deque[int] = deque(maxlen=count + 1)
    carry, size = b"", 0
    for block in blocks:
        data, base = carry + block, size - len(carry)
        size += len(block)
        found: list[int] = []
        end = len(data)
        while len(found) <= count and (at := data.rfind(newline, 0, end)) >= 0:
            if not (base + at) % unit:
                found.append(base + at + len(newline))
            end = at + len(newline) - 1
        ends.extend(reversed(found))
        carry = data[len(data) - len(newline) + 1 :]  # a line end may lie across two blocks
    behind = count + 1 if ends and ends[-1] == size else count  # a last line without an end is a line
    return ends[-behind] if len(ends) >= behind else 0


Split = Callable[[bytes], tuple[list["bytes | Overlong | None"], bytes]]


def _pass_over(file: HashedFile, encoding: Encoding, carry: bytes, limit: int, start: int) -> tuple[Overlong, bytes]:
    """Read on to the end of a line that is too long; answers what stands behind it."""
    head, size = overlong_head(carry, limit), len(carry)
    odd = carry[size - size % encoding.unit :]
    while True:
        file.mark = start + size
        block = file.block()
        if not block:
            return Overlong(head, size, ended=False), b""
        at = _find(encoding, odd + block)
        if at >= 0:
            at -= len(odd)
            return Overlong(head, size + at, ended=True), block[at:]
        size += len(block)
        odd = block[len(block) - size % encoding.unit :]


def overlong_head(raw: bytes, limit: int) -> bytes:
    """What is kept of a line that is too long: as much in any case, however much of it was read at once."""
    return raw[: min(limit, RAW_BYTES)]


def _find(encoding: Encoding, data: bytes) -> int:
    """Where the first line of `data` ends, or -1."""
    at = data.find(encoding.newline)
    while at % encoding.unit > 0:
        at = data.find(encoding.newline, at + 1)
    return at + encoding.unit if at >= 0 else -1


def _split_bytes(data: bytes) -> tuple[list[bytes | Overlong | None], bytes]:
    lines: list[bytes | Overlong | None] = list(BytesIO(data).readlines())
    rest = b"" if data.endswith(b"\n") else lines.pop()
    assert isinstance(rest, bytes)
    return lines, rest


def _split_cr(data: bytes) -> tuple[list[bytes | Overlong | None], bytes]:
    *lines, rest = data.split(b"\r")
    return [line + b"\r" for line in lines], rest


def _split_wide(newline: bytes) -> Split:
    def split(data: bytes) -> tuple[list[bytes | Overlong | None], bytes]:
        lines: list[bytes | Overlong | None] = []
        start = 0
        at = data.find(newline)
        while at >= 0:
            if at % 2:
                at = data.find(newline, at + 1)
                continue
            lines.append(data[start : at + 2])
            start = at + 2
            at = data.find(newline, start)
        return lines, data[start:]

    return split
