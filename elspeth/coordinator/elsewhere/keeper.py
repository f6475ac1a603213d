"""Keeps on the head machine's disk what workers on other machines cannot: entries of journals of calls, and payloads.

It stands between the supervisor and the coordinator, as the supervisor's listener: what is to be kept it takes out, and
anything else it hands on. What a child says after a payload waits until that is on disk, and so does its death; all of
that in a thread of its own, so that nobody else waits for the disk. Whatever has come meanwhile is brought to disk
together.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import pykka

from actors.channel import Part
from actors.crash_points import crash_point
from actors.events import ChildDown, FrameReceived
from actors.reactor import Outbox
from elspeth import durable
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.journal.writer import JournalFile
from elspeth.coordinator import protocol
from elspeth.coordinator.elsewhere import keeping as k
from elspeth.coordinator.protocol import Failed
from elspeth.errors import ElspethError, Temporary
from elspeth.payloads import PayloadStore

CLOSING_SECONDS = 10.0
"""How long the end of an attempt waits for a disk that does not answer."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where an attempt keeps what its workers make: the folder of payloads, and that of the journals of calls."""

    payloads: Path
    journals: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class _Item:
    """Something in the thread's queue. `keep` None: the event is only to be handed on, in its turn."""

    event: Any
    keep: k.Keeping | None = None


@dataclass(slots=True)
class _Entry:
    """An entry that is on its way to the disk; `error`: it never will be there."""

    event: FrameReceived
    number: int
    file: JournalFile | None = None
    error: OSError | None = None


class Keeper:
    """Listens to the supervisor in the place of `coordinator`. May be told something, and asked, by any thread."""

    def __init__(self, stores: Stores, coordinator: pykka.ActorRef[Any]) -> None:
        self._stores = stores
        self._coordinator = coordinator
        self._payloads = PayloadStore(stores.payloads)
        self._disks: dict[tuple[str, int], Disk] = {}
        self._files: dict[tuple[str, int, int], JournalFile] = {}
        self._outbox: Outbox | None = None
        self._lock = Lock()
        self._held: Counter[str] = Counter()  # of each child: what others of its events have to wait for
        self._known: set[str] = set()
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._put_for: FrameReceived | None = None  # who had payloads put that are not on disk yet
        self._failed: ElspethError | None = None

    def connect(self, outbox: Outbox) -> None:
        """`outbox` is where answers go. Called before a child is started."""
        self._outbox = outbox

    # -- in the place of an actor ------------------------------------------------------------------------------

    def tell(self, message: Any) -> None:
        """Take it out if it is to be kept, or has to wait for what is; else hand it on."""
        with self._lock:
            item = self._item(message)
            if item is None:
                self._coordinator.tell(message)
                return
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="keeper", daemon=True)
                self._thread.start()
            self._queue.put(item)

    def ask(self, message: Any, *, block: bool) -> Any:
        """Have the coordinator answer."""
        return self._coordinator.ask(message, block=block)

    def close(self) -> None:
        """Keep and hand on what has come; nothing comes any more."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSING_SECONDS)

    def _item(self, event: Any) -> _Item | None:
        if isinstance(event, FrameReceived):
            keep = k.decode(event.parts[0]) if k.is_keeping(event.parts[0]) else None
            if keep is None and not self._held[event.name]:
                return None
            self._known.add(event.name)
            self._held[event.name] += keep is None or isinstance(keep, k.KeepPayloads)
            return _Item(event, keep)
        if isinstance(event, ChildDown) and event.name in self._known:
            self._known.discard(event.name)
            self._held[event.name] += 1
            return _Item(event)
        return None

    # -- in the thread -----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(Empty):
                while True:
                    batch.append(self._queue.get_nowait())
            items = [item for item in batch if item is not None]
            try:
                self._keep(items)
            except Exception as error:  # noqa: BLE001 - a mistake of ours: who waits for an answer waits in vain
                self._fail(items[-1].event, ElspethError(f"internal error, which is no row's fault: {error!r}"))
                return
            if None in batch:
                return

    def _keep(self, batch: list[_Item]) -> None:
        """Carry all of this out in its order, bring it to disk, then answer, and hand on what waited for it."""
        entries: list[_Entry] = []
        ends: dict[JournalFile, int] = {}
        for item in batch:
            match item.keep:
                case k.KeepEntry() as keep:
                    entries.append(self._entry(item.event, keep, ends))
                case k.ReadJournals() as keep:
                    self._read(item.event, keep)
                case k.DropEntries() as keep:
                    self._drop(item.event, keep)
                case k.KeepPayloads():
                    self._put(item.event)
        self._sync(entries, ends)
        self._write_out()
        crash_point("main.after_kept")
        for entry in entries:
            refusal = k.Refusal.of(entry.error) if entry.error is not None else None
            self._answer(entry.event, k.EntryKept(entry.number, refusal))
        for item in batch:
            if item.keep is None or isinstance(item.keep, k.KeepPayloads):
                self._hand_on(item)

    def _hand_on(self, item: _Item) -> None:
        event = item.event
        if isinstance(event, ChildDown):
            self._close(event)
        with self._lock, suppress(pykka.ActorDeadError):
            self._held[event.name] -= 1
            if item.keep is None and (self._failed is None or isinstance(event, ChildDown)):
                self._coordinator.tell(event)

    def _answer(self, event: FrameReceived, answer: k.Keeping, *bodies: Part) -> None:
        assert self._outbox is not None
        self._outbox.send(event.name, k.encode(answer), *bodies, incarnation=event.incarnation)

    # -- journals of calls -------------------------------------------------------------------------------------

    def _disk(self, event: FrameReceived) -> Disk:
        whose = event.name, event.incarnation
        if whose not in self._disks:
            self._disks[whose] = Disk(self._stores.journals, stem_of(self._stores.attempt, event.name))
        return self._disks[whose]

    def _entry(self, event: FrameReceived, keep: k.KeepEntry, ends: dict[JournalFile, int]) -> _Entry:
        crash_point("main.before_kept")
        entry, which = _Entry(event, keep.number), (event.name, event.incarnation, keep.file)
        try:
            file = self._files.get(which)
            if file is None:
                file = self._files[which] = self._disk(event).begin()
            entry.file = file if keep.durable else None
            end = file.append(event.parts[1])
            if keep.durable:
                ends[file] = end
        except OSError as error:
            entry.error = error
        return entry

    def _sync(self, entries: list[_Entry], ends: dict[JournalFile, int]) -> None:
        errors: dict[JournalFile, OSError] = {}

        def sync(file: JournalFile, end: int) -> None:
            try:
                file.sync(end)
            except OSError as error:
                errors[file] = error

        durable.together(partial(sync, file, end) for file, end in ends.items())
        for entry in entries:
            if entry.file is not None and entry.error is None:
                entry.error = errors.get(entry.file)

    def _read(self, event: FrameReceived, keep: k.ReadJournals) -> None:
        try:
            news = self._disk(event).news(keep.read)
        except OSError as error:
            self._answer(event, k.JournalsRead(keep.number, refusal=k.Refusal.of(error)))
            return
        self._answer(event, k.JournalsRead(keep.number, tuple(name for name, _ in news)), *(data for _, data in news))

    def _drop(self, event: FrameReceived, keep: k.DropEntries) -> None:
        if keep.name:
            self._disk(event).remove(keep.name)
        elif (file := self._files.pop((event.name, event.incarnation, keep.file), None)) is not None:
            file.remove()

    def _close(self, down: ChildDown) -> None:
        """Its successor deletes what is in its files, as that of a child of this machine does."""
        self._disks.pop((down.name, down.incarnation), None)
        for which in [which for which in self._files if which[:2] == (down.name, down.incarnation)]:
            self._files.pop(which).close()

    # -- payloads ----------------------------------------------------------------------------------------------

    def _put(self, event: FrameReceived) -> None:
        try:
            for content in event.parts[1:]:
                self._payloads.put(bytes(content))
            self._put_for = event
        except Temporary as error:
            self._fail(event, error)

    def _write_out(self) -> None:
        if self._put_for is not None:
            event, self._put_for = self._put_for, None
            try:
                self._payloads.write_out()
            except Temporary as error:
                self._fail(event, error)

    def _fail(self, event: FrameReceived | ChildDown, error: ElspethError) -> None:
        """As if the child had found it out itself. What waits for a payload is never acted on."""
        if self._failed is None:
            self._failed = error
            told = FrameReceived(event.name, event.incarnation, [memoryview(protocol.encode(Failed(error.to_value())))])
            with suppress(pykka.ActorDeadError):
                self._coordinator.tell(told)
