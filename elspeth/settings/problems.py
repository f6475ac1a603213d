"""What is wrong with settings: one value per problem, and the error that carries all of them at once."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from elspeth.errors import ErrorValue, SettingsError

KeyPath = tuple[str | int, ...]
"""Where a value stands in the document: keys, and indexes of lists counted from 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend in the settings.

    `file` is where it stands (a file, a variable of the environment, an option of the command line), `line` counts from
    1 where there is a line, `key` is dotted (`gates.0.routes`). `found`, `allowed` and `suggestion` may be empty.
    """

    file: str
    line: int | None
    key: str
    message: str
    found: str = ""
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        if self.key:
            text += f"{self.key}: "
        text += self.message
        if self.found:
            text += f"; found {self.found}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.suggestion:
            text += f"; did you mean {self.suggestion}?"
        return text


class SettingsProblems(SettingsError):
    """Everything that is wrong with the settings, in the order of lines. `problems` holds it as values."""

    def __init__(self, problems: Iterable[Problem], *, next_step: str = "") -> None:
        self.problems = tuple(sorted(problems, key=_place))
        where = self.problems[0].file
        count = f"{len(self.problems)} problems" if len(self.problems) > 1 else "1 problem"
        super().__init__(
            f"The settings cannot be used: {count} in {where}",
            details=[str(problem) for problem in self.problems],
            next_step=next_step or _check(self.problems),
        )

    def __str__(self) -> str:
        return "\n".join((self.message, *self.details))

    def to_value(self) -> ErrorValue:
        """Plain data; it comes back as the `SettingsError` that it is, without the single values."""
        value = SettingsError.to_value(self)
        value["kind"] = SettingsError.__name__
        return value


def _check(problems: Iterable[Problem]) -> str:
    """The command that checks the file again: the first one of which a line is named, if there is one."""
    file = next((problem.file for problem in problems if problem.line is not None), "FILE")
    return f"mend what is listed, then check with: elspeth validate --settings {shlex.quote(file)}"


def _place(problem: Problem) -> tuple[bool, int]:
    return (problem.line is None, problem.line or 0)


@dataclass(frozen=True, slots=True)
class Positions:
    """On which line each key stands, for problems found later (wiring, plugin options).

    `lines` maps a path to its line, counted from 1; a path that came from elsewhere (a variable of the environment) has
    the name of that place in `origins`. `unknown` are paths of which nobody can tell what is meant, since a variable is
    not set or the value cannot be used: that is told, and what would only follow from it is not.
    """

    file: str = "settings"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    origins: Mapping[KeyPath, str] = field(default_factory=dict)
    unknown: Set[KeyPath] = frozenset()

    def known(self, path: Sequence[str | int]) -> bool:
        """Whether nothing is unknown of this key: not itself, nor what it lies in, nor what lies in it."""
        path = tuple(path)
        return not any(path[: len(other)] == other[: len(path)] for other in self.unknown)

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of this key, else of the nearest thing around it; None if nothing of it stands in the file."""
        for end in range(len(path), 0, -1):
            found = self.lines.get(tuple(path[:end]))
            if found is not None:
                return found
        return None

    def stands(self, path: Sequence[str | int]) -> bool:
        """Whether just this key was given a value, by the file or by something else."""
        return tuple(path) in self.lines or tuple(path) in self.origins

    def origin(self, path: Sequence[str | int]) -> str | None:
        """What gave this key its value, if it was not the file."""
        for end in range(len(path), 0, -1):
            found = self.origins.get(tuple(path[:end]))
            if found is not None:
                return found
        return None

    def problem(
        self, path: Sequence[str | int], message: str, *, found: str = "", allowed: str = "", suggestion: str = ""
    ) -> Problem:
        """A problem at this key, with its file and line filled in."""
        origin = self.origin(path)
        if origin is not None:
            return Problem(origin, None, dotted(path), message, found, allowed, suggestion)
        return Problem(self.file, self.line(path), dotted(path), message, found, allowed, suggestion)


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: `gates.0.routes`."""
    return ".".join(str(part) for part in path)


def suggest(word: str, candidates: Iterable[str]) -> str:
    """The candidate that was probably meant, or an empty text. Upper and lower case do not count."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def shown(value: Any, limit: int = 60) -> str:
    """A value in a few words for a message: short scalars as they are, containers by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        cut = value if len(value) <= limit else value[:limit] + "..."
        return f"text {cut!r}"
    text = str(value) if not isinstance(value, int) or abs(value) < 10**limit else "a very large number"
    return text if len(text) <= limit else text[:limit] + "..."
