"""Physical lines to CSV records, and the way on from a record that cannot be completed."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from elspeth.plugins.sources.hashed_file import HashedFile
from elspeth.plugins.sources.lines import Encoding, Overlong, batches, overlong_head


class Broken(Exception):
    """The record at hand cannot be completed; the message says why."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The first line of a record that could not be completed; reading goes on behind it."""

    raw: bytes  # not all of it, if the line is too long to be kept
    size: int  # bytes
    ended: bool
    problem: str


class RecordFeed:
    """Gives lines to a `csv.reader` and remembers which lines the record at hand is made of.

    Its user clears `taken` before each record and sets `offset` behind each. `flaw` says what is wrong with the text of
    the record although its structure can be read. Before the byte `apart` a record is one line: a quote that was not
    closed had swallowed these lines, and to look for the end of a record in them again and again would cost quadratic
    time on an input made for it.
    """

    def __init__(
        self, file: HashedFile, encoding: Encoding, limit: int, dialect: dict[str, Any], *, apart: int = 0,
        comment: bytes = b"",
    ) -> None:  # fmt: skip
        self.taken: list[bytes] = []
        self.offset = file.mark
        self.flaw = ""
        self.apart = apart
        self._file = file
        self._encoding = encoding
        self._limit = limit
        self._dialect = dialect
        self._comment = comment  # how lines begin that are read as empty ones
        self._fresh = chain.from_iterable(batches(file, encoding, limit))
        self._again: deque[bytes | Overlong | None] = deque()
        self._overlong: Overlong | None = None
        self._unclosed = False
        # A limit of the process; the one that counts is `limit`, which is about whole rows.
        csv.field_size_limit(max(csv.field_size_limit(), limit))

    def skip(self, count: int) -> int:
        """Pass over so many lines, whatever they hold; answers how many there were."""
        for done in range(count):
            raw = next(self._fresh, b"")
            if raw is None:
                raw = next(self._fresh)
            if not raw:
                return done
            self.offset += raw.size if isinstance(raw, Overlong) else len(raw)
            self._file.mark = self.offset
        return count

    def records(self) -> Iterator[list[str]]:
        """A new reader of the lines that were not used up. Raises `csv.Error` or `Broken`: then call `drop`."""
        return csv.reader(self._lines(), strict=True, **self._dialect)

    def _lines(self) -> Iterator[str]:
        taken, again, fresh, limit = self.taken, self._again, self._fresh, self._limit
        codec, comment = self._encoding.codec, self._comment
        size = 0  # of the record with this line, bytes
        while True:
            raw = again.popleft() if again else next(fresh, b"")
            if not isinstance(raw, bytes) or len(raw) > limit:
                raise self._refused(raw)
            if not raw:
                self._unclosed = True  # only of importance if the record is not complete
                return
            size = size + len(raw) if taken else len(raw)
            if taken:
                self._expect_room(raw, size)
            elif comment and raw.startswith(comment):
                taken.append(raw)
                yield "\n"
                continue
            taken.append(raw)
            try:
                text = raw.decode(codec)
            except UnicodeDecodeError as error:
                text = self._encoding.forgiving(raw)
                self.flaw = self.flaw or f"is not {codec}: {error.reason} at byte {error.start + 1} of the line"
            if "\0" in text:
                self.flaw = self.flaw or "contains a NUL byte"
            yield text

    def _refused(self, raw: bytes | Overlong | None) -> Broken:
        if self.taken:
            self._again.appendleft(raw)
            self._unclosed = True
            return Broken("a quote is opened and not closed before a line that is too long")
        if raw is None:  # nothing stands before it any more, so it may be passed over
            raw = next(self._fresh)
        if isinstance(raw, bytes):
            raw = Overlong(overlong_head(raw, self._limit), len(raw), raw.endswith(self._encoding.newline))
        self._overlong = raw
        return Broken("the line is too long")

    def _expect_room(self, raw: bytes, size: int) -> None:
        if self.offset < self.apart:
            self._again.appendleft(raw)
            raise Broken("a quote is opened and not closed on this line")
        if size > self._limit:
            self._again.appendleft(raw)
            self._unclosed = True
            raise Broken(f"a quote is opened and not closed within {self._limit:,} bytes")

    def drop(self, error: csv.Error | Broken) -> Dropped:
        """Give up the record at hand but for the lines behind its first. Call `records` again after it."""
        overlong, unclosed = self._overlong, self._unclosed
        self._overlong, self._unclosed, self.flaw = None, False, ""
        if overlong is not None:
            problem = f"has {overlong.size:,} bytes where max_row_bytes allows {self._limit:,}"
            return Dropped(overlong.head, overlong.size, overlong.ended, problem)
        first, *others = self.taken
        # The line on which an error showed may begin a proper record; those before it were all inside the quotes.
        swallowed = self.taken if unclosed else self.taken[:-1]
        self.apart = max(self.apart, self.offset + sum(map(len, swallowed)))
        self._again.extendleft(reversed(others))
        return Dropped(first, len(first), first.endswith(self._encoding.newline), _worded(error))


def _worded(error: Exception) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return "a quote is opened and not closed before the end of the file"
    if "expected after" in text:
        return "a quote is closed in the middle of a field, or stands in one without being doubled"
    if "new-line character" in text:
        return "a carriage return stands in the middle of the line"
    return text
