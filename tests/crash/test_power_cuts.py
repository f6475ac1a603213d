"""Wherever the power is cut, what is left holds, and is carried on as if nothing had happened.

A seeded sample of `ops/power`: of each scenario 28 cuts, 3 of which are carried on by the command to the end and
checked in full; the others are opened, and database, outputs, payloads, cut tails and journal held against one another
and against what was durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.power.campaign import sample
from tests.kit.power.cuts import Recording, recorded
from tests.kit.power.recording import Call, NotRecordable, require_strace
from tests.kit.power.scenarios import SCENARIOS

SEED, CUTS, RESUMED = 14, 28, 3
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def strace_is_missing() -> str | None:
    """Why nothing can be recorded here, None if it can."""
    try:
        require_strace()
    except NotRecordable as error:
        return str(error)
    return None


MISSING = strace_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Recording]:
    def carry_out(name: str, keep: Callable[[Call], bool] = lambda call: True) -> Recording:
        return recorded(BY_NAME[name], tmp_path / "run", keep)

    return carry_out


@pytest.mark.parametrize("name", BY_NAME)
def test_what_a_power_cut_leaves_holds_and_is_carried_on(name: str, record: Callable[..., Recording]) -> None:
    recording = record(name)
    wrong = {str(cut): found for cut in sample(recording, CUTS, RESUMED, SEED) if (found := recording.look(cut))}
    assert wrong == {}


def test_a_folder_of_payloads_is_synced_once_for_a_commit(record: Callable[..., Recording]) -> None:
    syncs: Counter[Path] = Counter()
    most = []

    def count(call: Call) -> bool:
        if call.name == "sync" and call.path.name.startswith("audit.db"):
            most.append(max(syncs.values(), default=0))
            syncs.clear()
        syncs[call.path] += call.name == "sync" and call.path.parent.name == "payloads"
        return True

    record("payloads", count)
    assert max(most) == 1


FORGOTTEN = {
    "an output's content": ("write", lambda path: path.parent.name == "output"),
    "the names in the folder of outputs": ("write", lambda path: path.name == "output"),
    "a payload's content": ("payloads", lambda path: "payloads" in path.parts and path.suffix == ".partial"),
    "the names of payloads": ("payloads", lambda path: path.parent.name == "payloads"),
    "what is kept of standard input": ("standard input", lambda path: path.parent.name == "stdin"),
    "a member of a packed output": ("many packed files", lambda path: path.name == "low.csv.gz"),
    "the database": ("json array", lambda path: path.name.startswith("audit.db")),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_sync_that_is_forgotten_is_noticed(what: str, record: Callable[..., Recording]) -> None:
    name, forgotten = FORGOTTEN[what]
    recording = record(name, lambda call: call.name != "sync" or not forgotten(call.path))
    cuts = sample(recording, 200, 0, SEED)
    assert any(recording.look(cut) for cut in cuts)
