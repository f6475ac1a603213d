"""Exports what is measured of a run, as its settings ask: on a port, in a file, as spans. Never at the run's cost.

The coordinator's thread notes numbers and never waits; a thread of its own writes files and sends spans. What fails is
said once, and the run goes on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elspeth.canonical import JsonObject
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.protocol import LeaseAsked, LeaseEnded
from elspeth.coordinator.reporting.observer import Observer, ProviderState
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.tally import Numbers
from elspeth.durable import why
from elspeth.runs.telemetry.metrics import Labels, Reading, text
from elspeth.settings.telemetry import Telemetry

if TYPE_CHECKING:
    from elspeth.runs.telemetry.spans import Spans

SPANS = "spans by OTLP"
EVERY_SECONDS = 5.0
LAST_WORD_SECONDS = 5.0
"""So long the end of a run waits for a collector that takes its time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The attempt that is watched. `accounts` is where services are reached, by provider: their kind and host."""

    labels: Labels
    numbers: Numbers
    currency: str = ""
    accounts: Mapping[str, tuple[str, str]] | None = None


@contextlib.contextmanager
def exporting(telemetry: Telemetry, subject: Subject, progress: Progress) -> Iterator[Observer]:
    """Export while the block runs, and what it came to at its end. Yields whom the coordinator is to tell."""
    if not telemetry.enabled or (telemetry.prometheus is None and telemetry.otlp is None):
        yield Observer()
        return
    exporter = Exporter(telemetry, subject, progress)
    exporter.start()
    try:
        yield exporter
    finally:
        exporter.close()


class Exporter(Observer):
    """What is known of one attempt, and where it goes."""

    def __init__(self, telemetry: Telemetry, subject: Subject, progress: Progress) -> None:
        self._telemetry = telemetry
        self._subject = subject
        self._progress = progress
        self._started_at = self._committed_at = time.time()
        self._commits = 0
        self._commit_seconds = 0.0
        self._sent: dict[int, float] = {}
        self._states: Callable[[], Mapping[str, ProviderState]] = dict
        self._active = True
        self._said: set[str] = set()
        self._ended = threading.Event()
        self._closers: list[Callable[[], object]] = []
        self._steps: dict[str, Callable[[], None]] = {}
        self._spans: Spans | None = None
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)

    def start(self) -> None:
        """Take the port, and begin."""
        prometheus = self._telemetry.prometheus
        if prometheus is not None and prometheus.port is not None:
            port = prometheus.port
            with self._cautiously(f"metrics on {prometheus.host}:{port}"):
                from elspeth.runs.telemetry.serving import MetricsServer  # few runs serve anything

                self._closers.append(MetricsServer(prometheus.host, port, lambda: text(self.reading())).close)
        if prometheus is not None and prometheus.textfile is not None:
            from elspeth.runs.telemetry.textfile import TextFile

            file = TextFile(Path(prometheus.textfile).absolute(), prometheus.textfile)
            self._steps[f"metrics in {prometheus.textfile}"] = lambda: file.write(text(self.reading()))
        if self._telemetry.otlp is not None:
            with self._cautiously(SPANS):
                from elspeth.runs.telemetry.spans import Spans  # an extra

                spans = self._spans = Spans(self._subject.labels, self._telemetry.otlp.endpoint,
                                            self._subject.accounts or {})  # fmt: skip
                self._steps[SPANS] = spans.send
                self._closers.append(spans.close)
        self._thread.start()

    def close(self) -> None:
        """Say the last word: the run is not driven any more."""
        self._active = False
        self._ended.set()
        self._thread.join(LAST_WORD_SECONDS)
        for close in self._closers:
            with self._cautiously("the end of telemetry"):
                close()

    def reading(self) -> Reading:
        """What is known now. In any thread."""
        progress = self._progress
        return Reading(
            self._subject.labels,
            self._subject.numbers,
            progress.durable or _NOTHING,
            self._started_at,
            self._committed_at,
            progress.rows_read,
            progress.rows_done,
            self._commits,
            self._commit_seconds,
            progress.restarts,
            self._active,
            self._subject.currency,
            self._states(),
        )

    # -- what the coordinator tells ----------------------------------------------------------------------------

    def happened(self, child: str, event: str, pid: int | None, detail: JsonObject | None) -> None:
        """A child started, was started again, or ended."""
        if self._spans is not None:
            with self._cautiously(SPANS):
                self._spans.child(child, event, pid, detail)

    def commit_sent(self, no: int) -> None:
        """A commit begins."""
        self._sent[no] = time.time()

    def committed(self, no: int) -> None:
        """A commit is done, and those before it."""
        now = time.time()
        begun = [self._sent.pop(each) for each in [each for each in self._sent if each <= no]]
        self._committed_at = now
        self._commits += 1
        if begun:
            self._commit_seconds += now - min(begun)
            if self._spans is not None:
                with self._cautiously(SPANS):
                    self._spans.commit(no, min(begun), now)

    def accounts(self, states: Callable[[], Mapping[str, ProviderState]]) -> None:
        """Where it is to be seen what calls wait for."""
        self._states = states

    def call_sent(self, child: str, call: LeaseAsked) -> None:
        """A call begins."""
        if self._spans is not None:
            with self._cautiously(SPANS):
                self._spans.call_sent(child, call)

    def call_ended(self, child: str, call: LeaseAsked, end: LeaseEnded | None) -> None:
        """A call is over."""
        if self._spans is not None:
            with self._cautiously(SPANS):
                self._spans.call_ended(child, call, end)

    def ended(self, complete: bool) -> None:
        """The attempt is over."""
        if self._spans is not None:
            with self._cautiously(SPANS):
                self._spans.ended(complete)

    # -- the thread that waits for others ----------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            last = self._ended.wait(EVERY_SECONDS)
            for what, step in self._steps.items():
                with self._cautiously(what):
                    step()
            if last:
                return

    @contextlib.contextmanager
    def _cautiously(self, what: str) -> Iterator[None]:
        """Nothing that goes wrong in here is the run's affair; it is said once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a collector, a disk or a library of others comes up with
            if what not in self._said:
                self._said.add(what)
                reason = why(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                self._progress.notify(f"telemetry: {what} failed: {reason}; the run goes on without it")


_NOTHING = Checkpoint(micro_batch=0, row_count=0, source_positions={}, sink_positions={}, stage_states={})
