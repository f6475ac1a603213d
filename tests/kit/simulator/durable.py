"""What outlives every process of a simulated run: the audit database and the output on disk, with their claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import asdict, replace

from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.protocol import Commit, JsonObject, RecordEvent
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.coordinator.tally import NodeTally, Tally


class Broken(AssertionError):
    """A promise was broken in the model."""


def claim(holds: bool, words: str, *facts: Any) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(f"{words}: {facts}")


def row_of(record: Any) -> int:
    """The row of a record: what kind it is, at which stage, and the row, or the item that the row became."""
    what = record[2]
    return int(what[0] if isinstance(what, tuple) else what)


def tally_of(records: Iterable[Any]) -> Tally:
    """What the roles count of these records: stages stand for nodes."""
    visits = Counter(record[1] for record in records)
    return Tally({stage: NodeTally(count) for stage, count in sorted(visits.items())}, {}, visits[0])


@dataclass
class Disk:
    """One output. `items` was written; only the first `flushed` of them are sure to survive a crash."""

    items: list[Any] = field(default_factory=list)
    flushed: int = 0
    whole: bool = True

    def crash(self, choose: Callable[[int], int]) -> None:
        """The writer is gone: of what was not flushed, some is there and some is not."""
        del self.items[self.flushed + choose(len(self.items) - self.flushed + 1) :]

    def restore(self, position: int) -> None:
        assert position <= self.flushed, "restored to a position that was never flushed"
        del self.items[position:]
        self.flushed = position


@dataclass
class Database:
    """Commits are atomic. `alone` counts the deaths that a row saw alone: what a conviction has to answer for."""

    checkpoint: Checkpoint | None = None
    records: list[Any] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)
    tokens: set[int] = field(default_factory=set)
    alone: dict[tuple[int, int], int] = field(default_factory=dict)
    attempt: int = 0
    caution: Caution = NO_CAUTION
    marked: int | None = None
    given_out: int = 0
    in_hand: dict[int, set[int]] = field(default_factory=dict)  # row -> attempts that died with it marked
    final: bool = False
    _collected: list[JsonObject] = field(default_factory=list)
    _last_event: int = 0

    def collect(self, message: RecordEvent) -> None:
        known = max([self._last_event, *(event["number"] for event in self._collected)])
        event = message.event
        if event.number > known:
            assert event.number == known + 1, "an event was lost"
            self._collected.append({**asdict(event), "token": message.token, "attempt": self.attempt})

    def forget(self) -> None:
        """The audit process died: what was not committed is gone."""
        self._collected.clear()

    def commit_events(self) -> None:
        self.events += self._collected
        self.tokens |= {event["token"] for event in self._collected if event["token"] is not None}
        self._last_event = max([self._last_event, *(event["number"] for event in self._collected)])
        self._collected.clear()

    def commit(self, message: Commit, records: list[Any], disk: Disk) -> None:
        assert self.checkpoint is not None
        assert not self.final, "a commit after the last"
        checkpoint = message.checkpoint
        assert checkpoint.micro_batch > self.checkpoint.micro_batch, "a commit went back"
        self.commit_events()
        self.records += records
        assert len(set(self.records)) == len(self.records), "something was recorded twice"
        position = checkpoint.sink_positions["out"]["n"]
        out = [record[2] for record in self.records if record[0] == "out"]
        assert position <= disk.flushed, "a commit is ahead of its outputs"
        assert disk.items[:position] == out, "the records do not say what is in the output"
        sources = checkpoint.source_positions.values()
        assert checkpoint.row_count == sum(position.row_count for position in sources), "rows of no source"
        assert all(position.row_count == position.cursor for position in sources), "a cursor that does not fit its rows"
        taken = [record[2] for record in self.records if record[1] == 0]
        assert taken == list(range(checkpoint.row_count)), "rows are lost or out of order"
        tally = tally_of(self.records)
        if checkpoint.tally:
            assert checkpoint.tally == tally, "a tally that the records do not bear out"
        else:
            earlier = [record for record in records if row_of(record) < self.checkpoint.row_count]
            assert not earlier, "a tally was left out that the rows behind the last checkpoint do not bring back"
            assert checkpoint.row_count <= self.checkpoint.row_count + 1, "a tally was left out behind several rows"
        self.checkpoint = replace(checkpoint, tally=tally)
        self.final = message.final

    def attempt_died(self) -> None:
        """The main process died: rows under suspicion that were not committed may have been the reason."""
        assert self.checkpoint is not None
        suspects = {event["detail"]["row"] for event in self.events
                    if event["event"] == "suspect" and event["attempt"] == self.attempt}  # fmt: skip
        if self.marked is not None:
            suspects.add(self.marked)
            self.in_hand.setdefault(self.marked, set()).add(self.attempt)
            self.marked = None
        for row in suspects - set(range(self.checkpoint.row_count)):
            self.alone[0, row] = self.alone.get((0, row), 0) + 1
        self._collected.clear()
        self._last_event = 0
        self.tokens.clear()

    def suspects(self) -> dict[int, int]:
        """Rows not committed that were suspected, and the deaths that count: those recorded, and one per attempt."""
        assert self.checkpoint is not None
        deaths: dict[int, int] = {}
        attempts: dict[int, set[int]] = {}
        for event in self.events:
            if event["event"] == "suspect" and event["detail"]["row"] >= self.checkpoint.row_count:
                row = event["detail"]["row"]
                deaths[row] = max(deaths.get(row, 0), event["detail"]["deaths"])
                attempts.setdefault(row, set()).add(event["attempt"])
        for row, died in self.in_hand.items():
            if row >= self.checkpoint.row_count:
                deaths.setdefault(row, 0)
                attempts.setdefault(row, set()).update(died)
        return {row: count + len(attempts[row]) for row, count in deaths.items()}
