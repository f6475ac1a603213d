"""The audit role for one request of an operator: writes it to the audit database, answers, and is stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.crash_points import crash_point
from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.audit.purge import PURGE, REMOVE
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.attempts.starts import ColumnValue
from elspeth.audit.store.commits.order_of_runs import COPY
from elspeth.audit.store.place import from_wire
from elspeth.audit.writer import AuditWriter
from elspeth.canonical import JsonObject
from elspeth.coordinator.protocol import Failed, Message
from elspeth.roles.role import Role


class OperatorRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants done to a run: an action by name, and the columns of `runs` that it changes.

    The action `purge` forgets the contents of rows instead, `remove` all records about rows. With `migrate`, an older
    schema is brought forward first, and without a `run_id` that is all. The action `copy` brings the run here from the
    database `origin`. Databases are named as `wire` does.
    """

    database: str
    run_id: str | None
    action: str
    user: str
    uid: int
    command_line: str
    reason: str | None = None
    changes: dict[str, ColumnValue] = {}
    detail: JsonObject = {}
    expected_attempt: int | None = None
    migrate: bool = False
    origin: str | None = None


class RequestCarriedOut(Message, frozen=True):
    """What was asked for is done, and durable."""


class Progressed(Message, frozen=True):
    """A line about what is done just now; others follow, and the answer at the end."""

    line: str


Answer = RequestCarriedOut | Progressed | Failed

_encode = msgspec.msgpack.Encoder().encode
_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
_decode = msgspec.msgpack.Decoder(OperatorRequest).decode


def encode_request(request: OperatorRequest) -> bytes:
    """The request as the argument of the child."""
    return _encode(request)


def decode_answer(header: bytes | memoryview) -> Answer:
    """What the child says: how far it is, and at the end that it is done or has failed."""
    return _answer.decode(header)


class OperatorRole(Role):
    """Carries out the request that is its argument."""

    def begin(self) -> None:
        request = _decode(self.argument)
        key = os.environ.get(SIGNING_KEY)
        who = {name: getattr(request, name) for name in ("user", "uid", "command_line", "reason")}
        writer = AuditWriter(
            from_wire(request.database), signing_key=key.encode() if key else None,
            migrate=who if request.migrate else None, notify=lambda line: self.send(Progressed(line)),
        )  # fmt: skip
        try:
            _carry_out(writer, request, who)
        finally:
            writer.close()
        crash_point("operator.before_answer")
        self.send(RequestCarriedOut())


def _carry_out(writer: AuditWriter, request: OperatorRequest, who: Mapping[str, Any]) -> None:
    if request.run_id is None:
        return
    if request.action == COPY and request.origin is not None:
        with AuditReader(from_wire(request.origin)) as origin:
            writer.take_in(origin, run_id=request.run_id, **who)
    elif request.action in (PURGE, REMOVE):
        writer.purge(run_id=request.run_id, whole=request.action == REMOVE, detail=request.detail, **who)
    else:
        writer.operator_action(
            run_id=request.run_id, action=request.action, changes=request.changes, detail=request.detail,
            expected_attempt=request.expected_attempt, **who,
        )  # fmt: skip
