"""What exports never stops a run: whatever fails is said once, and the coordinator is never told of it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from elspeth.coordinator.reporting.observer import ProviderState
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.tally import Numbers
from elspeth.runs.telemetry import exporting, textfile
from elspeth.runs.telemetry.exporting import Exporter, Subject
from elspeth.runs.telemetry.metrics import Labels
from elspeth.settings.telemetry import Prometheus, Telemetry
from tests.kit.processes.waiting import PATIENCE_SECONDS

SUBJECT = Subject(Labels("pipeline", "mf3k2a9x", 1, "0.1.0"), Numbers.of([], []))


def exporter(tmp_path: Path, progress: Progress) -> Exporter:
    telemetry = Telemetry(prometheus=Prometheus(textfile=str(tmp_path / "metrics.prom")))
    return Exporter(telemetry, SUBJECT, progress)


def failing(times: int) -> tuple[Callable[[object, str], None], threading.Event]:
    """A write that fails each time, and what is set when it has failed so often."""
    enough, tried = threading.Event(), []

    def write(_: object, text: str) -> None:
        tried.append(text)
        if len(tried) >= times:
            enough.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    return write, enough


def test_what_fails_again_and_again_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, enough = failing(5)
    monkeypatch.setattr(exporting, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(textfile.TextFile, "write", write)
    progress = Progress()
    found = exporter(tmp_path, progress)
    found.start()
    assert enough.wait(PATIENCE_SECONDS)
    found.close()
    (line,) = progress.lines
    assert line.startswith(f"telemetry: metrics in {tmp_path / 'metrics.prom'} failed: ")
    assert line.endswith("the run goes on without it")


def test_the_coordinator_is_told_of_nothing_that_goes_wrong_with_spans(tmp_path: Path) -> None:
    progress = Progress()
    found = exporter(tmp_path, progress)
    found._spans = object()  # type: ignore[assignment]  # whatever it is asked, it cannot
    for no in range(1, 4):
        found.happened("worker-1", "started", 7, None)
        found.commit_sent(no)
        found.committed(no)
    found.ended(complete=True)
    assert len(progress.lines) == 1


def test_a_commit_is_timed_from_when_it_was_sent_with_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(exporting.time, "time", lambda: now[0])
    found = exporter(tmp_path, Progress())
    found.accounts(lambda: {"main": ProviderState(1, 2, open=False)})
    for at, step in ((101.0, found.commit_sent), (104.0, found.committed)):
        now[0] = at
        step(1)
    found.committed(2)  # one of which nobody saw the beginning: its audit process died
    reading = found.reading()
    assert (reading.started_at, reading.committed_at) == (100.0, 104.0)
    assert (reading.commits, reading.commit_seconds) == (2, 3.0)
    assert reading.providers["main"].out == 2
