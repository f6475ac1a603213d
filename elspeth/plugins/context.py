"""What a plugin may know of the run in which it is called: the last argument of its methods."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elspeth.located import located

if TYPE_CHECKING:
    from elspeth.calls.caller import Caller, Visit
    from elspeth.calls.made import CallMade
    from elspeth.calls.model import Answer, Chat, Http, Terms


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """Which of its node's batches an aggregation is given: the `number`-th, from 1, behind `rows_before` rows.

    Batches that failed count, and so do their rows. `trigger` is what closed it: `count`, `timeout`, `condition` or
    `end_of_source`.
    """

    number: int = 1
    rows_before: int = 0
    trigger: str = "end_of_source"


@dataclass(slots=True)
class Context:
    """What a plugin may know of the run, instead of taking it from the world.

    `random` is seeded from run, node and row: a replay sees the same numbers. `now` is the time the row was read
    (ISO 8601, UTC; of a batch, its last row), kept when a process is restarted; a row that no commit holds is read
    again when the run is resumed. `takes_refused` tells a sink that rows which a source refused come to it as well
    as others: those have the fields `REFUSED` beside their own. `evidence` names the fields that only refused rows
    have where rows of several kinds come to one sink, and `ERROR_FIELDS` wherever steps send what they refuse.
    `fields` are those that the rows of a sink will have, in order, where that is known before the first one comes;
    `unlike` those that only some have, because steps refused rows of several shapes.
    `types` are those of the fields that come to a transform or aggregation, as schemas name them, as far as they are
    known: a decimal, date or time is text in a row, and this tells what it stands for.
    `inputs` tells a source of many files which they were when the run began: path, bytes, time of the last change (ns).
    `keeps_replaced` tells a sink that the file whose place its output takes is nobody's work on record: it is copied.
    `names` are the names in expressions of a step that only the input has for a field, and the field's name in rows.
    `batch` tells an aggregation with `counts_batches` which of its batches it is given.
    `idempotency_key` is the same for every try at the same row. Call `progress()` in long work: a node that calls it
    is slow, not hung.
    """

    run_id: str
    node_id: str
    token_id: str = ""
    now: str = ""
    attempt: int = 1
    state_directory: Path = Path("state")
    headers: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    takes_refused: bool = False
    evidence: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    inputs: tuple[tuple[str, int, int], ...] | None = None
    keeps_replaced: bool = False
    names: dict[str, str] = field(default_factory=dict)
    batch: BatchFacts = BatchFacts()  # frozen, so one for all
    _beat: Any = None
    _prove: Any = None
    _random: random.Random | None = None
    _random_of: tuple[str, int] = ("", 0)
    _caller: Caller | None = None
    _calls: bool = True
    _stage: int = 0
    _note: Callable[[CallMade], None] | None = None

    @property
    def random(self) -> random.Random:
        """A generator seeded from the run, the node and the row: the same numbers in every replay of this row.

        While one row is worked on it goes on; every try at the row, and every batch, begins it anew.
        """
        wanted = (self.token_id, self.attempt)
        if self._random is None or self._random_of != wanted:
            self._random = random.Random(f"{self.run_id}/{self.node_id}/{self.token_id}")
            self._random_of = wanted
        return self._random

    @property
    def idempotency_key(self) -> str:
        """A key for this row at this node, the same in every try: hand it to services that accept one."""
        return f"{self.token_id}/{self.node_id}"

    def file(self, path: str | os.PathLike[str]) -> Path:
        """Where a file that `reference_files` names is to be opened.

        That is its path; but a worker on another machine has a copy of it, which this finds. Only for a path that
        begins with `/` it makes a difference: relative ones, and those beside the plugin's own file, lead to copies.
        """
        return located(path)

    def prove(self) -> None:
        """For sinks, between taking the lock on an output and changing it: raise `TakenOver` if the run is not ours."""
        if self._prove is not None:
            self._prove()

    def progress(self) -> None:
        """Say that work on the current row goes on, so that it is not taken for a hang."""
        if self._beat is not None:
            self._beat()

    def recorded(
        self,
        name: str,
        request: Any,
        function: Callable[[], Any],
        *,
        on_unknown: Literal["retry", "fail"] = "retry",
    ) -> Any:
        """Ask a service by a client of your own: what `function()` answers, on record, and never asked twice.

        `name` says which call of the row this is, `request` what is asked; `function` is to ask exactly that. Both
        `request` and the answer are data that JSON can hold, without credentials. What is answered here is the answer
        as it is on record, so the same when the row is decided again after a crash: then nothing is asked. Where the
        process died between the question and the answer nobody knows whether the service carried it out; that is on
        record as `unknown`, and the question is asked again, with `on_unknown="fail"` the row is refused.

        A `RowError` that `function` raises is an answer like any other. Anything else that it raises is on record and
        raised, and asked anew by the next try, a `TransientError` among them. For transforms and aggregations.
        """
        from elspeth.calls.errors import CallRefused  # no other plugin needs these imports
        from elspeth.plugins.row_errors import RowError, TransientError

        if not self._calls:
            raise RuntimeError("only a transform or an aggregation can make calls, and only for its rows")
        if self._caller is None:  # in a test, without a run
            return function()

        def ask() -> Any:
            try:
                return function()
            except TransientError:
                raise
            except RowError as error:
                raise CallRefused(error.reason, error.details) from error

        try:
            return self._caller.recorded(self._visit(), name, request, ask, on_unknown)
        except CallRefused as refused:
            raise RowError(refused.reason, **refused.details) from None

    def call(self, provider: str, content: Chat | Http, name: str = "", *, terms: Terms | None = None) -> Answer:
        """Ask a provider of the settings, and return its answer: from the record if it is there, else by sending.

        `content` is what is asked, `name` tells apart several calls that ask the same of one row, `terms` say how the
        request is to be treated. An answer that was used is never asked for again; what cannot be answered for this row
        raises `RowError`. Limits, pauses, retries and the budget are seen to; the time that takes is no hang. Where no
        row can be helped (the key is refused, the budget spent) the run stops, to be resumed, and no row is spent.
        """
        from elspeth.calls.errors import CallRefused  # no other plugin needs these imports
        from elspeth.calls.model import Request, Terms
        from elspeth.plugins.row_errors import RowError

        if self._caller is None or not self._calls:
            raise RuntimeError("only a transform or an aggregation can make calls, and only in a run")
        try:
            return self._caller.call(self._visit(), Request(provider, content), name, terms or Terms())
        except CallRefused as refused:
            raise RowError(refused.reason, **refused.details) from None

    def _visit(self) -> Visit:
        from elspeth.calls.caller import Visit

        if self._note is None:
            raise RuntimeError("only a transform or an aggregation can make calls, and only for its rows")
        return Visit(self.token_id, self.node_id, self._stage, self._note)
