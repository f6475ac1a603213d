"""A Ray cluster that is begun with a main process ends with it, however that ends, and nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors import Identity
from actors.guarded_folder import NAMES
from tests.docs.repository import ROOT
from tests.kit.places.far_family import is_gone
from tests.kit.processes.tree import descendants_of, title_of
from tests.kit.processes.waiting import wait_until

HELPERS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Left to themselves, these of a killed cluster go on for a minute: they are on the list of who is killed then."""


def left() -> set[Path]:
    """What Ray makes where all programs of a machine do."""
    shared = [path for path in Path("/dev/shm").iterdir() if "ray" in path.name or "plasma" in path.name]
    return {*Path("/tmp").glob("actors-*"), *shared, *(Path("/tmp/ray"), Path.home() / ".ray")}


@pytest.mark.parametrize("killed", [False, True])
def test_a_cluster_of_its_own_leaves_nothing(tmp_path: Path, killed: bool) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    before = {path for path in left() if path.exists()}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kit.places.ray_head", "local"], cwd=ROOT,
        env={**environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline()
        family = [Identity.of(pid) for pid in descendants_of(process.pid)]
        assert len(family) > 5
        listed = {
            int(line.split()[0])
            for folder in left() - before
            if (folder / NAMES).exists()
            for line in (folder / NAMES).read_text().splitlines()
        }
        helpers = {each.pid for each in family if title_of(each.pid).startswith(HELPERS)}
        assert len(helpers) == len(HELPERS)
        assert helpers <= listed
        if killed:
            process.kill()
        else:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait() == 0
    wait_until(lambda: all(map(is_gone, family)), "the ends of all of Ray's processes")
    wait_until(lambda: {path for path in left() if path.exists()} <= before, "the ends of its files")
    wait_until(lambda: not list(tmp_path.iterdir()), "the end of its temporary files")
