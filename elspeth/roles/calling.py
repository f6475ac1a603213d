"""What a process that decides rows needs for calls to services: journal, accounts, and leave to send."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Event, Lock

from actors.child import Port
from elspeth.calls.caller import Caller, Lease, Outside
from elspeth.calls.config import ProviderConfig
from elspeth.calls.errors import RunStops
from elspeth.calls.journal.journal import Journal, journal_folder
from elspeth.calls.journal.storage import Disk, Storage, stem_of
from elspeth.calls.model import Exchange, Provider, Usage
from elspeth.concealment import Concealment
from elspeth.coordinator import protocol
from elspeth.coordinator.protocol import CallEnd, LeaseAsked, LeaseEnded, LeaseGranted, LeaseRefused
from elspeth.errors import ElspethError, from_value
from elspeth.roles.elsewhere.journal import Kept
from elspeth.roles.plan import Plan


def caller_of(plan: Plan, child: str, port: Port, concealment: Concealment) -> Caller:
    """The caller of the child with this name. What predecessors left in their journals is known to it."""
    folder = journal_folder(Path(plan.state_directory), plan.run_id)
    providers = {config.name: partial(_provider, config, concealment) for config in plan.services.providers}
    storage: Storage = Disk(folder, stem_of(plan.attempt, child))
    if plan.baggage is not None:
        storage = Kept(folder, port)
    journal = Journal(storage, plan.run_id, plan.attempt, child, plan.calls_lost_before)
    return Caller(journal, Outside(port.waiting), concealment.text, LeaseDesk(port), providers, plan.services.max_tries)


def _provider(config: ProviderConfig, concealment: Concealment) -> Provider:
    from elspeth.calls.wire.client import Client  # the network is an extra

    return Client(config, concealment)


_ANSWERS = tuple(
    protocol.encode(answer)[:18] for answer in (LeaseGranted(0), LeaseRefused(0, ElspethError("").to_value()))
)
"""How the headers begin that are for a thread in the middle of its row: with the name of their class."""


class LeaseDesk:
    """Asks the main process for leave to send, and waits for it: for all threads of this one."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._lock = Lock()
        self._number = 0
        self._waiting: dict[int, Event] = {}
        self._refused: ElspethError | None = None
        self._others = port.at_once
        port.at_once = self._take

    def _take(self, parts: list[memoryview]) -> bool:
        if bytes(parts[0][:18]) not in _ANSWERS:
            return self._others(parts)
        message = protocol.decode(parts[0])
        if isinstance(message, LeaseRefused):
            self._refused = from_value(message.error)
        with self._lock:
            event = self._waiting.pop(message.number, None)
        if event is not None:
            event.set()
        return True

    def ask(self, provider: str, tokens: int, cost: Decimal, model: str = "") -> Lease:
        """Return when a call to this provider may be sent. Raises `RunStops` if no call may be sent any more."""
        event = Event()
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = event
        self._port.send(protocol.encode(LeaseAsked(number, provider, tokens, cost, model)))
        event.wait()
        if self._refused is not None:
            raise RunStops(self._refused)
        return Lease(number)

    def end(self, lease: Lease, exchange: Exchange, cost: Decimal, stops: ElspethError | None = None) -> None:
        """Say that the call is over, and what came of it."""
        used = exchange.usage
        spent = used or Usage()
        came = CallEnd(exchange.outcome, exchange.reason, exchange.status, spent.input_tokens, spent.output_tokens)
        ended = LeaseEnded(
            lease.number, cost, used.tokens if used is not None else None, exchange.outcome != "never_sent",
            exchange.failure, exchange.everybody, exchange.retry_after if exchange.everybody else None,
            stops.to_value() if stops is not None else None, came,
        )  # fmt: skip
        self._port.send(protocol.encode(ended))
