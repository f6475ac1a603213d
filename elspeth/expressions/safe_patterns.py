r"""Compiles regular expressions that cannot run away, and refuses the others with the reason.

Python's `re` backtracks: where a pattern can match one text in several ways, it tries them all before it gives up.
The number of ways is worked out here on the parsed pattern, on the safe side:

- a repeat is *settled* if what it repeats cannot be the beginning of what follows it (`\d+` before a dot): it has one
  way to match, for every other one fails at the next character;
- what else can match in a bounded number of ways counts with that number; together at most `MAX_WAYS`;
- an open-ended repeat (`*`, `+`, `{3,}`, or a range wider than `WIDE`) of something that matches in several ways is
  exponential, and refused;
- two open-ended repeats that can eat each other's text (`.*foo.*bar`: `.*` can eat `foo`) give the square of the
  length, and the cube with a search from every position, and are refused.

What is left is, at worst, quadratic in the length of the text, which the caller bounds. Possessive repeats and atomic
groups match in one way. See Davis et al., "The Impact of Regular Expression Denial of Service" (2018), for the shapes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

MAX_WAYS = 1_000
"""Most ways in which the bounded parts of a pattern may match at one place."""

MAX_WAYS_OPEN_ENDED = 20
"""The same for a pattern that is open-ended besides: there the ways are tried at the square of the length."""

WIDE = 100
"""A repeat whose counts differ by more than this is open-ended."""

MAX_PATTERN_LENGTH = 2_000

_parser: Any = importlib.import_module("re._parser")  # no public way to a parsed pattern; the same in 3.11 to 3.13

# Overlap of character classes is judged on these: ASCII and Latin, and one of each of the other sorts.
_PROBES = frozenset(range(0x250)) | frozenset(map(ord, "αβжЖ٣३中あ🙂\u2003\u2028\u0301\ufeff"))


class UnsafePattern(ValueError):
    """The pattern is no regular expression, or could take very long; the message says why."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a pattern: what it can eat, in how many ways, whether it may eat nothing, whether it is open-ended."""

    chars: frozenset[int]
    first: frozenset[int]
    ways: int = 1
    empty: bool = False
    open_ended: bool = False
    loose: bool = False  # open-ended and not settled
    looks_far: bool = False  # holds a look-around that reads an unbounded stretch
    asserts: bool = False  # eats nothing, and can fail all the same
    count_only: bool = False  # a repeat that can match in several ways only by its count


_NOTHING = _Piece(frozenset(), frozenset(), empty=True)


@lru_cache(maxsize=256)
def compile_safely(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises `UnsafePattern` (a `ValueError`) with the reason."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise UnsafePattern(f"the pattern is {len(pattern)} characters long; allowed are {MAX_PATTERN_LENGTH}")
    try:
        compiled = re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafePattern(f"the pattern {pattern!r} is no regular expression: {error}") from error
    if compiled.search("") is not None:
        raise UnsafePattern(f"the pattern {pattern!r} matches the empty text, so it would match every row")
    try:
        _Judge(compiled.flags, _literals(pattern)).whole(tree)
    except UnsafePattern as error:
        raise UnsafePattern(
            f"the pattern {pattern!r} could take very long: {error} (bound the repeat, as in {{0,20}}, "
            "or make it possessive, as in *+)"
        ) from None
    return compiled


def _literals(pattern: str) -> frozenset[int]:
    around = {ord(character) + step for character in pattern for step in (-1, 0, 1)}
    return frozenset(code for code in around if 0 <= code < 0x110000)


class _Judge:
    def __init__(self, flags: int, literals: frozenset[int]) -> None:
        self.probes = _PROBES | literals
        self.ignore_case = bool(flags & re.IGNORECASE)
        self.multiline = bool(flags & re.MULTILINE)
        self.groups: dict[int, _Piece] = {}

    def whole(self, tree: Any) -> None:
        items = list(tree)
        pieces = self.pieces(items)
        # What stands at the end, and cannot fail once it began, is never tried again.
        while pieces and pieces[-1].empty and not pieces[-1].asserts and not pieces[-1].looks_far:
            pieces.pop()
        if pieces and pieces[-1].count_only:
            pieces[-1] = replace(pieces[-1], ways=1, open_ended=False, loose=False)
        pieces = self.settled(pieces, None)
        anchored = bool(items) and str(items[0][0]) == "AT" and str(items[0][1]) in self.anchors
        open_ended = any(piece.open_ended or piece.looks_far for piece in pieces)
        self.check_ways(pieces, MAX_WAYS_OPEN_ENDED if open_ended else MAX_WAYS)
        self.check_chains(pieces, allowed=2 if anchored else 1)

    @property
    def anchors(self) -> tuple[str, ...]:
        return ("AT_BEGINNING_STRING",) if self.multiline else ("AT_BEGINNING", "AT_BEGINNING_STRING")

    def settled(self, pieces: Sequence[_Piece], follow: frozenset[int] | None) -> list[_Piece]:
        """The pieces, with what is settled by its successor marked so; `follow` is what can come after the last."""
        result: list[_Piece] = []
        for piece in reversed(pieces):
            if piece.count_only and follow is not None and not piece.chars & follow:
                piece = replace(piece, ways=1, loose=False)
            result.append(piece)
            if not piece.empty:
                follow = piece.first
            elif piece.first and follow is not None:
                follow = follow | piece.first
        return result[::-1]

    def check_ways(self, pieces: Sequence[_Piece], most: int = MAX_WAYS) -> int:
        ways = 1
        for piece in pieces:
            ways *= piece.ways
        if ways > most:
            raise UnsafePattern(f"its optional parts match one text in more than {most:,} ways")
        return ways

    def check_chains(self, pieces: Sequence[_Piece], allowed: int) -> None:
        """Refuse more than `allowed` open-ended repeats in a row that can eat each other's text."""
        depth: dict[int, int] = {}
        for index, piece in enumerate(pieces):
            if not piece.open_ended:
                continue
            depth[index] = 1
            for before in list(depth)[:-1]:
                between = pieces[before + 1 : index]
                eater = pieces[before].chars
                if eater & piece.chars and all(part.empty or part.chars & eater for part in between):
                    depth[index] = max(depth[index], depth[before] + 1)
            if depth[index] > allowed:
                raise UnsafePattern("two open-ended repeats can match the same text")

    def pieces(self, items: Iterable[tuple[Any, Any]]) -> list[_Piece]:
        result: list[_Piece] = []
        for operator, argument in items:
            result += self.one(str(operator), operator, argument)
        return result

    def one(self, name: str, operator: Any, argument: Any) -> list[_Piece]:
        match name:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                chars = self.members(name, argument)
                return [_Piece(chars, chars)]
            case "AT":
                return [_Piece(frozenset(), frozenset(), empty=True, asserts=True)]
            case "SUBPATTERN":
                number, added, _, body = argument
                before = self.ignore_case
                self.ignore_case = before or bool(added & re.IGNORECASE)
                inner = self.pieces(body)
                self.ignore_case = before
                if number is not None:
                    self.groups[number] = self.joined(inner)
                return inner
            case "BRANCH":
                return [self.branch([self.pieces(body) for body in argument[1]], self.exclusive(argument[1]))]
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = argument
                return [self.repeat(least, most, self.pieces(body), possessive=name == "POSSESSIVE_REPEAT")]
            case "ATOMIC_GROUP":
                return [self.one_way(self.pieces(argument))]
            case "ASSERT" | "ASSERT_NOT":
                inside = self.one_way(self.pieces(argument[1]))
                far = inside.open_ended or inside.looks_far
                return [replace(inside, first=frozenset(), empty=True, looks_far=far, asserts=True)]
            case "GROUPREF":
                group = self.groups.get(argument, _NOTHING)
                if group.open_ended:
                    raise UnsafePattern("it refers back to a group of unbounded length")
                return [_Piece(self.probes, self.probes, empty=group.empty)]
        raise UnsafePattern(f"it uses a construct that is not judged here ({name.lower()})")

    def one_way(self, pieces: list[_Piece]) -> _Piece:
        """A part that is never tried a second way, once it matched."""
        return replace(self.joined(pieces), ways=1, loose=False)

    def exclusive(self, bodies: Iterable[Iterable[tuple[Any, Any]]]) -> bool:
        """Whether the branches are plain words, none of which begins with another."""
        words = []
        for body in bodies:
            items = list(body)
            if not all(str(operator) == "LITERAL" for operator, _ in items):
                return False
            word = "".join(chr(code) for _, code in items)
            words.append(word.casefold() if self.ignore_case else word)
        words.sort()  # a word stands right before those that begin with it
        return not any(longer.startswith(word) for word, longer in pairwise(words))

    def branch(self, branches: list[list[_Piece]], exclusive: bool) -> _Piece:
        joined = [self.joined(branch) for branch in branches]
        # Branches that begin differently exclude one another, too; others are tried one after the other.
        begins = frozenset[int]().union(*(piece.first for piece in joined))
        exclusive = exclusive or (
            not any(piece.empty for piece in joined) and sum(len(piece.first) for piece in joined) == len(begins)
        )
        ways = [piece.ways for piece in joined]
        return _Piece(
            frozenset().union(*(piece.chars for piece in joined)),
            begins,
            ways=max(ways) if exclusive else sum(ways),
            empty=any(piece.empty for piece in joined),
            open_ended=any(piece.open_ended for piece in joined),
            loose=any(piece.loose for piece in joined),
            looks_far=any(piece.looks_far for piece in joined),
        )

    def repeat(self, least: int, most: int, inner: list[_Piece], *, possessive: bool) -> _Piece:
        last = self.joined(inner)
        # Within the repeat, what follows a turn is the next turn.
        turn = self.joined(inner, None if last.empty else last.first)
        unbounded = most - least > WIDE
        if most > 1 and turn.loose:
            raise UnsafePattern("an open-ended repeat stands inside a repeat")
        if unbounded and last.looks_far:
            raise UnsafePattern("a repeat looks far ahead at each of its steps")
        if unbounded and (turn.ways > 1 or (last.empty and last.chars)):
            raise UnsafePattern("an open-ended repeat holds something that matches in several ways")
        open_ended = unbounded or last.open_ended
        empty = least == 0 or last.empty
        if possessive:
            return replace(last, ways=1, empty=empty, open_ended=open_ended, loose=False)
        return _Piece(
            last.chars,
            last.first,
            ways=last.ways if unbounded else self.ways_of(turn.ways, last.ways, least, most),
            empty=empty,
            open_ended=open_ended,
            loose=unbounded or last.loose,
            looks_far=last.looks_far,
            count_only=last.ways == 1 and not last.empty and not last.open_ended,
        )

    @staticmethod
    def ways_of(turn: int, last: int, least: int, most: int) -> int:
        total = 0
        for count in range(least, most + 1):
            if turn > 1 and count > 64:
                total = MAX_WAYS + 1
            total += turn ** (count - 1) * last if count else 1
            if total > MAX_WAYS:
                raise UnsafePattern(f"a repeat matches one text in more than {MAX_WAYS:,} ways")
        return total

    def joined(self, pieces: Sequence[_Piece], follow: frozenset[int] | None = None) -> _Piece:
        """A sequence as one piece; `follow` is what can come after it, if that is known."""
        pieces = self.settled(pieces, follow)
        self.check_chains(pieces, allowed=1)
        first: frozenset[int] = frozenset()
        for piece in pieces:
            first |= piece.first
            if not piece.empty:
                break
        return _Piece(
            frozenset().union(*(piece.chars for piece in pieces)),
            first,
            ways=self.check_ways(pieces),
            empty=all(piece.empty for piece in pieces),
            open_ended=any(piece.open_ended for piece in pieces),
            loose=any(piece.loose for piece in pieces),
            looks_far=any(piece.looks_far for piece in pieces),
        )

    def members(self, name: str, argument: Any) -> frozenset[int]:
        """Which probes a single-character part matches; upper and lower case are one where case is ignored."""
        match name:
            case "ANY":
                return self.probes
            case "LITERAL":
                found = {code for code in self.probes if code == argument}
            case "NOT_LITERAL":
                found = {code for code in self.probes if code != argument}
            case _:
                negated = bool(argument) and str(argument[0][0]) == "NEGATE"
                listed = [item for item in argument if str(item[0]) != "NEGATE"]
                found = {code for code in self.probes if negated != any(_matches(item, code) for item in listed)}
        if self.ignore_case:
            found |= {
                ord(other) for code in found for other in (chr(code).lower(), chr(code).upper()) if len(other) == 1
            }
        return frozenset(found)


_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda text: text.isalnum() or text == "_",
}


def _matches(item: tuple[Any, Any], code: int) -> bool:
    operator, argument = str(item[0]), item[1]
    if operator == "LITERAL":
        return bool(code == argument)
    if operator == "RANGE":
        return bool(argument[0] <= code <= argument[1])
    words = str(argument).split("_")  # CATEGORY_DIGIT, CATEGORY_NOT_DIGIT
    return _CATEGORIES[words[-1]](chr(code)) != ("NOT" in words)
