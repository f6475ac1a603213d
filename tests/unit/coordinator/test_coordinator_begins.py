"""What cannot even begin is told as what may go away, not as a mistake of ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pykka
import pytest

from actors import ChildSpec, ForkServerGone
from elspeth.coordinator.attempt.topology import AttemptOutcome, Topology
from elspeth.coordinator.coordinator import Coordinator
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.reporting.progress import Progress
from elspeth.errors import Temporary
from tests.kit.processes.waiting import PATIENCE_SECONDS


class Refusing(pykka.ThreadingActor):
    """A supervisor that starts nobody."""

    use_daemon_thread = True

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.outbox = None
        self._error = error

    def start_child(self, _spec: ChildSpec) -> None:
        raise self._error


@contextmanager
def begun(error: OSError) -> Iterator[AttemptOutcome]:
    """The outcome of an attempt whose first child is refused."""
    spec = ChildSpec("audit", "elspeth.roles.audit:AuditRole")
    topology = Topology(spec, spec, spec, spec, {}, lambda _: spec, Policy(), (False,))
    outcome = AttemptOutcome()
    supervisor, coordinator = Refusing.start(error), Coordinator.start(topology, Progress({}), outcome)
    try:
        actor: Any = coordinator.proxy()
        actor.begin(supervisor.proxy(), None).get()
        yield outcome
    finally:
        coordinator.stop()
        supervisor.stop()


@pytest.mark.parametrize(
    ("error", "message", "room"),
    [
        (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "Resource temporarily unavailable", True),
        (ForkServerGone("the process 7 that children are forked from is gone"), "the process 7", False),
    ],
)
def test_an_attempt_whose_audit_process_cannot_start_ends_resumable(error: OSError, message: str, room: bool) -> None:
    with begun(error) as outcome:
        assert outcome.done.wait(PATIENCE_SECONDS)
        assert isinstance(outcome.error, Temporary)
        assert outcome.error.message.startswith(f"audit could not be started: {message}")
        assert bool(outcome.error.details) == room
