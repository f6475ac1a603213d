"""The elements of a JSON array one by one, out of a file of any length, within bounded memory.

Only structure is looked at here: strings and brackets. Whether an element is good JSON is for its reader to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from elspeth.plugins.sources.hashed_file import RAW_BYTES, HashedFile

_SPACE = re.compile(rb"[ \t\r\n]*+")
_OUTSIDE = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL)  # to the next bracket
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)  # to the end of a string
_SCALAR = re.compile(rb"[^,\]}\s]*+")
_FLAT = re.compile(rb'\{[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+\}', re.DOTALL)  # an object of scalars
_QUOTE, _OPENING = ord('"'), b"{["


class Truncated(Exception):
    """The file ends where JSON has to go on; `head` and `line` belong to the element in which it ends, if in one."""

    def __init__(self, message: str, head: bytes = b"", line: int = 0) -> None:
        super().__init__(message)
        self.head = head
        self.line = line


class Unexpected(Exception):
    """Something stands where JSON allows it not; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Element:
    """A complete element as it stands in the file, or the beginning of one that is too long to be kept."""

    raw: bytes
    size: int  # bytes
    line: int  # of its first byte, counted from 1
    overlong: bool


class ElementReader:
    """Walks through the file; `offset` and `line` (line ends before it) say how far it has come.

    Everything before the element at hand is given up, so the caller must be done with it: the file's mark moves when an
    element is passed over.
    """

    def __init__(self, file: HashedFile, line: int, limit: int) -> None:
        self.line = line
        self._file = file
        self._limit = limit
        self._buffer = b""
        self._base = file.mark  # offset of the buffer's first byte
        self._at = 0  # place in the buffer

    @property
    def offset(self) -> int:
        """Bytes before the place that was reached."""
        return self._base + self._at

    def peek(self) -> bytes:
        """The next byte that is no white space, without going behind it; empty at the end of the file."""
        while True:
            place = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if place > self._at:
                self._go(place)
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill(self._at):
                return b""

    def expect(self, allowed: bytes, what: str) -> bytes:
        """Go behind the next byte, which must be one of `allowed`. Raises `Truncated` or `Unexpected`."""
        found = self.peek()
        if not found:
            raise Truncated(f"ends where {what} must follow")
        if found not in allowed:
            raise Unexpected(f"{what} is expected here")
        self._at += 1
        return found

    def element(self, *, keep: bool = True) -> Element:
        """The next element, whatever its kind. With `keep` false it is passed over and may have any length.

        Raises `Truncated` if the file ends in it, `Unexpected` if none begins here.
        """
        first = self.peek()
        if not first:
            raise Truncated("ends where an element must follow")
        if first in (b",", b"]", b"}", b":"):
            raise Unexpected("an element is expected here")
        line = self.line + 1
        limit = self._limit if keep else 0
        if first == b"{" and (flat := _FLAT.match(self._buffer, self._at)) and len(flat[0]) <= limit:
            self._go(flat.end())
            return Element(flat[0], len(flat[0]), line, overlong=False)
        begin = self.offset
        head = b""
        place, depth, inside = self._at, 0, False
        while True:
            buffer = self._buffer
            if inside:
                place = _INSIDE.match(buffer, place).end()  # type: ignore[union-attr]
                if place < len(buffer) and buffer[place] == _QUOTE:
                    place += 1
                    inside = False
                    if not depth:
                        break
                    continue
            elif not depth and first not in (b"{", b"[", b'"'):
                place = _SCALAR.match(buffer, place).end()  # type: ignore[union-attr]
                if place < len(buffer):
                    break
            else:
                place = _OUTSIDE.match(buffer, place).end() if depth else place  # type: ignore[union-attr]
                if place < len(buffer):
                    byte = buffer[place]
                    place += 1
                    if byte == _QUOTE:
                        inside = True
                        continue
                    depth += 1 if byte in _OPENING else -1
                    if not depth:
                        break
                    continue
            # The buffer is used up. Of an element beyond the limit only the beginning is remembered.
            if self._base + place - begin > limit:
                head = head or self._beginning(self._at)
                self._go(place)
                self._file.mark = self.offset
            dropped = self._at
            if not self._fill(self._at):
                head = head or self._beginning(self._at)
                raise Truncated("ends in the middle of an element", head, line)
            place -= dropped
        start = self._at
        self._go(place)
        size = self.offset - begin
        if head or size > limit:
            return Element(head or self._beginning(start), size, line, overlong=True)
        return Element(buffer[start:place], size, line, overlong=False)

    def rest(self) -> bytes:
        """Go to the end of the file; answers the beginning of what was passed over."""
        head = self._buffer[self._at : self._at + RAW_BYTES]
        while True:
            self._go(len(self._buffer))
            self._file.mark = self.offset
            if not self._fill(self._at):
                return head
            head = (head + self._buffer)[:RAW_BYTES] if len(head) < RAW_BYTES else head

    def descend(self, keys: list[str]) -> None:
        """Go to the value that these keys lead to. Raises `Truncated`, `Unexpected` or `LookupError` (a sentence)."""
        for depth, key in enumerate(keys):
            where = ".".join(keys[:depth]) or "the file"
            if self.peek() != b"{":
                raise LookupError(f"{where} holds no object in which '{key}' could be looked up")
            self._at += 1
            seen: list[str] = []
            while (found := self._key()) != key:
                seen += [found[:40]] if len(seen) < 10 else []
                self.element(keep=False)
                if self.expect(b",}", "a comma or a closing brace") == b"}":
                    raise LookupError(f"there is no '{key}' in {where}; it holds {', '.join(map(repr, seen))}")

    def _key(self) -> str:
        if self.peek() != b'"':
            raise Unexpected("a key is expected here") if self.peek() else Truncated("ends where a key must follow")
        element = self.element()
        if element.overlong:
            raise Unexpected("a key is too long")
        try:
            key = orjson.loads(element.raw)
        except orjson.JSONDecodeError as error:
            raise Unexpected(f"a key cannot be read: {error}") from error
        self.expect(b":", "a colon")
        return str(key)

    def _beginning(self, start: int) -> bytes:
        return self._buffer[start : start + min(self._limit, RAW_BYTES)]  # the same, however much was read at once

    def _go(self, place: int) -> None:
        self.line += self._buffer.count(b"\n", self._at, place)
        self._at = place

    def _fill(self, keep_from: int) -> bool:
        block = self._file.block()
        self._buffer = self._buffer[keep_from:] + block
        self._base += keep_from
        self._at -= keep_from
        return bool(block)
