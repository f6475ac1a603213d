"""What is known of calls whose rows are not durable yet: the tries at each, by what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from elspeth.calls.journal.entries import CallKey, Entry, Intent
from elspeth.calls.journal.storage import EntryFile
from elspeth.calls.model import Exchange


@dataclass(slots=True)
class Try:
    """One try at a call. `exchange` None: it was about to be sent, and nobody knows what came of it.

    `told`: it is among the records that this process has made. `presumed`: it was perhaps made elsewhere, by an attempt
    whose journal is not here. `file` is where its outcome is to stand, if it is ours.
    """

    intent: Intent
    exchange: Exchange | None = None
    cost: Decimal = Decimal(0)
    told: bool = False
    presumed: bool = False
    file: EntryFile | None = None


@dataclass(slots=True)
class Known:
    """Tries by call, in their order."""

    _calls: dict[CallKey, list[Try]] = field(default_factory=dict)

    def tries(self, key: CallKey) -> list[Try]:
        """The tries at this call."""
        return self._calls.get(key, [])

    def add(self, entry: Entry) -> Try | None:
        """Take what a journal says; answers what is known of that try by now. An outcome without its intent is of no
        use.
        """
        if isinstance(entry, Intent):
            known = Try(entry, cost=Decimal(entry.expected))
            self._calls.setdefault(entry.key, []).append(known)
            return known
        for known in self._calls.get(entry.key, ()):
            if known.intent.number == entry.number:
                known.exchange, known.cost = entry.exchange, Decimal(entry.cost)
                return known
        return None

    def forget(self, durable: Callable[[Intent], bool]) -> None:
        """Let go of the calls that are durable elsewhere."""
        gone = [key for key, tries in self._calls.items() if all(durable(known.intent) for known in tries)]
        for key in gone:
            del self._calls[key]

    def all(self) -> Iterator[Try]:
        """Every try at every call."""
        for tries in self._calls.values():
            yield from tries

    def __len__(self) -> int:
        return len(self._calls)
