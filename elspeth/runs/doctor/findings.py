"""What a check found: in order, worth knowing, or wrong, in words and with the command that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from elspeth.canonical import JsonObject
from elspeth.errors import ElspethError

Level = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at; `next_step` is empty where there is nothing to do."""

    check: str
    level: Level
    message: str
    details: tuple[str, ...] = ()
    next_step: str = ""

    @classmethod
    def of(cls, check: str, error: ElspethError) -> Finding:
        """The finding that an error is."""
        return cls(check, "wrong", error.message, error.details, error.next_step)

    def to_value(self) -> JsonObject:
        """The finding as plain data."""
        return {
            "check": self.check, "level": self.level, "message": self.message, "details": list(self.details),
            "next_step": self.next_step,
        }  # fmt: skip


class Findings:
    """What has been found so far, in the order of the checks."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    @property
    def wrong(self) -> bool:
        """Whether anything is wrong."""
        return any(finding.level == "wrong" for finding in self._found)

    def add(self, check: str, level: Level, message: str, *details: str, next_step: str = "") -> None:
        """Write a finding down."""
        self._found.append(Finding(check, level, message, details, next_step))

    def ask(self, check: str, question: Callable[[], str | None]) -> bool:
        """Carry out a check that raises what is wrong and answers what is in order; whether it went well."""
        with self.noting(check):
            if (sentence := question()) is not None:
                self.add(check, "ok", sentence)
            return True
        return False

    @contextmanager
    def noting(self, check: str) -> Iterator[None]:
        """Write an `ElspethError`, or what the system refuses, down as a finding instead of raising it."""
        try:
            yield
        except ElspethError as error:
            self._found.append(Finding.of(check, error))
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self.add(check, "wrong", f"could not be checked: {what}")
