"""What somebody may be told of an attempt while it is driven: by the coordinator, in its thread, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from elspeth.canonical import JsonObject
from elspeth.coordinator.protocol import LeaseAsked, LeaseEnded


class ProviderState(NamedTuple):
    """The calls of one account now: how many wait for leave, how many are out, and whether only probes are sent."""

    waiting: int
    out: int
    open: bool


class Observer:
    """Is told and does nothing. Who derives from it must neither wait nor raise: the run stands still meanwhile."""

    def happened(self, child: str, event: str, pid: int | None, detail: JsonObject | None) -> None:
        """Something that goes on record as a supervision event; the child `run` is the run itself."""

    def commit_sent(self, no: int) -> None:
        """The commit of micro-batch `no` is on its way to the audit role; may be told again after a death."""

    def committed(self, no: int) -> None:
        """The commit of micro-batch `no` has happened."""

    def accounts(self, states: Callable[[], Mapping[str, ProviderState]]) -> None:
        """Called once, when the attempt owns the run: `states` answers at any time, in any thread."""

    def call_sent(self, child: str, call: LeaseAsked) -> None:
        """A child has leave to send this call, and sends it now."""

    def call_ended(self, child: str, call: LeaseAsked, end: LeaseEnded | None) -> None:
        """The call is over; None: its process died, and nobody knows what came of it."""

    def ended(self, complete: bool) -> None:
        """The attempt is over; told by who drives it. `complete`: so is the run."""
