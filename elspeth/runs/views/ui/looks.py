"""What viewers are shown, as it stands in the database: looked at often, made anew only where it has changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import msgspec

from elspeth.audit.dialect import watch
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.store.database import translated_errors
from elspeth.audit.store.place import Place
from elspeth.canonical import JsonObject
from elspeth.errors import ElspethError
from elspeth.runs.liveness.run_assessment import assessment
from elspeth.runs.views.report.value import report
from elspeth.runs.views.status import summary

RUNS = ""
"""The topic that is the list of runs; every other one is a run, as somebody names it."""

MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a topic. `message` is what viewers are sent, whole.

    `state` tells whether something has happened (a death, an end), `progress` whether rows went on.
    """

    state: Hashable
    progress: Hashable
    message: bytes


class Looker:
    """Looks into one database, which is open only while it does: who drives a run finds nobody in its way."""

    def __init__(self, path: Place) -> None:
        self._path = path
        self._ended: dict[tuple[object, ...], JsonObject] = {}
        self._closed = False

    def close(self) -> None:
        """Give up the look that is under way: of a large run that has ended it takes seconds."""
        self._closed = True

    def look(self, topic: str, known: Seen | None, *, patient: bool) -> Seen:
        """How a topic stands; `known` itself where it is as it was. `patient` says that mere progress can wait.

        What stands in the way of an answer is an answer, too: it may have gone by the next time.
        """
        try:
            with (
                AuditReader(self._path) as reader,
                translated_errors(self._path),
                reader.snapshot(),
            ):
                watch(reader.connection, lambda: self._closed)
                return self._runs(reader, known) if topic == RUNS else _run(reader, topic, known, patient=patient)
        except ElspethError as error:
            found = error
        except Exception as error:  # noqa: BLE001 - what is wrong with one run takes no page of another away
            found = ElspethError(f"internal error: {type(error).__name__}: {error}; this is a bug in Elspeth")
        state = ("trouble", found.message)
        if known is not None and known.state == state:
            return known
        return Seen(state, None, message("trouble", found.to_value()))

    def _runs(self, reader: AuditReader, known: Seen | None) -> Seen:
        """The list of runs. One that has ended is read once."""
        found, ended = [], {}
        for run in reader.runs(MOST_RUNS + 1)[:MOST_RUNS]:
            key = _stands(run)
            value = self._ended.get(key) or summary(reader, run).to_value()
            if run.status != "running":
                ended[key] = value
            found.append(value)
        self._ended = ended
        more = len(found) == MOST_RUNS and len(reader.runs(MOST_RUNS + 1)) > MOST_RUNS
        text = message("runs", {"database": str(reader.path), "runs": found, "more": more})
        return known if known is not None and known.message == text else Seen("runs", None, text)


def _run(reader: AuditReader, reference: str, known: Seen | None, *, patient: bool) -> Seen:
    run = reader.run(reference)
    found = assessment(reader, run, patience=0.0)
    actions = len(reader.operator_actions(run.run_id))
    state = (*_stands(run), found.verdict.state if run.status == "running" else None, actions)
    head = reader.commits(run.run_id, 1)
    progress = (head[0].commit_no if head else None, found.waiting)
    if known is not None and known.state == state and (patient or known.progress == progress):
        return known
    return Seen(state, progress, message("run", report(reader, run.run_id)))


def _stands(run: Run) -> tuple[object, ...]:
    return run.run_id, run.status, run.attempt, run.completed_at, run.superseded_by, run.failure


def message(kind: str, value: Mapping[str, object]) -> bytes:
    """An event of a stream of server-sent events (WHATWG HTML, 9.2). JSON has no line end in it."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value))
