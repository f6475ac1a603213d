"""The kernel takes processes for want of memory: whose doing was it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_poison import told, written
from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.memory_group import MemoryGroup, memory_group
from tests.kit.processes.tree import Tree, events

ROWS = 200
AMPLE = 400 << 20


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    with memory_group(AMPLE) as made:
        if made is None:
            pytest.skip("no memory control group can be made here (it takes root and a writable hierarchy)")
        yield made


def test_a_row_that_takes_all_the_memory_is_set_aside(tmp_path: Path, group: MemoryGroup) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(max_restarts=1), {57: "hungry"})
    end = None
    while end in (None, -9):  # while the one that it took is not gone yet, the kernel may take the main process, too
        with Tree.run(folder, "--auto-resume", before=group.enter) as tree:
            end = tree.wait()
    assert end == 0, tree.log
    assert group.kills() >= 4
    assert violations(folder, poisoned=(57,)) == []
    assert written(folder, "bad") == [57]
    ((_, _, _, error),) = told(folder)
    assert "out of memory: the kernel killed it (the memory limit of its control group is 400 MiB)" in error["reason"]


@pytest.mark.parametrize("megabytes", [60, 80, 90])
def test_too_little_memory_for_any_row_blames_none_now_or_later(
    tmp_path: Path, group: MemoryGroup, megabytes: int
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(poison_attempts=1))
    group.limit(megabytes << 20)
    codes = []
    while len(codes) < 5 and codes[-1:] != [0]:  # as a restart policy would
        with Tree.run(folder, "--auto-resume", before=group.enter) as tree:
            codes.append(tree.wait())
            if codes[-1] == 75:
                assert "out of memory: the memory limit of its control group is" in tree.log
                assert f"{megabytes} MiB" in tree.log
    assert group.kills() > 0
    assert set(codes) <= {0, 75, -9}, codes  # -9: the kernel took the main process
    with Tree.run(folder, "--auto-resume") as tree:
        assert tree.wait() == 0, tree.log
    assert events(folder, "quarantined") == []
    assert violations(folder) == []
