"""One run on record: its counts, rows, outcomes and stories, as values, as iterators, as frames and as a page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from elspeth.api import frames
from elspeth.audit.explain import listing
from elspeth.audit.explain.listing import RecordedRow, TokenOutcome
from elspeth.audit.explain.session import explain_session
from elspeth.audit.query.counters import Counters, counters
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.query.verdict import Reason, reasons
from elspeth.audit.store.place import Place
from elspeth.canonical import JsonObject
from elspeth.runs.views.report.page import page
from elspeth.runs.views.report.value import report

if TYPE_CHECKING:
    import pandas
    import polars

STORIES_AT_ONCE = 200
"""Told of one moment of a run that may be under way; more would hold up who writes."""

HEIGHT = 720
"""Of a report in a notebook, in points."""


class RecordedRun:
    """A run of an audit database. What it answers is as of the moment in which it is asked.

    Every question raises `RunNotFound` once the run is not on record any more, and `ElspethError` where the database
    cannot be read.
    """

    def __init__(self, database: Place, run_id: str) -> None:
        self.database = database
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run_id} in {self.database}>"

    @property
    def record(self) -> Run:
        """What is on record of the run itself: status, settings, when it began and was complete."""
        with AuditReader(self.database) as reader:
            return reader.run(self.run_id)

    @property
    def status(self) -> str:
        """`running`, `completed`, `failed` or `interrupted`."""
        return self.record.status

    def counts(self) -> Counters:
        """How much was read, written and decided so far: takes no longer for many rows."""
        with AuditReader(self.database) as reader:
            return counters(reader, self.run_id)

    def reasons(self, most: int = 3) -> list[Reason]:
        """Why rows did not go the normal way, the most frequent reasons first."""
        with AuditReader(self.database) as reader:
            return reasons(reader, self.run_id, most)

    def rows(self) -> Iterator[RecordedRow]:
        """The rows as they were read, in order, a page at a time."""
        return listing.rows(self.database, self.run_id)

    def outcomes(self) -> Iterator[TokenOutcome]:
        """Where each token ended, by row, a page at a time. A token that is under way has no outcome yet."""
        return listing.outcomes(self.database, self.run_id)

    def story(self, row: int) -> JsonObject:
        """Everything that happened to the row with this index, as `elspeth explain --json` tells it."""
        with explain_session(self.database, self.run_id) as session:
            return session.lineage.row(row)

    def stories(self, rows: Iterable[int] | None = None) -> Iterator[JsonObject]:
        """The stories of these rows, by index, or of all."""
        indices = iter(row.index for row in self.rows()) if rows is None else iter(rows)
        while at_once := list(islice(indices, STORIES_AT_ONCE)):
            with explain_session(self.database, self.run_id) as session:
                yield from [session.lineage.row(index) for index in at_once]

    def to_pandas(self, what: Literal["rows", "outcomes"] = "rows") -> pandas.DataFrame:
        """Rows or outcomes as a frame, all of them in memory. Raises `SettingsError` where there is no pandas."""
        return frames.pandas_frame(self._columns(what))

    def to_polars(self, what: Literal["rows", "outcomes"] = "rows") -> polars.DataFrame:
        """Rows or outcomes as a frame, all of them in memory. Raises `SettingsError` where there is no polars."""
        return frames.polars_frame(self._columns(what))

    def _columns(self, what: Literal["rows", "outcomes"]) -> dict[str, list[Any]]:
        return frames.of_rows(self.rows()) if what == "rows" else frames.of_outcomes(self.outcomes())

    def report(self, *, data: bool = True, against: str | None = None) -> str:
        """The page about the run that `elspeth report` writes, as text.

        Without `data` nothing is in it that people wrote into rows. `against` is another run of the same database.
        """
        with AuditReader(self.database) as reader:
            return page(report(reader, self.run_id, data=data, against=against))

    def _repr_html_(self) -> str:
        """The report, for a notebook: in a frame that can reach nothing of the page around it."""
        text = html.escape(self.report(), quote=True)
        return (
            f'<iframe sandbox="allow-scripts" title="Elspeth run {self.run_id}" srcdoc="{text}"'
            f' style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )
