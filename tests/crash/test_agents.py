"""Node agents that die at each moment of theirs: same bytes, exact accounting, and nobody is to blame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.crash.test_cluster import on_cluster
from tests.crash.test_sweep import (
    OF_AGENTS,
    POINTS,
    Undisturbed,
    armed,
    assert_as_if_nothing_had_died,
    comparable,
    go_on,
    run_words,
)
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.places.stand_in import environment
from tests.kit.processes.program import Programs, programs
from tests.kit.processes.recorded_run import outputs
from tests.kit.processes.tree import events

MOMENTS = {
    "agent.before_start": 1, "agent.before_up": 1, "agent.after_up": 1, "agent.before_receive": 5,
    "agent.after_receive": 5, "agent.before_send": 5, "agent.after_send": 5, "agent.before_down": 1,
    "agent.after_down": 1,
}  # fmt: skip
"""At which of its passings an agent dies. When it hears and says its fifth piece, its worker has rows in hand."""

TELLING = ("agent.before_up", "agent.after_receive")


def by_cost(telling: tuple[str, ...]) -> list[Any]:
    others = [pytest.param(point, marks=pytest.mark.campaign) for point in MOMENTS if point not in telling]
    return [*telling, *others]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    with programs() as started:
        folder = lay_out(tmp_path_factory.mktemp("undisturbed") / "run", DECIDING)
        started.call(folder, *run_words())
        return {DECIDING: Undisturbed(outputs(folder), comparable(folder / "runs/audit.db"))}


def test_every_moment_of_theirs_is_tried() -> None:
    assert {point for point in POINTS if point.startswith(OF_AGENTS)} == set(MOMENTS)


@pytest.mark.parametrize("point", by_cost(TELLING))
def test_a_run_goes_on_when_a_node_agent_dies_at_a_moment_of_its_own(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    """With the first death a row would be set aside, and with the first restart that counts the run would give up."""
    mark = tmp_path / "mark"
    folder = lay_out(tmp_path / "run", on_cluster(DECIDING) + "supervisor: {max_restarts: 0, poison_attempts: 1}\n")
    arms = armed(point, MOMENTS[point], mark, whole_tree=False)
    programs.start(folder, *run_words(), **arms, **environment()).ends_with(0)
    assert mark.exists(), "the point did not fire"
    assert_as_if_nothing_had_died(folder, DECIDING, undisturbed)
    assert events(folder, "suspect") == []
    lost = [event["reason"] for event in events(folder, "exited")]
    assert lost == ([] if point.endswith("_down") else ["place"])  # when they end in order, nobody notes it any more


@pytest.mark.parametrize("point", by_cost(()))
def test_a_run_that_dies_with_all_its_agents_at_a_moment_of_theirs_is_resumed(
    point: str, tmp_path: Path, programs: Programs, undisturbed: dict[str, Undisturbed]
) -> None:
    mark = tmp_path / "mark"
    folder = lay_out(tmp_path / "run", on_cluster(DECIDING))
    arms = armed(point, MOMENTS[point], mark, whole_tree=True)
    programs.start(folder, *run_words(), **arms, **environment()).ends_with(-9)
    assert mark.exists(), "the point did not fire"
    go_on(programs, folder, **environment(seed=1)).ends_with(0)
    assert_as_if_nothing_had_died(folder, DECIDING, undisturbed)
