"""How an attempt ended: as a summary for people, as one object for programs, and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from elspeth.audit.query.verdict import Reason
from elspeth.audit.store.place import Place
from elspeth.calls.totals import CallTotals
from elspeth.cli import output
from elspeth.errors import (
    EXIT_OK,
    EXIT_ROWS_FAILED,
    ElspethError,
    Interrupted,
    PersonNeeded,
    TakenOver,
    Temporary,
)
from elspeth.runs.lifecycle.drive import AttemptResult

SHAPE: dict[str, Any] = {
    "status": "refused", "run_id": None, "rows": 0, "outcomes": {}, "sinks": {}, "duration_seconds": 0.0,
    "database": None, "exit_code": None, "resumable": False, "next_command": None, "error": None, "all_failed": False,
    "reasons": [], "notes": [], "calls": {},
}  # fmt: skip
"""The keys of every JSON result of `run` and `resume`, with what they hold where nothing was run."""

BAD_OUTCOMES = ("quarantined", "discarded", "failed")
"""What `--fail-on-rows` looks for. Elsewhere these are results like any other."""

ALL_FAILED = "Rows came, and none of them went a normal way: exit code 10 (0 with --allow-all-failed)."

_STYLE = {"completed": "green", "interrupted": "yellow"}


@dataclass(frozen=True, slots=True)
class Result:
    """An attempt that came to an end.

    `resume` is the command that continues the run, None where none can; `again` the one that starts it, where nothing
    of it was recorded.
    """

    ended: AttemptResult
    database: Place
    seconds: float
    files: Mapping[str, str]
    resume: str | None
    again: str = ""
    attempt: int = 1
    took_over: bool = False
    notes: tuple[str, ...] = ()
    fail_on_rows: bool = False
    all_failed: bool = False
    allow_all_failed: bool = False
    reasons: tuple[Reason, ...] = ()
    explain: str = ""
    calls: Mapping[str, CallTotals] = field(default_factory=dict)
    currency: str = ""

    @property
    def error(self) -> ElspethError | None:
        """What ended the attempt before the run was complete, with the command to type then."""
        error = self.ended.error
        return error and error.then(self.resume or self.again)

    @property
    def status(self) -> str:
        """The run's status as it stands in the audit database, if this attempt still had a say in it."""
        match self.ended.error:
            case None:
                return "completed"
            case TakenOver():
                return "taken over"
            case Interrupted() | Temporary() | PersonNeeded():
                return "interrupted"
            case _:
                return "failed"

    @property
    def outcomes(self) -> dict[str, int]:
        """Tokens by outcome; those that wait for the rest of a batch are counted when the batch is complete."""
        return {name: number for name, number in self.ended.progress.outcomes.items() if name != "buffered"}

    @property
    def bad(self) -> dict[str, int]:
        """Tokens that were quarantined, discarded or failed."""
        outcomes = self.ended.progress.outcomes
        return {name: outcomes[name] for name in BAD_OUTCOMES if outcomes.get(name)}

    @property
    def exit_code(self) -> int:
        """0 for a complete run, else the code of what ended it."""
        if self.ended.error is not None:
            return self.ended.error.exit_code
        failed = (self.fail_on_rows and self.bad) or (self.all_failed and not self.allow_all_failed)
        return EXIT_ROWS_FAILED if failed else EXIT_OK

    def to_value(self) -> dict[str, Any]:
        """The result for programs."""
        progress, error = self.ended.progress, self.error
        return SHAPE | {
            "status": self.status.replace(" ", "_"),
            "run_id": self.ended.run_id,
            "attempt": self.attempt,
            "rows": progress.rows_done,
            "outcomes": self.outcomes,
            "sinks": {name: progress.sinks.get(name, 0) for name in {**self.files, **progress.sinks}},
            "duration_seconds": round(self.seconds, 3),
            "restarts": progress.restarts,
            "poisoned": progress.poisoned,
            "database": str(self.database),
            "exit_code": self.exit_code,
            "resumable": self.resume is not None,
            "next_command": self.resume,
            "error": error.to_value() if error else None,
            "all_failed": self.all_failed,
            "notes": list(self.notes),
            "calls": {name: msgspec.to_builtins(totals) for name, totals in sorted(self.calls.items())},
            "reasons": [
                {"node": each.node, "reason": each.reason, "count": each.count, "token": each.token}
                for each in self.reasons
            ],
        }

    def summary(self) -> str:
        """The result for people."""
        progress = self.ended.progress
        status = output.styled(self.status, _STYLE.get(self.status, "red"))
        lines = [f"Run {self.ended.run_id} {status} after {output.seconds(self.seconds)}: {self._rows()}"]
        if self.outcomes:
            lines += ["", output.table(["outcome", "tokens"], sorted(self.outcomes.items()), indent=2)]
        if self.files:
            sinks = [(name, progress.sinks.get(name, 0), file) for name, file in self.files.items()]
            lines += ["", output.table(["sink", "rows", "file"], sinks, indent=2)]
        lines += ["", *self._asked(), *self._happened(), f"Audit trail: {self.database}"]
        return "\n".join(lines)

    def _asked(self) -> list[str]:
        """A line for each provider that was asked, over all attempts of a run that is complete."""
        lines = []
        for name, totals in sorted(self.calls.items()):
            tokens = totals.input_tokens + totals.output_tokens
            parts = [output.count(totals.exchanges, "call")]
            parts += [f"{totals.unknown:,} of them unknown"] if totals.unknown else []
            parts += [output.count(tokens, "token")] if tokens else []
            parts += [f"{totals.cost:f} {self.currency}".rstrip()] if totals.cost else []
            lines.append(f"Asked {name}: {', '.join(parts)}.")
        return lines

    def _rows(self) -> str:
        progress = self.ended.progress
        words = output.count(progress.rows_done, "row")
        if progress.rows_before:
            words += f", {progress.rows_before:,} of them before this attempt"
        if self.ended.error is not None:
            words += f"; {progress.rows_committed:,} committed"
        return words

    def _happened(self) -> list[str]:
        progress = self.ended.progress
        lines = [*self.notes]
        if self.attempt > 1:
            lines.append(f"This was attempt {self.attempt}{', taken over from a frozen process' * self.took_over}.")
        if progress.restarts:
            lines.append(f"Children were restarted {output.count(progress.restarts, 'time')}.")
        if progress.poisoned:
            lines.append(
                f"Quarantined for killing the process that touched them: {output.count(progress.poisoned, 'row')}."
            )
        if self.bad:
            total = sum(self.bad.values())
            listed = ", ".join(f"{number:,} {name}" for name, number in self.bad.items())
            lines.append(output.styled(f"{output.count(total, 'row')} did not go the normal way: {listed}.", "yellow"))
        if self.reasons:
            lines.append("Most often because:")
            lines += [f"  {each.count:,} at {each.node}: {each.reason}, as {_which(each)}" for each in self.reasons]
            first = self.reasons[0]
            which = f"--row {first.row}" if first.row is not None else f"--token {first.token}"
            lines.append(f"The story of one:\n  {self.explain} {which}")
        if self.all_failed:
            lines.append(output.styled(ALL_FAILED, "red"))
        return lines


def _which(reason: Reason) -> str:
    return f"row {reason.row}" if reason.row is not None else f"token {reason.token}"
