"""The bodies that roles exchange: rows on their way to a worker, items on their way to a later stage or to sinks."""

from __future__ import annotations

from typing import Any

import msgspec

from elspeth.audit.records import Records
from elspeth.plugins.contract import Row


class BadRow(msgspec.Struct, frozen=True, array_like=True):
    """A piece of input that is no row, at its place in the chunk."""

    raw: str
    error: str
    line: int | None
    fields: Row | None


class Rows(msgspec.Struct, array_like=True):
    """Consecutive rows of one source. `rows` holds None where `bad` says why; `lines` are first lines, from 1.

    `marks` are the places, counted in rows, at which a worker may answer in parts.
    """

    source: str
    row_index: int
    read_at: str
    rows: list[Row | None]
    bad: dict[int, BadRow]
    lines: list[int] | None
    marks: list[int] = []


class SinkItems(msgspec.Struct, array_like=True):
    """What a sink gets of a unit, in columns. `order` is the place among all items of the unit."""

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


_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(Rows).decode
_decode_sinks = msgspec.msgpack.Decoder(dict[str, SinkItems]).decode
_decode_items = msgspec.msgpack.Decoder(list[StageItem]).decode
_decode_records = msgspec.msgpack.Decoder(dict[str, list[tuple[Any, ...]]]).decode


def encode_rows(rows: Rows) -> bytes:
    return _encode(rows)


def decode_rows(body: bytes | memoryview) -> Rows:
    return _decode_rows(body)


def encode_sinks(items: dict[str, SinkItems]) -> bytes:
    return _encode(items)


def decode_sinks(body: bytes | memoryview) -> dict[str, SinkItems]:
    return _decode_sinks(body)


def encode_items(items: list[StageItem]) -> bytes:
    return _encode(items)


def decode_items(body: bytes | memoryview) -> list[StageItem]:
    return _decode_items(body)


def encode_records(records: Records) -> bytes:
    return _encode({table: rows for table, rows in records.items() if rows})


def decode_records(body: bytes | memoryview) -> Records:
    return _decode_records(body)
