"""The bodies that roles exchange: rows on their way to a worker, items on their way to a later stage or to sinks."""

from __future__ import annotations

from typing import Any

import msgspec

Row = dict[str, Any]  # the contract's, without its import: the audit process, which has no plugins, starts sooner

RAW_LIMIT = 4096
"""How many characters of a slice of input that is no row are kept."""


class BadRow(msgspec.Struct, frozen=True, array_like=True):
    """A slice of input that is no row, at its place in the chunk."""

    raw: str
    error: str
    line: int | None
    fields: Row | None


class RowBatch(msgspec.Struct, array_like=True):
    """Consecutive rows of one source. `rows` holds None where `bad` says why; `lines` are first lines, from 1.

    `split_points` are the places, counted in rows, at which a worker may answer in parts.
    """

    source: str
    row_index: int
    read_at: str
    rows: list[Row | None]
    bad: dict[int, BadRow]
    lines: list[int] | None
    split_points: list[int] = []


class SinkItems(msgspec.Struct, array_like=True):
    """What a sink gets of a micro-batch, in columns. `order` is the place among all items of the micro-batch."""

    order: list[int]
    tokens: list[str]
    outcomes: list[str]
    errors: list[str | None]
    rows: list[Row]


class StageItem(msgspec.Struct, array_like=True):
    """A token on its way to a node of a later stage, or past it to a sink (then `outcome` is set)."""

    target: str
    token: str
    row: str
    row_index: int
    fork: tuple[tuple[str, str], ...]
    step: int
    data: Row
    outcome: str = ""
    error: str | None = None
    read_at: str = ""


_BIG_INTEGER = 1
_plain = msgspec.msgpack.Encoder().encode


def _encode(value: Any) -> bytes:
    try:
        return _plain(value)
    except OverflowError:  # msgpack ends at 64 bits, and JSON does not
        return _plain(_boxed(msgspec.to_builtins(value)))


def _boxed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _boxed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_boxed(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_BIG_INTEGER, str(value).encode())
    return value


def _unboxed(code: int, content: memoryview) -> int:
    if code != _BIG_INTEGER:
        raise ValueError(f"extension {code} is none of ours")
    return int(bytes(content))


_decode_rows = msgspec.msgpack.Decoder(RowBatch, ext_hook=_unboxed).decode
_decode_sinks = msgspec.msgpack.Decoder(dict[str, SinkItems], ext_hook=_unboxed).decode
_decode_items = msgspec.msgpack.Decoder(list[StageItem], ext_hook=_unboxed).decode


def encode_rows(rows: RowBatch) -> bytes:
    """The chunk as bytes. What cannot travel (text that is not Unicode, foreign objects) becomes a bad row."""
    try:
        return _encode(rows)
    except (TypeError, ValueError, RecursionError):
        for place, row in enumerate(rows.rows):
            try:
                _encode(row)
            except (TypeError, ValueError, RecursionError) as error:
                line = rows.lines[place] if rows.lines else None
                rows.rows[place] = None
                rows.bad[place] = BadRow(ascii(row)[:RAW_LIMIT], f"not data that JSON can hold: {error}", line, None)
        for place, bad in rows.bad.items():
            try:
                _encode(bad)
            except (TypeError, ValueError, RecursionError):
                rows.bad[place] = BadRow(ascii(bad.raw)[:RAW_LIMIT], ascii(bad.error), bad.line, None)
        return _encode(rows)


def decode_rows(body: bytes | memoryview) -> RowBatch:
    return _decode_rows(body)


def encode_sinks(items: dict[str, SinkItems]) -> bytes:
    return _encode(items)


def decode_sinks(body: bytes | memoryview) -> dict[str, SinkItems]:
    return _decode_sinks(body)


def encode_items(items: list[StageItem]) -> bytes:
    return _encode(items)


def decode_items(body: bytes | memoryview) -> list[StageItem]:
    return _decode_items(body)
