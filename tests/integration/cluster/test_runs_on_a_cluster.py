"""Runs with workers on a cluster: the same bytes and records as at home, and one sentence where that fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elspeth.runs.doctor.cluster import check_cluster
from elspeth.runs.doctor.findings import Findings
from elspeth.settings.cluster import Cluster
from tests.kit.pipelines.crash_pipelines import BATCHING, PAYING, lay_out
from tests.kit.places.stand_in import environment
from tests.kit.processes.program import Programs, programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id
from tests.kit.processes.running import elspeth

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
HOME = "concurrency: {max_workers: 2}\n"
PIPELINES = {"paying": PAYING, "batching": BATCHING}

Told = tuple[dict[str, str], dict[str, list[tuple[object, ...]]]]


def on_cluster(settings: str, here: int = 0, more: str = "workers: 3") -> str:
    assert HOME in settings
    return settings.replace(HOME, f"concurrency: {{max_workers: {here}}}\ncluster: {{{more}}}\n")


def told(folder: Path) -> Told:
    database = folder / "runs/audit.db"
    return outputs(folder), comparable_records(database, run_id(database))


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    found = {}
    with programs() as started:
        for name, settings in PIPELINES.items():
            folder = lay_out(tmp_path_factory.mktemp("home") / name, settings)
            started.call(folder, *RUN)
            found[name] = told(folder)
    return found


def places(folder: Path) -> dict[str, str]:
    """Where each worker began, as it is on record."""
    found = query(
        folder / "runs/audit.db",
        "SELECT child, json_extract(detail, '$.node') FROM supervision_events"
        " WHERE event = 'started' AND child LIKE 'worker-%'",
    )
    return {child: node or "" for child, node in found}


@pytest.mark.parametrize(
    ("name", "here", "seed"), [("paying", 0, None), ("paying", 1, 7), ("batching", 0, 3), ("batching", 2, None)]
)
def test_outputs_and_records_are_those_of_a_run_at_home(
    name: str, here: int, seed: int | None, tmp_path: Path, programs: Programs, at_home: dict[str, Told]
) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PIPELINES[name], here))
    programs.start(folder, *RUN, **environment(seed=seed)).ends_with(0)
    found, records = told(folder)
    assert found == at_home[name][0]
    assert differences(records, at_home[name][1]) == []
    where = places(folder)
    assert where
    assert all(bool(node) == (int(worker[7:]) > here) for worker, node in where.items())
    [(asked,)] = query(
        folder / "runs/audit.db",
        "SELECT json_extract(detail, '$.asked') FROM supervision_events WHERE event = 'cluster'",
    )
    assert asked == "up to 3 on the cluster of this machine (Ray), each of which needs 1 processor"


def test_a_cluster_with_room_for_two_of_six_decides_all(
    tmp_path: Path, programs: Programs, at_home: dict[str, Told]
) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PAYING, 0, "workers: 6"))
    programs.start(folder, *RUN, **environment(room=1)).ends_with(0)
    assert told(folder)[0] == at_home["paying"][0]
    assert len(places(folder)) == 2


def test_a_cluster_that_cannot_be_reached_ends_the_run_with_75_and_one_sentence(
    tmp_path: Path, programs: Programs, at_home: dict[str, Told]
) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PAYING))
    said = " ".join(programs.start(folder, *RUN, **environment(nobody=True)).ends_with(75).said.split())
    assert "the cluster cannot be reached: a node agent cannot be begun: ConnectionError: nothing answers" in said
    assert "Traceback" not in said
    programs.start(folder, "resume", "latest", **environment()).ends_with(0)
    assert told(folder)[0] == at_home["paying"][0]


def test_a_node_with_something_else_on_it_ends_the_run_with_6_and_what_differs(
    tmp_path: Path, programs: Programs
) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PAYING))
    refuses = "has Python 3.12 where this machine has 3.11"
    said = " ".join(programs.start(folder, *RUN, **environment(refuses=refuses)).ends_with(6).said.split())
    assert "Configuration mismatch" in said
    assert refuses in said


def test_where_no_worker_comes_the_run_gives_way_and_goes_on_without_the_cluster(
    tmp_path: Path, programs: Programs, at_home: dict[str, Told]
) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PAYING, 0, "workers: 3, outage_seconds: 1.5"))
    said = " ".join(programs.start(folder, *RUN, **environment(room=0)).ends_with(75).said.split())
    assert "the cluster has had no worker for 2 s" in said
    assert "--set cluster=null --set concurrency.max_workers=4" in said
    status = json.loads(elspeth("status", "latest", "--json", cwd=folder).stdout)
    assert status["status"] == "interrupted"
    words = ("resume", "latest", "--set", "cluster=null", "--set", "concurrency.max_workers=2")
    programs.start(folder, *words).ends_with(0)
    assert told(folder)[0] == at_home["paying"][0]


def test_a_run_that_began_at_home_goes_on_with_a_cluster(
    tmp_path: Path, programs: Programs, at_home: dict[str, Told]
) -> None:
    folder = lay_out(tmp_path / "run", PAYING)
    arms = {"CRASH_POINT": f"main.after_durable:3:{tmp_path / 'mark'}", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **arms).ends_with(-9)
    words = ("resume", "latest", "--set", "cluster.workers=2", "--set", "concurrency.max_workers=0")
    programs.start(folder, *words, **environment()).ends_with(0)
    found, records = told(folder)
    assert found == at_home["paying"][0]
    assert differences(records, at_home["paying"][1]) == []
    assert set(places(folder).values()) >= {"east (127.0.0.1)"}


def findings(folder: Path, **variables: str) -> list[tuple[str, str]]:
    told = json.loads(elspeth("doctor", "--json", cwd=folder, **variables).stdout)
    found = [finding for run in told["runs"] for finding in run["findings"]]
    return [(finding["level"], finding["message"]) for finding in found if finding["check"] == "cluster"]


def test_the_doctor_says_whether_the_cluster_can_be_reached_and_has_room(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", on_cluster(PAYING))
    arms = {"CRASH_POINT": f"main.after_durable:2:{tmp_path / 'mark'}", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **arms, **environment()).ends_with(-9)
    [(level, message)] = findings(folder, **environment())
    assert level == "ok"
    assert message.startswith("the cluster has room for a worker, on east (127.0.0.1); asked for are up to 3")
    [(level, message)] = findings(folder, **environment(nobody=True))
    assert level == "wrong"
    assert message.startswith("the cluster cannot be reached: a node agent cannot be begun: ConnectionError")


def test_the_doctor_waits_for_a_cluster_without_room_no_longer_than_it_says() -> None:
    found = Findings()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(room=0).items():
            patch.setenv(name, value)
        check_cluster(Cluster(workers=3), found, patience=4.0)
    (finding,) = found
    assert finding.message == "the cluster was reached, and has found no room for a worker within 4 s"
