"""A copy of a run that dies at whatever moment left nothing of the run, or all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.test_sweep import OF_COPIES, POINTS, armed, run_words
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import comparable_records, differences, query, run_id


def test_the_points_are_found() -> None:
    assert set(OF_COPIES) <= set(POINTS)


@pytest.mark.parametrize(
    ("point", "passing"), [("audit.in_copy", 1), ("audit.in_copy", 9), *((p, 1) for p in OF_COPIES[1:])]
)
@pytest.mark.parametrize("whole_tree", [True, False], ids=["all", "one"])
def test_a_copy_that_dies_leaves_nothing_or_all_and_can_be_repeated(
    point: str, passing: int, whole_tree: bool, tmp_path: Path, programs: Programs
) -> None:
    folder, mark, target = lay_out(tmp_path / "run", DECIDING), tmp_path / "mark", tmp_path / "run" / "copy.db"
    programs.call(folder, *run_words())
    words = ("copy", run := run_id(folder / "runs/audit.db"), "--to", "copy.db")
    died = programs.start(folder, *words, **armed(point, passing, mark, whole_tree=whole_tree))
    died.ends_with(-9 if whole_tree else 75)
    assert mark.exists(), "the point did not fire"
    held = [query(target, f"SELECT count(*) FROM {table}")[0][0] for table in ("runs", "rows", "commits", "names")]
    assert all(held) if point == "audit.after_copied" else not any(held)
    for _ in range(2):
        programs.call(folder, *words)
        programs.call(folder, "verify", run, "--database", "copy.db")
    origin, copied = (comparable_records(path, run) for path in (folder / "runs/audit.db", target))
    assert differences(origin, copied) == []
    assert query(target, "SELECT count(*) FROM operator_actions WHERE action = 'copy'") == [(1,)]
