"""The kit finds sources that break the contract: one for each claim, and the sentence it gets."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from elspeth.errors import SourceChanged
from elspeth.plugins.contract import Invalid, PluginOptions, Row, Source
from elspeth.testing import check_source

NO_OPTIONS = PluginOptions()
_calls = itertools.count()


class Counting(Source):
    """A source that keeps its contract: counts to five, and proves it."""

    name = "counting"
    last = 0

    def read(self, cursor: Any) -> Iterator[tuple[Row | Invalid, Any]]:
        for number in range(cursor or 0, 5):
            self.last = number + 1
            yield self.row(number), self.last

    def row(self, number: int) -> Row | Invalid:
        return Invalid(raw="3", error="three is no row") if number == 3 else {"n": number}

    def proof(self) -> str | None:
        return hashlib.sha256(bytes(self.last)).hexdigest()

    def check(self, cursor: Any, proof: str) -> None:
        if hashlib.sha256(bytes(cursor)).hexdigest() != proof:
            raise SourceChanged("changed")


class StartsOver(Counting):
    """Repeats the row of the cursor."""

    def read(self, cursor: Any) -> Iterator[tuple[Row | Invalid, Any]]:
        yield from super().read(cursor and cursor - 1)


class Shuffles(Counting):
    """Gives other rows each time."""

    def row(self, number: int) -> Row | Invalid:
        return {"n": next(_calls)}


class TupleCursor(Counting):
    """Has a cursor that JSON turns into a list."""

    def read(self, cursor: Any) -> Iterator[tuple[Row | Invalid, Any]]:
        for row, after in super().read(cursor and cursor[0]):
            yield row, (after,)


class BelievesAnything(Counting):
    """Does not look at the proof."""

    def check(self, cursor: Any, proof: str) -> None:
        pass


class BelievesNothing(Counting):
    """Refuses its own proof."""

    def check(self, cursor: Any, proof: str) -> None:
        raise SourceChanged("no")


class RunsBackwards(Counting):
    """Has offsets that fall."""

    def offset(self, cursor: Any) -> int | None:
        return 100 - int(cursor)


class Empty(Counting):
    """Has nothing to give."""

    def read(self, cursor: Any) -> Iterator[tuple[Row | Invalid, Any]]:
        yield from ()


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (StartsOver, "must go on behind the cursor 1 of row 1"),
        (Shuffles, "must yield the same rows each time it is read"),
        (TupleCursor, "must give a cursor that comes out of JSON unchanged"),
        (BelievesAnything, "must raise SourceChanged when the input before a cursor is not what it was"),
        (BelievesNothing, "must accept its own proof"),
        (RunsBackwards, "must give offsets that rise"),
        (Empty, "must yield rows to be checked"),
    ],
)
def test_a_broken_source_is_told_which_claim_it_breaks(cls: type[Source], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_source(cls(NO_OPTIONS))


def test_a_source_that_keeps_its_contract_passes() -> None:
    check_source(Counting(NO_OPTIONS))
