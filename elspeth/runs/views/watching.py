"""A run as somebody sees it who watches from outside: another terminal, or another machine that reads the database."""

from __future__ import annotations

from dataclasses import dataclass

from elspeth.audit.query.counters import Counters, outline
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.coordinator.reporting.progress import committed_bytes
from elspeth.runs.liveness.run_assessment import RunAssessment, assessment, inspected_sizes, resumable


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a run. `offset` of `size` bytes of its input are committed, None where nobody can tell."""

    found: RunAssessment
    counters: Counters
    offset: int | None
    size: int | None
    restarts: int

    @property
    def run(self) -> Run:
        """The run."""
        return self.found.run

    @property
    def over(self) -> bool:
        """Whether there is nothing more to see: nobody drives it any more."""
        return self.run.status != "running" or self.found.verdict.dead

    @property
    def next_command(self) -> str:
        """What there is to be typed when it is over; empty for a run that is complete."""
        return self.found.next_command if self.over and resumable(self.run) else ""


def look(reader: AuditReader, run_id: str) -> Look:
    """See how the run stands. Raises `RunNotFound`."""
    with reader.snapshot():
        run = reader.run(run_id)
        found = assessment(reader, run, patience=0.0)
        held = found.checkpoint
        sizes = inspected_sizes(reader, run_id)
        happened = [event.event for event in reader.events(run_id) if event.attempt == run.attempt]
        return Look(
            found,
            outline(reader, run_id),
            committed_bytes(held.read().source_positions) if held is not None else None,
            sum(sizes.values()) if sizes else None,
            happened.count("restarted"),
        )
