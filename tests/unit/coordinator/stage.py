"""A coordinator on a stage: children and supervisor are stand-ins, what would be started and sent is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors import ChildDown, ChildSpec, ChildUp, FrameReceived, GaveUp
from actors.identity import Identity
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.topology import AttemptOutcome, Topology
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.coordinator import Coordinator
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution

WHO = Identity(4242, 1.0, "boot", "namespace", "host", 99)
CHECKPOINT = start_checkpoint({})


class Done:
    """What a proxy answers."""

    def get(self) -> None:
        return None


@dataclass
class Stage:
    """A coordinator without processes: `started` are the targets of children, `sent` what they were sent."""

    started: list[str] = field(default_factory=list)
    restarted: list[tuple[str, bool]] = field(default_factory=list)
    sent: list[tuple[str, m.Message]] = field(default_factory=list)
    outcome: AttemptOutcome = field(default_factory=AttemptOutcome)
    progress: Progress = field(default_factory=Progress)
    caution: Caution = NO_CAUTION
    more: dict[str, Any] = field(default_factory=dict)  # of the topology
    stopped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def spec(name: str, target: str) -> ChildSpec:
            return ChildSpec(name, f"roles:{target}", restart="temporary")

        topology = Topology(
            spec("audit", "Audit"), spec("audit", "Successor"), spec("sinks", "Sinks"), spec("source", "Source"), {},
            lambda number: spec(f"worker-{number}", "Worker"), Policy(), (False,), caution=self.caution,
            **self.more,
        )  # fmt: skip
        self.coordinator = Coordinator(topology, self.progress, self.outcome)
        self.coordinator.begin(self, self)  # type: ignore[arg-type]

    def start_child(self, spec: ChildSpec) -> Done:
        self.started.append(spec.target.removeprefix("roles:"))
        return Done()

    def restart_child(self, name: str, counted: bool, _successor: ChildSpec | None) -> Done:
        self.restarted.append((name, counted))
        return Done()

    def stop_child(self, name: str) -> Done:
        self.stopped.append(name)
        return Done()

    def send(self, name: str, *parts: bytes) -> None:
        self.sent.append((name, m.decode(parts[0])))

    def says(self, name: str, message: m.Message) -> None:
        self.coordinator.on_receive(FrameReceived(name, 1, [memoryview(m.encode(message))]))

    def owned(self, **more: Any) -> None:
        self.coordinator.on_receive(ChildUp("audit", WHO, 1))
        self.says("audit", m.Owned(**{"checkpoint": CHECKPOINT} | more))

    def gives_up(self, name: str) -> None:
        died = down(name)
        self.coordinator.on_receive(died)
        self.coordinator.on_receive(GaveUp(name, "restart intensity exceeded", [died]))

    def events(self) -> list[tuple[str, str]]:
        """What was told to audit: whom it happened to, and what."""
        return [(told.child, told.event) for told in self._told()]

    def detail(self, event: str) -> Any:
        """What was told with an event of which there is one."""
        [found] = [told for told in self._told() if told.event == event]
        return found.detail

    def _told(self) -> list[m.SupervisionEvent]:
        return [message.event for _, message in self.sent if isinstance(message, m.RecordEvent)]

    def last_words(self) -> list[tuple[str, m.Message]]:
        return [(name, message) for name, message in self.sent if isinstance(message, m.EndAttempt)]


def down(name: str, exit_code: int | None = 1) -> ChildDown:
    return ChildDown(name, WHO, 1, exit_code, None, "exited", -1, 0, "")
