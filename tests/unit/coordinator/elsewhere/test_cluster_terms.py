"""What an attempt does about workers of a cluster that are lost, find no room, or are refused; what it says meanwhile.

Supervisor and children are stand-ins, and time is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from actors import ChildDown, ChildSpec, ChildUp, FrameReceived
from actors.identity import Identity
from elspeth.coordinator import coordinator as under_test
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.topology import AttemptOutcome, Topology
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.coordinator import Coordinator
from elspeth.coordinator.elsewhere.far_workers import (
    FIRST_DELAY,
    LONGEST_DELAY,
    PATIENCE_SECONDS,
    STEADY_SECONDS,
    Absent,
    ClusterTerms,
    FarWorkers,
)
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.reporting.standstill import sentence, waited_for
from elspeth.errors import EXIT_MISMATCH, EXIT_TEMPORARY, ConfigurationMismatch, Temporary

WHO = Identity(4242, 1.0, "boot", "namespace", "host", 99)
NODE = "node-b (10.0.0.2)"


def far(here: int = 0, workers: int = 3, waiting: tuple[str, ...] = ()) -> tuple[FarWorkers, list[str]]:
    said: list[str] = []
    return FarWorkers(ClusterTerms(workers, 600.0, lambda: waiting), here, said.append), said


def test_a_place_that_is_lost_again_and_again_is_asked_for_later_and_later() -> None:
    crew, _ = far()
    now, delays = 0.0, []
    for _ in range(10):
        crew.asked("worker-1", now)
        crew.came("worker-1", now)
        crew.lost("worker-1", "the node is gone", now)
        assert crew.postponed("worker-1")
        before = now
        while not crew.due(now):
            now += 0.25
        delays.append(now - before)
    assert delays[:4] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY, 8 * FIRST_DELAY]
    assert delays[-1] == LONGEST_DELAY


def test_one_that_was_there_for_long_is_asked_for_at_once_like_the_first_time() -> None:
    crew, _ = far()
    for now in (0.0, 1.0, 3.0):
        crew.asked("worker-1", now)
        crew.came("worker-1", now)
        crew.lost("worker-1", "gone", now)
    crew.asked("worker-1", 10.0)
    crew.came("worker-1", 10.0)
    crew.lost("worker-1", "gone", 10.0 + STEADY_SECONDS)
    assert crew.due(10.0 + STEADY_SECONDS + FIRST_DELAY) == ["worker-1"]


def test_who_finds_no_room_is_told_once_and_how_many_there_are_is_said() -> None:
    crew, said = far(here=2, workers=3, waiting=("worker-4", "worker-5"))
    for name in ("worker-3", "worker-4", "worker-5"):
        crew.asked(name, 0.0)
    crew.came("worker-3", 1.0)
    assert crew.look(0.5) == []
    assert crew.look(PATIENCE_SECONDS - 1) == []
    assert crew.look(PATIENCE_SECONDS) == []
    assert crew.look(PATIENCE_SECONDS + 1) == ["worker-4", "worker-5"]
    assert crew.look(PATIENCE_SECONDS + 2) == []
    assert said == ["1 of 3 workers; the cluster has no room for more"]
    crew.came("worker-4", 100.0)
    crew.came("worker-5", 100.0)
    crew.look(101.0)
    assert said[1:] == ["3 of 3 workers"]


def test_of_a_cluster_that_has_yet_to_be_reached_it_is_not_said_that_it_has_no_room() -> None:
    known: list[str] = []
    said: list[str] = []
    terms = ClusterTerms(1, 600.0, lambda: ("worker-1",), lambda: tuple(known))
    crew = FarWorkers(terms, 0, said.append)
    crew.asked("worker-1", 0.0)
    assert crew.look(100.0) == []
    assert str(crew.absent(100.0)) == "waiting for the cluster: to be reached; gives way in 500 s"
    known.append("east")
    assert crew.look(101.0) == []
    assert crew.look(101.0 + PATIENCE_SECONDS) == ["worker-1"]
    assert said == ["0 of 1 worker; the cluster has no room for more"]


def test_a_cluster_that_has_room_for_all_says_nothing() -> None:
    crew, said = far()
    for name in ("worker-1", "worker-2", "worker-3"):
        crew.asked(name, 0.0)
        crew.came(name, 1.0)
    for now in range(2, 100):
        assert crew.look(float(now)) == []
    assert said == []


def test_where_no_worker_is_left_rows_wait_and_after_a_time_the_run_gives_way() -> None:
    crew, _ = far()
    assert crew.absent(5.0) is None  # nobody was asked for: there is nothing to do
    crew.asked("worker-1", 5.0)
    crew.came("worker-1", 6.0)
    assert crew.absent(7.0) is None
    crew.lost("worker-1", "lost: the node agent on node-b ended", 100.0)
    absent = crew.absent(130.0)
    assert absent == Absent("lost: the node agent on node-b ended", 570.0)
    held = waited_for([], [absent], None, reading=False)
    assert sentence(30.0, held) == (
        "no row finished for 30 s: waiting for the cluster: lost: the node agent on node-b ended; gives way in 570 s"
    )
    assert crew.outage(699.0, "r1") is None
    error = crew.outage(700.0, "r1")
    assert error is not None
    assert error.exit_code == EXIT_TEMPORARY
    assert "the cluster has had no worker for 600 s" in error.message
    assert "elspeth resume r1" in error.next_step


def test_one_that_comes_back_ends_the_outage_and_workers_here_are_enough() -> None:
    crew, _ = far()
    for name in ("worker-1", "worker-2"):
        crew.asked(name, 0.0)
        crew.came(name, 0.0)
    crew.lost("worker-1", "gone", 1.0)
    assert crew.absent(2.0) is None
    crew.lost("worker-2", "gone", 2.0)
    crew.came("worker-1", 500.0)
    assert crew.outage(700.0, "r1") is None
    mixed, _ = far(here=1)
    mixed.asked("worker-2", 0.0)
    mixed.lost("worker-2", "gone", 1.0)
    assert mixed.outage(1e6, "r1") is None


def test_a_cluster_that_never_has_room_is_an_outage_from_the_beginning() -> None:
    crew, said = far(workers=2, waiting=("worker-1", "worker-2"))
    crew.asked("worker-1", 0.0)
    crew.asked("worker-2", 0.0)
    crew.look(0.5)
    assert crew.look(20.0) == ["worker-1", "worker-2"]
    assert said == ["0 of 2 workers; the cluster has no room for more"]
    error = crew.outage(600.0, "r1")
    assert error is not None
    assert "it has no room for any of 2 workers" in error.message


def test_workers_of_this_machine_are_no_matter_of_the_cluster() -> None:
    crew, _ = far(here=2)
    assert not crew.has("worker-2")
    assert crew.has("worker-3")
    assert not crew.has("stage-5")
    assert not FarWorkers(ClusterTerms(), 2, print).has("worker-3")


# -- the coordinator -------------------------------------------------------------------------------------------------


class Answer:
    """What a proxy answers."""

    def __init__(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass
class Stage:
    """A coordinator without processes, with a clock that stands still unless it is set."""

    here: int = 0
    now: float = 0.0
    started: list[str] = field(default_factory=list)
    restarted: list[tuple[str, bool]] = field(default_factory=list)
    sent: list[tuple[str, m.Message]] = field(default_factory=list)
    refuses: str = ""
    outcome: AttemptOutcome = field(default_factory=AttemptOutcome)

    def __post_init__(self) -> None:
        def spec(name: str) -> ChildSpec:
            return ChildSpec(name, "roles:Role", restart="temporary")

        self.progress = Progress({})
        topology = Topology(
            spec("audit"), spec("audit"), spec("sinks"), spec("source"), {},
            lambda number: spec(f"worker-{number}"), Policy(workers=self.here + 2, far=2), (False,),
            far=ClusterTerms(2, 600.0, facts={"engine": "ray"}), run_id="r1",
        )  # fmt: skip
        self.coordinator = Coordinator(topology, self.progress, self.outcome)
        self.coordinator.begin(self, self)  # type: ignore[arg-type]
        self.coordinator.on_receive(ChildUp("audit", WHO, 1))
        self.says("audit", m.Owned(start_checkpoint({})))

    def begin_work(self) -> None:
        self.says("source", m.Ready())
        split_points = (m.SplitPoint(1, 1, None),)
        self.says("source", m.Chunk(0, 0, 1, "in", split_points, None), b"row")

    def start_child(self, spec: ChildSpec) -> Answer:
        if spec.name == self.refuses:
            return Answer(error=OSError("the cluster is gone"))
        self.started.append(spec.name)
        return Answer()

    def restart_child(self, name: str, counted: bool, _successor: ChildSpec | None) -> Answer:
        self.restarted.append((name, counted))
        return Answer()

    def children(self) -> Answer:
        return Answer(())

    def send(self, name: str, *parts: bytes) -> None:
        self.sent.append((name, m.decode(parts[0])))

    def says(self, name: str, message: m.Message, *bodies: bytes) -> None:
        parts = [memoryview(m.encode(message)), *map(memoryview, bodies)]
        self.coordinator.on_receive(FrameReceived(name, 1, parts))

    def ticks(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(10):
            self.coordinator._tick()

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [message.event for _, message in self.sent if isinstance(message, m.RecordEvent)]
        return [event.detail or {} for event in found if event.event == name]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(under_test.time, "monotonic", lambda: stage.now)
    stage.coordinator._far._none_since = 0.0
    return stage


def lost(name: str, **more: Any) -> ChildDown:
    down = ChildDown(name, WHO, 1, None, "SIGKILL", "place", 7, 1, "", where=NODE, lost="the node agent ended")
    return replace(down, **more)


def test_without_workers_here_those_of_the_cluster_are_asked_for_when_there_are_rows(stage: Stage) -> None:
    assert stage.started == ["audit", "sinks", "source"]
    stage.begin_work()
    assert stage.started == ["audit", "sinks", "source", "worker-1", "worker-2"]
    assert stage.events("cluster") == [{"engine": "ray"}]


def test_a_lost_worker_is_told_with_node_and_why_and_comes_back_later_uncounted(stage: Stage) -> None:
    stage.begin_work()
    stage.coordinator.on_receive(ChildUp("worker-1", WHO, 1, NODE))
    stage.says("worker-1", m.Ready())
    stage.coordinator.on_receive(lost("worker-1"))
    assert stage.restarted == []
    assert stage.events("started")[-1]["node"] == NODE
    assert stage.events("exited") == [
        {"reason": "place", "exit_code": None, "signal": "SIGKILL", "node": NODE, "lost": "the node agent ended",
         "position": 7}
    ]  # fmt: skip
    assert stage.progress.lines[-1] == f"worker-1 (pid 4242 on {NODE}) was lost: the node agent ended"
    assert stage.events("suspect") == []
    stage.ticks(FIRST_DELAY - 0.1)
    assert stage.restarted == []
    stage.ticks(0.2)
    assert stage.restarted == [("worker-1", False)]
    stage.ticks(5.0)
    assert stage.restarted == [("worker-1", False)]


def test_a_worker_that_dies_of_itself_is_started_again_at_once_and_counts(stage: Stage) -> None:
    stage.begin_work()
    stage.says("worker-1", m.Ready())
    stage.coordinator.on_receive(lost("worker-1", reason="exited", position=-1, lost=""))
    assert stage.restarted == [("worker-1", True)]


def test_a_node_that_is_something_else_ends_the_attempt_as_a_mismatch(stage: Stage) -> None:
    stage.begin_work()
    stage.coordinator.on_receive(lost("worker-1", lost="node-b has Python 3.12, here it is 3.11", refused=True))
    stage.says("audit", m.AttemptEnded())
    assert isinstance(stage.outcome.error, ConfigurationMismatch)
    assert stage.outcome.error.exit_code == EXIT_MISMATCH
    assert "node-b has Python 3.12, here it is 3.11" in stage.outcome.error.message
    assert stage.restarted == []


def test_after_the_outage_the_attempt_ends_in_order_and_can_be_resumed(stage: Stage) -> None:
    stage.begin_work()
    stage.coordinator.on_receive(lost("worker-1"))
    stage.coordinator.on_receive(lost("worker-2"))
    stage.ticks(0.0)
    stage.ticks(30.0)
    assert "waiting for the cluster: lost: the node agent ended" in stage.progress.waiting
    assert stage.events("waiting")[-1]["waiting_for"].startswith("waiting for the cluster")
    assert not [word for _, word in stage.sent if isinstance(word, m.EndAttempt)]
    stage.ticks(600.0)
    (word,) = [word for _, word in stage.sent if isinstance(word, m.EndAttempt)]
    assert word.status == "interrupted"
    stage.says("audit", m.AttemptEnded())
    assert isinstance(stage.outcome.error, Temporary)


def test_a_cluster_that_will_not_even_be_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    stage.refuses = "worker-1"
    stage.begin_work()
    assert not stage.outcome.done.is_set()
    stage.refuses = ""
    stage.ticks(FIRST_DELAY)
    assert stage.started[-1] == "worker-1"
    assert stage.restarted == []
