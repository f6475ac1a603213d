"""The children of an attempt as the coordinator has them started: who is next, and who is replaced without blame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.lifecycle import State
from actors.spec import ChildSpec
from elspeth.coordinator.names import worker_number
from elspeth.coordinator.reporting import exit_reasons
from elspeth.errors import Temporary


class Children:
    """Starts and restarts through the supervisor. `refused` is told of a child that the system would not start."""

    def __init__(self, worker: Callable[[int], ChildSpec], refused: Callable[[str, Temporary], None]) -> None:
        self._worker = worker
        self._refused = refused
        self._supervisor: Any = None
        self._unstarted: dict[str, ChildSpec] = {}
        self._successors: dict[str, ChildSpec] = {}
        self._recycled: set[str] = set()

    def connect(self, supervisor: Any) -> None:
        """`supervisor` is the proxy of the actor that starts them."""
        self._supervisor = supervisor

    def start(self, spec: ChildSpec) -> None:
        """Start this child."""
        try:
            self._supervisor.start_child(spec).get()
        except OSError as error:
            self._unstarted[spec.name] = spec
            self._refused(spec.name, exit_reasons.not_started(spec.name, error))

    def start_worker(self, name: str) -> None:
        """Start this worker."""
        self.start(self._worker(worker_number(name)))

    def succeed(self, spec: ChildSpec) -> None:
        """From now on whoever takes the place of the child of this name is started so."""
        self._successors[spec.name] = spec

    def restart(self, child: str, counted: bool) -> None:
        """Start a successor. `counted` says whether the death counts against the restart intensity."""
        if (spec := self._unstarted.pop(child, None)) is not None:
            self.start(spec)
            return
        try:
            self._supervisor.restart_child(child, counted, self._successors.get(child)).get()
        except OSError as error:
            self._refused(child, exit_reasons.not_started(child, error))

    def touching(self) -> dict[str, tuple[int, int]]:
        """What each child that runs is touching, and where there; -1: nothing that it can name."""
        infos = self._supervisor.children().get()
        return {info.name: (info.position, info.detail) for info in infos if info.state is State.RUNNING}

    def recycle(self, child: str) -> None:
        """Stop an idle worker in order; when it is gone, a fresh one takes its place."""
        self._recycled.add(child)
        self._supervisor.stop_child(child).get()

    def replaced(self, child: str) -> bool:
        """It is gone: whether that was in order, and its successor is on the way."""
        if child not in self._recycled:
            return False
        self._recycled.discard(child)
        self.restart(child, counted=False)
        return True
