"""Every error a user can meet, with the exit code it ends in.

    ElspethError                      1   the run failed, or something is wrong
    ├── SettingsError                 2   bad usage or settings
    ├── RunInProgress                 3   somebody drives this run, or an unfinished one is in the way
    ├── RunNotFound                   4   no such run in the audit database
    ├── NoCheckpoint                  5   nothing to continue from
    ├── ConfigurationMismatch         6   the run was started with something else
    ├── SourceChanged                 7   the processed part of a source is not what it was
    │   └── DuplicateRow              7   a row was about to be recorded twice
    ├── OutputDamaged                 8   an output is not what the checkpoint says
    ├── TakenOver                     9   another attempt drives the run now
    ├── RowsFailed                   10   the run is complete, but of its rows somebody should hear
    ├── PersonNeeded                 12   a person must act first; the run waits and can be resumed
    ├── NewerVersion                 13   a newer Elspeth wrote what was found
    ├── Temporary                    75   mend and resume (disk full, database locked, directory not writable)
    └── Interrupted                 130   stopped by SIGINT (Ctrl-C)
        ├── HungUp                  129   stopped by SIGHUP (the terminal went away)
        └── Terminated              143   stopped by SIGTERM

An error says which thing, what was found, and what to do next. It crosses processes as a plain value
(`to_value`, `from_value`), never as a pickled exception.
"""

from __future__ import annotations

import signal
from typing import ClassVar, Self, TypedDict

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_IN_PROGRESS = 3
EXIT_NOT_FOUND = 4
EXIT_NO_CHECKPOINT = 5
EXIT_MISMATCH = 6
EXIT_SOURCE_CHANGED = 7
EXIT_OUTPUT_DAMAGED = 8
EXIT_TAKEN_OVER = 9
EXIT_ROWS_FAILED = 10
EXIT_EXPECTATIONS = 11  # reserved: what the run was expected to do, it did not
EXIT_PERSON = 12
EXIT_NEWER = 13
EXIT_TEMPORARY = 75
EXIT_SIGHUP = 129
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class ErrorValue(TypedDict):
    """An `ElspethError` as plain data."""

    kind: str
    message: str
    details: list[str]
    next_step: str


class ElspethError(Exception):
    """Something the user should know; translated_errors once, at the command line.

    `message` is one sentence: which thing, what was found. `details` are further facts, a line each.
    `next_step` is what to do, if possible a command that can be typed as it is.
    """

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, message: str, *, details: tuple[str, ...] | list[str] = (), next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.next_step = next_step

    def then(self, command: str) -> Self:
        """The same error, with this command to type once that is mended; as it is if it names one already."""
        if not command or "elspeth " in self.next_step:
            return self
        mend = "" if self.next_step == "resume" else self.next_step.removesuffix(", then resume")
        step = f"{mend}, then: {command}" if mend else command
        return type(self)(self.message, details=self.details, next_step=step)

    def to_value(self) -> ErrorValue:
        """The error as plain data, to be sent to another process or printed as JSON.

        A kind that only one room knows goes as the one of this list that it is made of, with its exit code.
        """
        return {
            "kind": next(cls.__name__ for cls in type(self).__mro__ if cls.__name__ in _BY_NAME),
            "message": self.message,
            "details": list(self.details),
            "next_step": self.next_step,
        }


class SettingsError(ElspethError):
    """The settings, or the words on the command line, cannot be used.

    `option` is the path, below a plugin's `options`, of the one that it is about; empty where that is said elsewhere.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self, message: str, *, details: tuple[str, ...] | list[str] = (), next_step: str = "",
        option: tuple[str | int, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(message, details=details, next_step=next_step)
        self.option = option


class RunInProgress(ElspethError):
    """Somebody drives this run already, or an unfinished run is in the way."""

    exit_code = EXIT_IN_PROGRESS


class RunNotFound(ElspethError):
    """The audit database holds no such run."""

    exit_code = EXIT_NOT_FOUND


class NoCheckpoint(ElspethError):
    """There is nothing from which this run could continue."""

    exit_code = EXIT_NO_CHECKPOINT


class ConfigurationMismatch(ElspethError):
    """What is asked for differs from what the run was started with."""

    exit_code = EXIT_MISMATCH


class SourceChanged(ElspethError):
    """The part of a source that was processed already is not what it was."""

    exit_code = EXIT_SOURCE_CHANGED


class DuplicateRow(SourceChanged):
    """A row was about to be recorded a second time."""


class OutputDamaged(ElspethError):
    """An output was deleted, shortened or edited before the recorded position."""

    exit_code = EXIT_OUTPUT_DAMAGED


class TakenOver(ElspethError):
    """Another attempt drives the run now; this one has nothing more to say."""

    exit_code = EXIT_TAKEN_OVER


class RowsFailed(ElspethError):
    """The run is complete, but rows came and none went a normal way, or not all did and that was to be heard of."""

    exit_code = EXIT_ROWS_FAILED


class PersonNeeded(ElspethError):
    """Waiting does not help and trying again would do harm: a person must act, then the run can be resumed."""

    exit_code = EXIT_PERSON


class NewerVersion(ElspethError):
    """A newer Elspeth wrote what was found; this one would misread it. No further try by this one can succeed."""

    exit_code = EXIT_NEWER


class Temporary(ElspethError):
    """Something outside the run is in the way; mend it and resume."""

    exit_code = EXIT_TEMPORARY


class Interrupted(ElspethError):
    """The operator stopped the run with SIGINT."""

    exit_code = EXIT_SIGINT


class HungUp(Interrupted):
    """The run was stopped with SIGHUP: its terminal went away."""

    exit_code = EXIT_SIGHUP


class Terminated(Interrupted):
    """The run was stopped with SIGTERM."""

    exit_code = EXIT_SIGTERM


_BY_NAME = {
    cls.__name__: cls
    for cls in (
        ElspethError, SettingsError, RunInProgress, RunNotFound, NoCheckpoint, ConfigurationMismatch, SourceChanged,
        DuplicateRow, OutputDamaged, TakenOver, RowsFailed, PersonNeeded, NewerVersion, Temporary, Interrupted, HungUp,
        Terminated,
    )
}  # fmt: skip


def from_value(value: ErrorValue) -> ElspethError:
    """The error that `to_value` described; an unknown kind becomes a plain `ElspethError`."""
    cls = _BY_NAME.get(value["kind"], ElspethError)
    return cls(value["message"], details=value["details"], next_step=value["next_step"])


ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""What ends a command in order beside Ctrl-C, unless it was ignored when the command began."""


def stopped_by(number: int) -> Interrupted:
    """What a command that this signal stopped ends with."""
    kind = {signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}.get(signal.Signals(number), Interrupted)
    return kind(f"stopped by {signal.Signals(number).name}")
