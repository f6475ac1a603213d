"""What stages and sinks are about to touch, where the death of every process of the run leaves it: a batch, or a token.

It lies in the file of the attempt's marks (`elspeth.runs.liveness.row_mark`), each stage in a page of its own. The
stage says which batch it flushes, and for which micro-batch; the main process says up to which one the stage has
answered. So a flush is in hand until the main process has outlived it: a batch that kills others first is not forgotten
when the plugin returns to a stage that nobody listens to any more.

Behind a batch, the row in hand is the one that closed it, which is not to be blamed for what came of the others. So a
worker marks each token that it takes through a later stage, and the sinks each that they write, as far as rows go one
at a time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.crash_points import crash_point
from elspeth import ids
from elspeth.coordinator.blame import Conviction

PAGE = 4096
"""The size of what a stage marks (bytes): one write within one page, which a SIGKILL does not cut in two."""

_ANSWERED = struct.Struct("<q")
_FLUSHES = struct.Struct("<qH")  # for which micro-batch, 0 for none, and how many bytes say which batch


class Flush(msgspec.Struct, frozen=True):
    """A flush of the batch `batch` at the aggregation `node`."""

    batch: str
    node: str

    @property
    def name(self) -> str:
        """What is suspected where this was in hand."""
        return self.batch


class Item(msgspec.Struct, frozen=True):
    """The `token` on its way through a later stage, which it entered at `node`."""

    token: str
    node: str

    @property
    def name(self) -> str:
        """What is suspected where this was in hand."""
        return self.token


class Output(msgspec.Struct, frozen=True):
    """The `token` that is written to the `sink`."""

    token: str
    sink: str

    @property
    def name(self) -> str:
        """What is suspected where this was in hand: the token there, and not on its way."""
        return output_name(self.token, self.sink)

    @property
    def node(self) -> str:
        """Where it was in hand."""
        return self.sink


Held = Flush | Item | Output


def output_name(token: str, sink: str) -> str:
    """The name of a token at a sink."""
    return f"{token}>{sink}"


class Flushes(msgspec.Struct, frozen=True):
    """What later stages are told: where they mark what they touch, and which batches and tokens attempts died with.

    `every`: rows go one at a time at first, so each batch is marked, and each token of a row before `rows_end`; else
    only those in `suspects`, with the deaths that each saw. `convicted` are touched no more. Of these, `tokens` are
    tokens, on their way or at a sink, and the others batches.
    """

    path: str
    every: bool = False
    rows_end: int = 0
    tokens: frozenset[str] = frozenset()
    suspects: dict[str, int] = {}
    convicted: dict[str, Conviction] = {}


class _Marks:
    """The file of the attempt's marks. Where it cannot be had (`OSError`) nothing is marked."""

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(Path(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def mark(self, stage: int, micro_batch: int, held: Held) -> bool:
        """This is touched next in the stage, for that micro-batch. What is too long to be marked is not."""
        text = msgspec.json.encode(held)
        fits = _ANSWERED.size + _FLUSHES.size + len(text) <= PAGE
        if fits and self._descriptor >= 0:
            self._write(stage, _FLUSHES.pack(micro_batch, len(text)) + text)
        return fits and self._descriptor >= 0

    def clear(self, stage: int) -> None:
        """Nothing is in hand in the stage."""
        self._write(stage, _FLUSHES.pack(0, 0))

    def _write(self, stage: int, content: bytes) -> None:
        os.pwrite(self._descriptor, content, page_of(stage) + _ANSWERED.size)


class FlushMark:
    """The mark of one ordered stage."""

    def __init__(self, flushes: Flushes, stage: int) -> None:
        self._flushes, self._stage = flushes, stage
        self._micro_batch = 0
        self._marks = _Marks(flushes.path)

    def flush(self, micro_batch: int, batch: str, node: str) -> None:
        """This batch is flushed next."""
        suspicious = self._flushes.every or batch in self._flushes.suspects
        if suspicious and self._marks.mark(self._stage, micro_batch, Flush(batch, node)):
            self._micro_batch = micro_batch
            crash_point("stage.flush_marked")

    def item(self, micro_batch: int) -> None:
        """Another item of the micro-batch is touched next: what was flushed for one before it has killed nobody."""
        if self._micro_batch == micro_batch:
            self._micro_batch = 0
            self._marks.clear(self._stage)


class ItemMark:
    """The marks of a worker, in the page of the stage that it works for."""

    def __init__(self, flushes: Flushes) -> None:
        self._flushes = flushes
        self._marks = _Marks(flushes.path)

    def alone(self, token: str, row_index: int) -> bool:
        """Whether nothing else is to be in hand beside this token, because it is marked or set aside."""
        told = self._flushes
        return row_index < told.rows_end or token in told.suspects or token in told.convicted

    def next(self, stage: int, micro_batch: int, token: str, row_index: int, node: str) -> Conviction | None:
        """This token is touched next; answers the verdict instead, where there is one."""
        if (conviction := self._flushes.convicted.get(token)) is not None:
            return conviction
        if self.alone(token, row_index) and self._marks.mark(stage, micro_batch, Item(token, node)):
            crash_point("worker.item_marked")
        return None


class OutputMark:
    """The marks of the sinks, in a page behind those of the stages.

    Without a stage that holds rows back, what is written is of the row in hand, which is blamed as a row: nothing is
    marked.
    """

    def __init__(self, flushes: Flushes, stage: int) -> None:
        """`stage` is the number of the sinks: one more than that of the last stage."""
        self._flushes, self._stage = flushes, stage
        self._marks = _Marks(flushes.path)
        self._marked = False

    def alone(self, tokens: Iterable[str], sink: str) -> bool:
        """Whether any of these is to be written by itself, because it is marked or set aside."""
        told = self._flushes
        if not (told.rows_end or told.suspects or told.convicted):
            return False
        return any(
            ids.row_index(token) < told.rows_end or (name := output_name(token, sink)) in told.suspects
            or name in told.convicted
            for token in tokens
        )  # fmt: skip

    def next(self, micro_batch: int, token: str, sink: str) -> Conviction | None:
        """This is written next; answers the verdict instead, where there is one."""
        if (conviction := self._flushes.convicted.get(output_name(token, sink))) is not None:
            return conviction
        if self.alone((token,), sink) and self._marks.mark(self._stage, micro_batch, Output(token, sink)):
            self._marked = True
            crash_point("sink.output_marked")
        elif self._marked:  # what was written before has killed nobody
            self._marked = False
            self._marks.clear(self._stage)
        return None


def page_of(stage: int) -> int:
    """Where a stage's page begins in the file."""
    return PAGE * (1 + stage)


def answered(micro_batch: int) -> bytes:
    """What the main process writes at the beginning of a stage's page when the stage has passed a micro-batch."""
    return _ANSWERED.pack(micro_batch)


def held_in(page: bytes) -> Held | None:
    """What was in hand, from a stage's page; None if nothing was or the page is not whole."""
    if len(page) < _ANSWERED.size + _FLUSHES.size:
        return None
    (done,) = _ANSWERED.unpack_from(page, 0)
    micro_batch, size = _FLUSHES.unpack_from(page, _ANSWERED.size)
    text = page[_ANSWERED.size + _FLUSHES.size :][:size]
    if micro_batch <= done or len(text) != size:
        return None
    with suppress(msgspec.DecodeError):  # `ValidationError` is one, too
        return msgspec.json.decode(text, type=Flush)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Item)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Output)
    return None
