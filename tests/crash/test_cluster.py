"""What is lost of a cluster under a run is given to others: same bytes, exact accounting, and no row is to blame."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.crash.test_sweep import (
    BATCHING,
    OF_RUNS,
    ONLY_AFTER_TWO_DEATHS,
    ONLY_IN_A_RESUME,
    Undisturbed,
    armed,
    assert_as_if_nothing_had_died,
    comparable,
    go_on,
    passings,
    run_words,
    settings_for,
)
from tests.kit.pipelines.crash_pipelines import DECIDING, PAYING, lay_out
from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.places.stand_in import environment
from tests.kit.processes import recorded_run
from tests.kit.processes.program import Programs, programs
from tests.kit.processes.tree import Tree, children_of, descendants_of, events, outputs, query, run_of, title_of
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

HOME = "concurrency: {max_workers: 2}\n"
ROWS = 120
OF_COMMITS = ("audit.", "main.before_durable", "main.after_durable", "sink.")
TELLING = ("worker.after_row", "payloads.before_named", "main.after_durable", "worker.after_micro_batch")


def on_cluster(text: str) -> str:
    """The same pipeline, with all its workers on a cluster."""
    assert HOME in text
    return text.replace(HOME, "concurrency: {max_workers: 0}\ncluster: {workers: 2}\n")


# -- storms ----------------------------------------------------------------------------------------------------------


def storm_settings(here: int, **supervisor: object) -> dict[str, Any]:
    value = settings(ordered=True, delay=0.2, workers=here, **supervisor)
    value["cluster"] = {"workers": 3, "unreachable_seconds": 2.0, "outage_seconds": 120.0}
    return value


@pytest.fixture
def calm(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS, ordered=True)


def agents(tree: Tree) -> list[int]:
    """Node agents: of the processes that the main process began, those that are none of the run's own."""
    return [pid for pid in children_of(tree.pid) if "actors.node_agent" in title_of(pid).replace("\0", " ")]


def busy(tree: Tree) -> list[int]:
    """Node agents whose worker is there: blows that only hit what has yet to begin would tell little."""
    return [agent for agent in agents(tree) if any("worker-" in title_of(pid) for pid in descendants_of(agent))]


def workers(tree: Tree) -> list[int]:
    return [pid for name, pid in tree.children().items() if name.startswith("worker-")]


def blows(tree: Tree, chance: random.Random, victims: str, enough: int) -> Iterator[int]:
    """Strike until it is enough or the run is over; yields after each blow."""
    struck = 0
    while tree.running and struck < enough:
        found = busy(tree) if chance.random() < 0.8 else agents(tree)
        if victims == "both":
            found += workers(tree)
        if found:
            pid = chance.choice(found)
            stop = victims == "agents" and chance.random() < 0.15  # a node that is cut off says nothing any more
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if stop else signal.SIGKILL)
                struck += 1
                yield pid
        pause = time.monotonic() + chance.uniform(0.2, 0.8)
        while tree.running and time.monotonic() < pause:
            time.sleep(0.01)


def assert_as_calm(folder: Path, calm: dict[str, str]) -> None:
    assert outputs(folder) == calm
    assert violations(folder, recompute=False) == []
    assert events(folder, "quarantined") == []
    assert run_of(folder)[1] == "completed"


@pytest.mark.parametrize(("here", "enough"), [(0, 8), (1, 4), pytest.param(0, 300, marks=pytest.mark.campaign)])
def test_nodes_that_die_and_fall_silent_cost_nothing_but_time(
    here: int, enough: int, tmp_path: Path, calm: dict[str, str]
) -> None:
    """With the first death a row would be set aside, and with the first restart that counts the run would give up."""
    folder = lay(tmp_path / "run", ROWS, storm_settings(here, max_restarts=0, poison_attempts=1))
    chance, struck = random.Random(11 + here), []
    with Tree.run(folder, environ=environment()) as tree:
        for pid in blows(tree, chance, "agents", enough):
            struck.append(pid)
        code = tree.wait(3 * PATIENCE_SECONDS)
        log = tree.log
        assert code == 0, log
        assert not tree.survivors()
    assert struck
    assert_as_calm(folder, calm)
    assert events(folder, "suspect") == []
    lost = [event for event in events(folder, "exited") if event["reason"] == "place"]
    assert lost
    assert all(event["lost"] and event["node"] for event in lost)
    assert not [event for event in events(folder, "exited") if event["reason"] != "place"]


def test_the_row_that_a_node_had_in_hand_when_it_died_is_not_to_blame(tmp_path: Path) -> None:
    value = storm_settings(0, max_restarts=0, poison_attempts=1)
    value["transforms"][0]["options"]["delay"] = 2.5
    value["cluster"]["workers"] = 1
    folder = lay(tmp_path / "run", 3, value)
    with Tree.run(folder, environ=environment()) as tree:
        (agent,) = wait_until(lambda: busy(tree))
        begun = time.monotonic()  # some beats later a row is in hand, and that is known here; else it is to blame less
        wait_until(lambda: time.monotonic() - begun > 3.0)
        os.kill(agent, signal.SIGKILL)
        assert tree.wait() == 0, tree.log
    assert events(folder, "suspect") == events(folder, "quarantined") == []
    assert [event["reason"] for event in events(folder, "exited")] == ["place"]
    assert len((folder / "output/low.csv").read_text().splitlines()) == 3  # rows 1 and 2, and the header


@pytest.mark.parametrize("enough", [6, pytest.param(150, marks=pytest.mark.campaign)])
def test_whatever_dies_of_a_cluster_and_of_the_run_it_ends_as_if_nothing_had(
    enough: int, tmp_path: Path, calm: dict[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, storm_settings(1, max_restarts=100_000, poison_attempts=1000))
    chance, struck = random.Random(5), 0
    tree = Tree.run(folder, environ=environment())
    while True:
        with tree:
            for _ in blows(tree, chance, "both", chance.randint(2, 6)):
                struck += 1
            if struck < enough and tree.running and query(folder, "SELECT count(*) FROM checkpoints"):
                tree.strike("main")
                tree.wait()
            code = tree.wait(3 * PATIENCE_SECONDS)
        if code == 0:
            break
        assert code == -signal.SIGKILL, tree.log
        tree = Tree.resume(folder, environ=environment())
    assert_as_calm(folder, calm)


# -- the sweep -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """By the settings at home: what a run leaves behind there."""
    found = {}
    with programs() as started:
        for name, text in {"deciding": DECIDING, "batching": BATCHING, "paying": PAYING}.items():
            folder = lay_out(tmp_path_factory.mktemp("undisturbed") / name, text)
            started.call(folder, *run_words())
            found[text] = Undisturbed(recorded_run.outputs(folder), comparable(folder / "runs/audit.db"))
    return found


def rest() -> list[str]:
    return [
        point
        for point in OF_RUNS
        if point not in (*TELLING, *ONLY_IN_A_RESUME, *ONLY_AFTER_TWO_DEATHS)
        and settings_for(point) in (DECIDING, BATCHING, PAYING)
    ]


def passing(point: str) -> int:
    """Where in the midst: what comes back from afar comes in a few large pieces, and so in few commits."""
    last = passings(point)[-1]
    return min(2, last) if point.startswith(OF_COMMITS) else last


@pytest.mark.parametrize("point", [*TELLING, *(pytest.param(point, marks=pytest.mark.campaign) for point in rest())])
def test_a_run_on_a_cluster_whose_every_process_dies_is_resumed_there(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    text, mark = settings_for(point), tmp_path / "mark"
    folder = lay_out(tmp_path / "run", on_cluster(text))
    arms = armed(point, passing(point), mark, whole_tree=True)
    programs.start(folder, *run_words(), **arms, **environment()).ends_with(-9)
    assert mark.exists(), "the point did not fire"
    go_on(programs, folder, **environment(seed=1)).ends_with(0)
    assert_as_if_nothing_had_died(folder, text, undisturbed)


@pytest.mark.parametrize("point", ["worker.before_send", "worker.after_micro_batch"])
def test_a_run_on_a_cluster_goes_on_when_a_worker_there_dies(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    text, mark = settings_for(point), tmp_path / "mark"
    folder = lay_out(tmp_path / "run", on_cluster(text))
    arms = armed(point, passing(point), mark, whole_tree=False)
    programs.start(folder, *run_words(), **arms, **environment(seed=2)).ends_with(0)
    assert mark.exists(), "the point did not fire"
    assert_as_if_nothing_had_died(folder, text, undisturbed)
