"""A pool: threads that take slow rows side by side; what rows leave is put together in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import Generic, Protocol, TypeVar

from actors.child import Port
from elspeth.execution.recorder import Recorder


class Slot(Protocol):
    """What a thread needs to take a row, and what it writes into meanwhile."""

    recorder: Recorder


S = TypeVar("S", bound=Slot)
Piece = Callable[[S], None]
"""One row: called with the slot that it has to itself."""


class Rows:
    """Rows that are answered together, when the last of them is done. `recorders` holds what each left, in their order.

    `seconds` is the time that they have taken, one after the other; `error` what broke one of them, which is no
    plugin's exception.
    """

    def __init__(self, recorders: list[Recorder | None], left: int, done: Callable[[Rows], None]) -> None:
        self.recorders = recorders
        self.seconds = 0.0
        self.error: BaseException | None = None
        self.done = done
        self.left = left

    def gather(self, into: Recorder) -> None:
        """Put together what the rows have left; raises what broke one of them."""
        if self.error is not None:
            raise self.error
        for recorder in self.recorders:
            if recorder is not None:
                into.absorb(recorder)


class Pool(Generic[S]):
    """As many threads as there are slots. Rows are begun in the order in which they were given, one as soon as another
    ends: a slow row keeps nobody waiting but those who are answered with it.
    """

    def __init__(self, slots: Sequence[S], hand: Hand) -> None:
        self.width = len(slots)
        self._slots: SimpleQueue[S] = SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._threads = ThreadPoolExecutor(len(slots))
        self._hand = hand
        self._lock = Lock()

    def give(self, rows: Rows, place: int, name: int, piece: Piece[S]) -> None:
        """Take the row at this place of `rows`, called `name` by who asks what killed us.

        The thread that ends the last of them calls `rows.done`.
        """
        self._threads.submit(self._take, rows, place, name, piece)

    def _take(self, rows: Rows, place: int, name: int, piece: Piece[S]) -> None:
        begun = time.perf_counter()
        slot = self._slots.get()
        self._hand.begin((rows, place), name)
        try:
            piece(slot)
            rows.recorders[place] = slot.recorder.take()
        except BaseException as error:  # noqa: BLE001 - it is for the actor's thread to say what becomes of us
            rows.error = error
        finally:
            self._hand.end((rows, place))
            self._slots.put(slot)
        with self._lock:
            rows.seconds += time.perf_counter() - begun
            rows.left -= 1
            last = not rows.left
        if last:
            rows.done(rows)


class Hand:
    """The rows in hand. Where there is only one it is named, so that it can be blamed for a death."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._names: dict[object, int] = {}
        self._lock = Lock()
        self._only = -1

    def begin(self, row: object, name: int) -> None:
        """A thread begins with this row; `name` -1: it has none."""
        with self._lock:
            self._names[row] = name
            self._show()

    def end(self, row: object) -> None:
        """A thread is done with it."""
        with self._lock:
            del self._names[row]
            self._show()
        self._port.beat()

    def _show(self) -> None:
        self._only = next(iter(self._names.values())) if len(self._names) == 1 else -1
        self._port.at(self._only)

    def touch(self, node: int) -> None:
        """A row is at this node."""
        self._port.at(self._only, node)
