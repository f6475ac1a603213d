"""What runs in a process that shares the work of a verification, and the messages between it and the one that asks.

It reads the database on its own, and answers one part after the other. Errors travel as plain values; what is a mistake
of ours travels as its traceback.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Any, BinaryIO, NoReturn

import msgspec

from actors.places.local import child_main
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database
from elspeth.audit.store.place import from_wire
from elspeth.audit.verify import parts
from elspeth.audit.verify.consistency import Contents
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.parts import Found, Part
from elspeth.errors import ElspethError, ErrorValue

BOOT = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); a = sys.argv; sys.path[:] = a[2:]; "
    "from elspeth.audit.verify.partner import main; main(int(a[1]))"
)
"""Ctrl-C hits all of a terminal: who asks is told, and ends us. Imports come from where that process has them from."""

SIZE = 4
"""Bytes that say how long the message behind them is."""


class Order(msgspec.Struct, frozen=True):
    """The first message: which run of which database. `key` is the signing key."""

    place: str
    run_id: str
    key: bytes | None


class Begin(msgspec.Struct, frozen=True, tag=True):
    """See the database as it is now, or as another session with its server does, which exported this snapshot."""

    snapshot: str | None = None


class Look(msgspec.Struct, frozen=True, tag=True):
    """Look at this part."""

    part: Part


class Answer(msgspec.Struct, frozen=True):
    """What came of a message: nothing else, or what was found, or what is in the way."""

    found: tuple[Any, ...] | None = None
    error: ErrorValue | None = None
    traceback: str | None = None


def packed(message: msgspec.Struct) -> bytes:
    """A message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(SIZE, "big") + body


def as_plain(found: Found) -> tuple[Any, ...]:
    """What was found, as plain values: a value of a foreign type in the database may be anywhere in it."""
    held = found.contents
    return (
        [_plain(each) for each in found.findings],
        [(mark, _plain(each)) for mark, each in found.lost],
        [(mark, _plain(each)) for mark, each in found.found],
        None if held is None else {data: [_plain(each) for each in wrong] for data, wrong in held.wrong.items()},
        None if held is None else {column: list(values) for column, values in held.named.items()},
    )


def from_plain(table: str, value: tuple[Any, ...]) -> Found:
    """What `as_plain` was given. `table` is the part's, if it is about one."""
    findings, lost, found, wrong, named = value
    contents = None
    if wrong is not None:
        contents = Contents(table)
        contents.wrong = {data: [Discrepancy(*each) for each in held] for data, held in wrong.items()}
        contents.named = {column: set(values) for column, values in named.items()}
    return Found(
        [Discrepancy(*each) for each in findings],
        [(mark, Discrepancy(*each)) for mark, each in lost],
        [(mark, Discrepancy(*each)) for mark, each in found],
        contents,
    )


def main(owner: int) -> NoReturn:
    """Serve the process `owner` by standard input and output until it closes them or ends."""
    child_main.die_with(owner)
    child_main.name("elspeth verify")
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    order = msgspec.msgpack.decode(_message(incoming), type=Order)
    reader: AuditReader | None = None
    while body := _message(incoming):
        message = msgspec.msgpack.decode(body, type=Begin | Look)
        try:
            place = from_wire(order.place)
            with database.translated_errors(place):
                reader = reader or AuditReader(place)
                answer = _answer(reader, order, message)
        except ElspethError as error:
            answer = Answer(error=error.to_value())
        except Exception:  # noqa: BLE001 - it is told to who asked
            answer = Answer(traceback=traceback.format_exc())
        outgoing.write(packed(answer))
        outgoing.flush()


def _answer(reader: AuditReader, order: Order, message: Begin | Look) -> Answer:
    connection = reader.connection
    if isinstance(message, Look):
        return Answer(found=as_plain(parts.look(connection, order.run_id, order.key, message.part)))
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    if message.snapshot is not None:
        connection.execute(f"SET TRANSACTION SNAPSHOT '{message.snapshot}'")
    connection.execute("SELECT count(*) FROM runs").fetchone()  # a file is not looked at before
    return Answer()


def _message(incoming: BinaryIO) -> bytes:
    """The next message, empty behind the last."""
    size = incoming.read(SIZE)
    return incoming.read(int.from_bytes(size, "big")) if len(size) == SIZE else b""


def _plain(each: Discrepancy) -> tuple[Any, ...]:
    return (each.kind, each.sentence, each.table, each.record, each.commit_no)
