"""The source: reads rows against credit, holds them to their schema, and sends chunks with the cursor behind them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from actors.crash_points import crash_point
from elspeth import canonical
from elspeth.clock import utc_now
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.coordinator.protocol import Chunk, Credit, ReadFrom, Ready, SplitPoint
from elspeth.execution.codec import RAW_LIMIT, BadRow, RowBatch, encode_rows
from elspeth.graph.model import Node
from elspeth.plugins.contract import Cursor, Invalid, Row, Source
from elspeth.roles.plan import decode_plan
from elspeth.roles.plugin_factory import PluginFactory
from elspeth.roles.role import Role
from elspeth.schema import RowSchema, SchemaError, compile_reader

logger = logging.getLogger(__name__)

SPLIT_ROWS = 32
"""A chunk can be split, and a commit can stop, every so many rows."""

CHUNK_BYTES = 1 << 20
"""A chunk is sent when its input has about this size, however few rows that are."""

PATIENCE_SECONDS = 0.02
"""How long a row may wait for others before its chunk is sent."""


class Open:
    """The source being read: its iterator, and the chunk under construction."""

    def __init__(self, node: Node, plugin: Source, held: SourcePosition | None) -> None:
        self.node = node
        self.plugin = plugin
        self.cursor: Cursor = held.cursor if held else None
        if held is not None and held.cursor is not None and held.proof is not None:
            plugin.check(held.cursor, held.proof)
        self.rows: Iterator[tuple[Row | Invalid, Cursor]] = plugin.read(self.cursor)
        schema = RowSchema.from_dict(node.schema) if node.schema else None
        self.read: Callable[[Row], Row] | None = compile_reader(schema, plugin.forms()) if schema else None
        self.file: str | None = None  # of the row read last
        self.proves = type(plugin).proof is not Source.proof


class SourceRole(Role):
    """All sources of a run, one after another, in the order in which they are declared."""

    def begin(self) -> None:
        plan = decode_plan(self.argument)
        self._factory = PluginFactory(plan, self.port.beat)
        self._nodes = list(plan.graph.of_kind("source"))
        self._open: Open | None = None
        self._lock = threading.Lock()
        self._clear()

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if isinstance(message, ReadFrom):
            self._positions, self._seq, self._row_index = message.positions, message.seq, message.row_index
            self._ended = {source for source, position in message.positions.items() if position.ended}
            crash_point("source.before_restore")
            self._next_source()
            self.send(Ready())
        elif isinstance(message, Credit):
            self.port.waiting(True)
            for _ in range(message.chunks):
                self._read_chunk(message.rows)
            self.port.waiting(False)

    def _next_source(self) -> None:
        """Open the first source that has not ended."""
        self._open = None
        for node in self._nodes:
            if node.id in self._ended:
                continue
            plugin = cast("Source", self._factory.build(node))
            self._open = Open(node, plugin, self._positions.get(node.id))
            return

    # -- a chunk -----------------------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._rows: list[Row | None] = []
        self._bad: dict[int, BadRow] = {}
        self._lines: list[int] = []
        self._split_points: list[SplitPoint] = []
        self._files: list[tuple[int, str]] = []
        self._cursor: Cursor = None
        self._first_at = 0.0

    def _read_chunk(self, rows: int) -> None:
        """Spend one credit: send a chunk of at most `rows` rows, or say that the sources have ended."""
        while self._open is None or not self._fill(self._open, rows):
            if self._open is None or not self._end_source(self._open):
                return

    def _fill(self, source: Open, limit: int) -> bool:
        """Read rows until the chunk is worth sending; False if the source ended before the first row."""
        crash_point("source.before_read")
        flusher = None if source.proves else _Flusher(self._flush_waiting)
        start = source.plugin.offset(source.cursor) if source.cursor is not None else 0
        sent = self._seq
        try:
            for item, cursor in source.rows:
                with self._lock:
                    self._add(source, item, cursor)
                    self.port.at(self._row_index + len(self._rows))
                    if self._seq != sent:
                        return True  # the credit is spent: what waited was sent while this row was awaited
                    if self._full(source, limit, start):
                        self._send(source)
                        return True
            with self._lock:
                if self._rows:
                    self._send(source)
                    return True
                return self._seq != sent
        finally:
            if flusher is not None:
                flusher.stop()

    def _add(self, source: Open, item: Row | Invalid, cursor: Cursor) -> None:
        crash_point("source.after_read")
        place = len(self._rows)
        if not place:
            self._first_at = time.perf_counter()
        line = source.plugin.line(cursor)
        if line is not None:
            self._lines.append(line)
        file = source.plugin.file(cursor)
        if file is not None and file != source.file:
            source.file = file
            self._files.append((self._row_index + place, file))
        if isinstance(item, Invalid):
            self._rows.append(None)
            self._bad[place] = BadRow(_line(item.raw), self.concealment.text(item.error), item.line, item.fields)
        elif source.read is None:
            self._rows.append(item)
        else:
            try:
                self._rows.append(source.read(item))
            except SchemaError as error:
                raw = _line(source.plugin.raw() or canonical.to_text(item))[:RAW_LIMIT]
                self._rows.append(None)
                self._bad[place] = BadRow(raw, str(error), line, item)
        source.cursor = self._cursor = cursor
        if not (place + 1) % SPLIT_ROWS:
            self._split_points.append(SplitPoint(place + 1, cursor, source.plugin.proof()))

    def _full(self, source: Open, limit: int, start: int | None) -> bool:
        count = len(self._rows)
        if count >= limit or time.perf_counter() - self._first_at > PATIENCE_SECONDS:
            return True
        if count % SPLIT_ROWS and count > 1:
            return False
        offset = source.plugin.offset(self._cursor)
        return offset is not None and start is not None and offset - start >= CHUNK_BYTES

    def _flush_waiting(self) -> None:
        """Send rows that have waited long enough while the source is waiting for more. Only for unproven sources."""
        with self._lock:
            source = self._open
            if source is not None and self._rows and time.perf_counter() - self._first_at > PATIENCE_SECONDS:
                self._send(source)

    def _send(self, source: Open) -> None:
        count = len(self._rows)
        if not self._split_points or self._split_points[-1].rows != count:
            self._split_points.append(SplitPoint(count, self._cursor, source.plugin.proof()))
        body = encode_rows(
            RowBatch(
                source.node.id, self._row_index, utc_now(), self._rows, self._bad, self._lines or None,
                [split_point.rows for split_point in self._split_points],
            )
        )  # fmt: skip
        chunk = Chunk(
            self._seq,
            self._row_index,
            count,
            source.node.id,
            tuple(self._split_points),
            source.plugin.offset(self._cursor),
            files=tuple(self._files),
        )
        crash_point("source.before_send")
        self.send(chunk, body)
        crash_point("source.after_send")
        self._seq += 1
        self._row_index += count
        self._clear()

    def _end_source(self, source: Open) -> bool:
        """Say that a source has ended; False if it was the last."""
        crash_point("source.before_end")
        plugin = source.plugin
        grown = plugin.said_at_end()
        if grown is not None:
            logger.warning(grown)
        last = source.node.id == self._nodes[-1].id
        if source.cursor is None:
            source.cursor = plugin.end()
        split_point = SplitPoint(0, source.cursor, plugin.proof())
        offset = plugin.offset(source.cursor) if source.cursor is not None else 0
        chunk = Chunk(self._seq, self._row_index, 0, source.node.id, (split_point,), offset, ended=True, last=last)
        plugin.teardown()
        self._ended.add(source.node.id)
        self.send(chunk, b"")
        crash_point("source.after_end")
        self._seq += 1
        self._next_source()
        return not last


def _line(raw: str) -> str:
    """A line as it was read, without what ends it."""
    return raw.removesuffix("\n").removesuffix("\r")


class _Flusher:
    """Calls `flush` every few milliseconds until it is stopped."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(PATIENCE_SECONDS):
            self._flush()

    def stop(self) -> None:
        """End; returns when no call is under way."""
        self._stopped.set()
        self._thread.join()
