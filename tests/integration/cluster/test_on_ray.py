"""A run whose workers Ray places, on this machine: the same bytes and records as at home."""

from __future__ import annotations

from pathlib import Path

from tests.kit.pipelines.crash_pipelines import PAYING, lay_out
from tests.kit.places.ray_cluster import require_ray
from tests.kit.processes.program import ROOT, Programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id
from tests.kit.processes.waiting import wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
HOME = "concurrency: {max_workers: 2}\n"


def test_a_run_on_ray_leaves_what_one_at_home_does(tmp_path: Path, programs: Programs) -> None:
    require_ray()
    home = lay_out(tmp_path / "home", PAYING)
    programs.call(home, *RUN)
    cluster = "cluster: {address: local, workers: 2, resources: {cpu: 0.5}}\n"
    folder = lay_out(tmp_path / "run", PAYING.replace(HOME, f"concurrency: {{max_workers: 0}}\n{cluster}"))
    program = programs.start(folder, *RUN, PYTHONPATH=str(ROOT)).ends_with(0)
    assert outputs(folder) == outputs(home)
    one, other = (comparable_records(each / "runs/audit.db", run_id(each / "runs/audit.db")) for each in (folder, home))
    assert differences(one, other) == []
    where = query(
        folder / "runs/audit.db",
        "SELECT json_extract(detail, '$.node') FROM supervision_events"
        " WHERE event = 'started' AND child LIKE 'worker-%'",
    )
    assert where
    assert all(node for (node,) in where)
    wait_until(program.is_alone, "the processes of Ray end, too")
