"""Collects what happens to tokens as records in insertion form, and the items that leave the stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from operator import itemgetter

from elspeth import canonical
from elspeth.audit.chain.records import COLUMNS, Records
from elspeth.audit.store.commits import record_frames
from elspeth.calls import totals
from elspeth.calls.made import CallMade, records_of, totals_of
from elspeth.calls.totals import Totals
from elspeth.clock import utc_now
from elspeth.execution.codec import SinkItems, StageItem
from elspeth.execution.counts import Counts
from elspeth.execution.token import Token
from elspeth.payloads import Payloads
from elspeth.plugins.contract import Row

PART_RECORDS = 8_192
"""So many records are encoded at once where a batch has more: then they are bytes, and never all of them objects."""

TIGHT_RECORDS = 2 * PART_RECORDS
"""From so many records on in one piece of work they are packed: it is a large batch, and three processes hold it."""

_COUNTED = ("tokens", "node_states", "routing_events", "token_outcomes", "transform_errors")
_KEY = itemgetter(0)

STAMP_NS = 1_000_000
"""Time stamps are written to the millisecond, so a stamp is made anew only when that much time has passed."""


class Recorder:
    """Records and items of one piece of work.

    `last` decides how items leave: by sink after the last stage, else as one ordered list for the next stage. `conceal`
    takes the credentials out of error texts: plugins may well put into an error what they were configured with.
    `in_parts`: records of large batches are encoded while they are made, and fetched with `encoded`.
    """

    def __init__(
        self,
        payloads: Payloads | None = None,
        *,
        last: bool = True,
        in_parts: bool = False,
        conceal: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.conceal = conceal
        self.calls: list[CallMade] = []  # made for the token at hand, and not on record yet
        self._payloads = payloads
        self._last = last
        self._in_parts = in_parts
        self.clear()
        self._stamp_at = 0
        self.now = ""
        self.at = 0
        self.lap()

    def clear(self) -> None:
        """Start the next piece of work."""
        self.records: Records = {table: [] for table in COLUMNS}
        self.sinks: dict[str, SinkItems] = {}
        self.items: list[StageItem] = []
        self.outcomes: dict[str, int] = {}
        self.call_totals: Totals = {}
        self.counts = Counts()
        self.first_key = ""
        self._order = 0
        self._parts: list[bytes] = []
        self._count = 0  # of the records in them

    def cut(self) -> None:
        """Encode what has been collected if that is much. Called between two tokens of a large batch."""
        if self._in_parts and sum(map(len, self.records.values())) >= PART_RECORDS:
            self._encode()

    def encoded(self) -> list[bytes]:
        """All records, as they are sent to the audit process: in one body, or `in_parts` in as many as it took."""
        self._encode()
        return self._parts

    @property
    def large(self) -> bool:
        """Whether what was encoded is of a large batch."""
        return self._count >= TIGHT_RECORDS

    def _encode(self) -> None:
        firsts = [min(map(_KEY, made)) for table in _COUNTED if (made := self.records[table])]
        if firsts:
            self.first_key = min(firsts if not self.first_key else [self.first_key, *firsts])
        self._count += sum(map(len, self.records.values()))
        self._parts.append(record_frames.encode(self.records, tight=self._in_parts and self.large))
        for made in self.records.values():
            made.clear()

    def lap(self) -> int:
        """Microseconds since the last lap; keeps the time stamp fresh."""
        now = time.perf_counter_ns()
        elapsed = (now - self.at) // 1000
        self.at = now
        if now - self._stamp_at >= STAMP_NS:
            self._stamp_at = now
            self.now = utc_now()
        return elapsed

    def keep(self, data: Row) -> tuple[str | None, str | None]:
        """A row's data as it is stored: inline, or as a reference into the payload store."""
        text = canonical.to_text(data)
        if self._payloads is None or len(text) <= self._payloads.inline_limit:
            return text, None
        return None, self._payloads.put(text.encode())

    def state(
        self,
        token: Token,
        node: str,
        status: str,
        before: str,
        after: str | None,
        started: str,
        *,
        data: Row | None = None,
        error: str | None = None,
        attempt: int = 1,
    ) -> str:
        """The token has passed (or failed at) a node; returns the state's id."""
        step = token.step
        state_id = f"{token.id}:{step}" if attempt == 1 else f"{token.id}:{step}.{attempt}"
        elapsed = self.lap()
        self.counts.visit(node, elapsed, failed=status == "failed")
        text, reference = (None, None) if data is None else self.keep(data)
        error = error and self.conceal(error)
        self.records["node_states"].append(
            (state_id, token.id, node, step, attempt, status, before, after, text, reference, error, started, self.now,
             elapsed / 1000)
        )  # fmt: skip
        if self.calls:
            self._record_calls(state_id)
        return state_id

    def _record_calls(self, state_id: str) -> None:
        self.records["calls"].extend(records_of(state_id, self.calls))
        totals.add(self.call_totals, totals_of(self.calls))
        self.calls.clear()

    def outcome(
        self, token: Token, outcome: str, *, error: str | None = None, batch: str | None = None, sink: str | None = None
    ) -> None:
        """The token ends here (or, if `buffered`, waits)."""
        terminal = 0 if outcome == "buffered" else 1
        error = error and self.conceal(error)
        outcome_id = f"{token.id}=" if terminal else f"{token.id}~{token.step}"  # a token may wait at several steps
        self.records["token_outcomes"].append(
            (outcome_id, token.id, outcome, terminal, sink, None, batch, error, self.now)
        )  # fmt: skip
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def route(self, state_id: str, edge: str, mode: str, reason: str | None, ordinal: int = 0) -> None:
        """A gate, or an error, sent the token along an edge."""
        self.counts.leave(edge)
        event_id = f"{state_id}/{ordinal}" if ordinal else state_id
        self.records["routing_events"].append((event_id, state_id, edge, mode, reason, self.now))

    def token(self, token: Token, branch: str | None, parents: Sequence[str]) -> None:
        """A token came into being; `parents` are ids of tokens, or that of the one batch it came of."""
        self.counts.tokens += 1
        self.records["tokens"].append((token.id, token.row, branch, self.now))
        self.records["token_parents"].extend((token.id, parent, at) for at, parent in enumerate(parents))

    def error(self, token: Token, node: str, error: str, destination: str | None, at: str) -> None:
        """A node refused the token."""
        record = (f"{at}!", token.id, node, self.conceal(error), destination, self.now)
        self.records["transform_errors"].append(record)

    def to_sink(self, sink: str, token: Token, outcome: str, error: str | None = None, data: Row | None = None) -> None:
        """The token is on its way to a sink, which has the last word on its outcome."""
        error = error and self.conceal(error)
        row = token.data if data is None else data
        if not self._last:
            self.items.append(
                StageItem(
                    sink, token.id, token.row, token.row_index, token.fork, token.step, row, outcome, error,
                    token.read_at,
                )
            )  # fmt: skip
            return
        self.sink_item(sink, token.id, outcome, error, row)

    def sink_item(self, sink: str, token_id: str, outcome: str, error: str | None, row: Row) -> None:
        """Add an item for a sink behind everything that has left so far."""
        items = self.sinks.get(sink)
        if items is None:
            items = self.sinks[sink] = SinkItems([], [], [], [], [])
        items.order.append(self._order)
        self._order += 1
        items.tokens.append(token_id)
        items.outcomes.append(outcome)
        items.errors.append(error)
        items.rows.append(row)

    def to_stage(self, node: str, token: Token) -> None:
        """The token goes on at a node of a later stage."""
        self.items.append(
            StageItem(
                node, token.id, token.row, token.row_index, token.fork, token.step, token.data, read_at=token.read_at
            )
        )  # fmt: skip

    def take(self) -> Recorder:
        """What has been collected, as a recorder of its own; this one starts anew."""
        taken = Recorder(last=self._last, conceal=self.conceal)
        taken.records, taken.sinks, taken.items, taken.outcomes = self.records, self.sinks, self.items, self.outcomes
        taken.call_totals, taken.counts = self.call_totals, self.counts
        self.clear()
        return taken

    def absorb(self, other: Recorder) -> None:
        """Take over what another recorder collected, behind everything collected here."""
        for table, rows in other.records.items():
            self.records[table].extend(rows)
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        totals.add(self.call_totals, other.call_totals)
        self.counts.absorb(other.counts)
        self.items.extend(other.items)
        merged = sorted(
            (order, sink, at) for sink, items in other.sinks.items() for at, order in enumerate(items.order)
        )
        for _, sink, at in merged:
            items = other.sinks[sink]
            self.sink_item(sink, items.tokens[at], items.outcomes[at], items.errors[at], items.rows[at])
