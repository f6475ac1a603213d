"""How SQL says a stored value again, in each of the two databases."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.audit.mapping import codes


class SqliteForms:
    """Columns of records have no fixed type there: the value's own type tells what it is."""

    hash_of = staticmethod(codes.hash_of)
    time_of = staticmethod(codes.time_of)
    duration_of = staticmethod(codes.duration_of)
    word_of = staticmethod(codes.word_of)

    def row_index(self, key: str) -> str:
        """The row's index, out of the id of a record that concerns it."""
        return f"CAST(substr({key}, 10, 9) AS INTEGER)"

    def named(self, alias: str, column: str) -> str:
        """A text that is stored by its number in `names`."""
        return f"CASE typeof({column}) WHEN 'integer' THEN {alias}.name ELSE {column} END"

    def number(self, column: str) -> str:
        """The number of such a text."""
        return column

    def or_same(self, column: str, other: str) -> str:
        """A stored hash, or the other where it is stored as being the same."""
        return f"CASE {column} WHEN 1 THEN {other} ELSE {column} END"

    def joined(self, column: str) -> str:
        """What a join found."""
        return column

    def without_end(self, key: str, end: str) -> str:
        """An id without the characters of `end` that it ends with, and the one before them."""
        cut = f"rtrim({key}, '{end}')"
        return f"substr({cut}, 1, length({cut}) - 1)"

    def is_not(self, column: str, code: int) -> str:
        """Whether a stored word is another one than this, as 0 or 1."""
        return f"{column} <> {code}"


class PostgresForms:
    """Columns have one type there. Where a record may hold numbers or texts the column is of texts: a number by its
    digits, a text behind an apostrophe. A hash is its 32 bytes; anything else in its place has another length."""

    def hash_of(self, column: str) -> str:
        """A stored hash, in hexadecimal digits."""
        text = f"convert_from(btrim({column}, '\\x00'::bytea), 'UTF8')"
        return f"CASE WHEN length({column}) = 32 THEN encode({column}, 'hex') ELSE {text} END"

    def time_of(self, column: str, *later: str) -> str:
        """A stored time, so many milliseconds `later`; where the last of these is no number, that."""
        last = later[-1] if later else column
        summed = " + ".join(f"CAST({part} AS BIGINT)" for part in (column, *later))
        at = f"timestamp '1970-01-01' + ({summed}) * interval '1 millisecond'"
        said = f"""to_char({at}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
        return f"CASE WHEN left({last}, 1) = '''' THEN substr({last}, 2) WHEN {last} IS NOT NULL THEN {said} END"

    def duration_of(self, column: str) -> str:
        """A stored duration in milliseconds, which is stored as that."""
        return column

    def word_of(self, column: str, words: Mapping[str, int]) -> str:
        """A stored word."""
        cases = " ".join(f"WHEN '{code}' THEN '{word}'" for word, code in words.items())
        return f"CASE {column} {cases} ELSE {self._text(column)} END"

    def row_index(self, key: str) -> str:
        """The row's index, out of the id of a record that concerns it."""
        # A cast of what is no number would break off every question about the table.
        digits = f"substr({key}, 10, 9)"
        return f"CASE WHEN {digits} ~ '^[0-9]+$' THEN CAST({digits} AS BIGINT) ELSE 0 END"

    def named(self, alias: str, column: str) -> str:
        """A text that is stored by its number in `names`."""
        return f"CASE left({column}, 1) WHEN '''' THEN substr({column}, 2) ELSE {alias}.name END"

    def number(self, column: str) -> str:
        """The number of such a text."""
        return f"CASE WHEN left({column}, 1) <> '''' THEN CAST({column} AS BIGINT) END"

    def or_same(self, column: str, other: str) -> str:
        """A stored hash, or the other where it is stored as being the same."""
        return f"CASE {column} WHEN '\\x01'::bytea THEN {other} ELSE {column} END"

    def joined(self, column: str) -> str:
        """What a join found."""
        return column

    def without_end(self, key: str, end: str) -> str:
        """An id without the characters of `end` that it ends with, and the one before them."""
        return f"left(rtrim({key}, '{end}'), -1)"

    def is_not(self, column: str, code: int) -> str:
        """Whether a stored word is another one than this, as 0 or 1."""
        return f"CASE WHEN {column} <> '{code}' THEN 1 ELSE 0 END"

    def _text(self, column: str) -> str:
        return f"CASE left({column}, 1) WHEN '''' THEN substr({column}, 2) ELSE {column} END"


Forms = SqliteForms | PostgresForms

SQLITE = SqliteForms()
POSTGRES = PostgresForms()
