"""What an operator does to a run from outside it: every write goes through a short-lived audit process."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pykka

from actors.events import ChildDown, FrameReceived
from actors.spec import ChildSpec
from actors.strategy import RestartIntensity
from actors.supervisor import Supervisor
from elspeth.audit.purge import PURGE, REMOVE
from elspeth.audit.store.commits.order_of_runs import COPY
from elspeth.audit.store.place import Place, wire
from elspeth.coordinator.protocol import Failed
from elspeth.coordinator.reporting.exit_reasons import not_started
from elspeth.errors import ElspethError, Temporary, from_value
from elspeth.roles.operator import OperatorRequest, Progressed, RequestCarriedOut, decode_answer, encode_request
from elspeth.runs.liveness.identity import command_line, user_name

HANG_SECONDS = 60.0
TICK_SECONDS = 0.1


def operate(
    database: Place,
    *,
    run_id: str,
    action: str,
    reason: str | None,
    changes: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
    expected_attempt: int | None = None,
) -> None:
    """Record an operator's action on a run, with who and why, and change these columns of `runs`; returns when durable.

    A status other than `running` ends the attempt: nothing that it still commits is taken. The action `purge` forgets
    what people wrote into the run's rows, `remove` everything about them. Raises what the audit process raises:
    `RunInProgress` if an attempt has begun since `expected_attempt`, `RunNotFound`, `Temporary` where the database
    cannot be written, `ElspethError` else.
    """
    _ask(
        database,
        run_id=run_id,
        action=action,
        reason=reason,
        changes=dict(changes),
        detail=dict(detail or {}),
        expected_attempt=expected_attempt,
    )


def migrate(database: Place, *, reason: str | None = None, notify: Callable[[str], None] = lambda line: None) -> None:
    """Bring the schema of an audit database forward, while no run in it is alive. `notify` is given its progress."""
    _ask(database, notify, run_id=None, action="migrate", migrate=True, reason=reason)


def take_in(
    database: Place, origin: Place, *, run_id: str, reason: str | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> None:  # fmt: skip
    """Copy a run's evidence from `origin` into a database, which is made where there is none yet; returns when durable.

    Raises what `AuditWriter.take_in` raises, and `Temporary` where the process died over it: ask once more.
    """
    _ask(database, notify, run_id=run_id, action=COPY, reason=reason, origin=wire(origin))


def _ask(database: Place, notify: Callable[[str], None] = lambda line: None, **wanted: Any) -> None:
    if wanted["action"] != COPY and isinstance(database, Path) and not database.is_file():
        raise ElspethError(f"there is no audit database at {database}", next_step="name it with --database")
    uid = os.getuid()
    request = OperatorRequest(
        database=wire(database), user=user_name(uid), uid=uid, command_line=command_line(), **wanted
    )
    hang = None if request.migrate or request.action in (PURGE, REMOVE, COPY) else HANG_SECONDS
    spec = ChildSpec(
        "audit", "elspeth.roles.operator:OperatorRole", encode_request(request), restart="temporary", hang_seconds=hang,
        title=f"elspeth {request.run_id or 'database'} {request.action}",
    )  # fmt: skip
    told: queue.SimpleQueue[FrameReceived | ChildDown] = queue.SimpleQueue()
    printed: list[str] = []
    listener = _Listener.start(told)
    supervisor = Supervisor.start(listener, RestartIntensity(), lambda _, line: printed.append(line), TICK_SECONDS)
    proxy: Any = supervisor.proxy()
    try:
        proxy.start_child(spec).get()
        answer = _answer(told, notify)
        proxy.shutdown(spec.shutdown_seconds).get()
    except OSError as error:
        raise not_started(spec.name, error) from error
    finally:
        supervisor.stop()
        listener.stop()
    if isinstance(answer, ChildDown):
        raise _died(answer, request, database)
    if isinstance(answer, Failed):
        raise from_value(answer.error)


def _answer(
    told: queue.SimpleQueue[FrameReceived | ChildDown], notify: Callable[[str], None]
) -> RequestCarriedOut | Failed | ChildDown:
    """The first thing that is no report of progress."""
    while True:
        event = told.get()
        if isinstance(event, ChildDown):
            return event
        message = decode_answer(event.parts[0])
        if not isinstance(message, Progressed):
            return message
        notify(message.line)


class _Listener(pykka.ThreadingActor):
    """Hands on what the child said, or that it ended."""

    use_daemon_thread = True

    def __init__(self, told: queue.SimpleQueue[FrameReceived | ChildDown]) -> None:
        super().__init__()
        self._told = told

    def on_receive(self, message: Any) -> None:
        if isinstance(message, FrameReceived | ChildDown):
            self._told.put(message)


def _died(down: ChildDown, request: OperatorRequest, database: Place) -> ElspethError:
    how = down.signal or f"exit code {down.exit_code}"
    next_step = f"elspeth status {request.run_id}" if request.run_id else "elspeth doctor"
    if request.migrate:
        return Temporary(
            f"the process that brought {database} forward died ({how}): it is as it was, or all of it is done",
            details=down.output_tail.strip().splitlines()[-5:],
            next_step="elspeth doctor --fix",
        )
    if request.action == COPY:
        return Temporary(
            f"the process that copied run {request.run_id} died ({how}): all of it is copied, or nothing",
            details=down.output_tail.strip().splitlines()[-5:],
            next_step="the same command again",
        )
    if request.action in (PURGE, REMOVE):  # what is done twice is done once
        next_step = f"elspeth purge --run {request.run_id}" + (" --whole" if request.action == REMOVE else "")
    return ElspethError(
        f"the process that writes to {database} died ({how}): whether {request.action} happened is not known",
        details=down.output_tail.strip().splitlines()[-5:],
        next_step=next_step,
    )
