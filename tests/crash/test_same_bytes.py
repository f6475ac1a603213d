"""The output does not depend on how many worked on it, how fast, or how often it was committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.program import Programs, programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id

ROWS = 600
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
FREQUENCIES = [
    "{frequency: every_row}",
    "{frequency: every_n, checkpoint_interval: 50}",
    "{frequency: every_n, checkpoint_interval: 7}",
    "{frequency: aggregation_only}",
    "{enabled: false}",
]

Told = tuple[dict[str, str], dict[str, list[tuple[object, ...]]]]


def settings(workers: int, frequency: str, diary: str = "") -> str:
    delay = f"  - {{plugin: delay, options: {{seconds: 0.005, random: true, diary: {diary}}}}}\n"
    return (
        DECIDING.replace("transforms:\n", f"plugins: [delay.py]\ntransforms:\n{delay if diary else ''}")
        .replace("max_workers: 2", f"max_workers: {workers}")
        .replace("{frequency: every_n, checkpoint_interval: 50}", frequency)
    )


def told(folder: Path, text: str, programs: Programs) -> Told:
    """Run the pipeline in a new folder: what is in its outputs, and on record."""
    lay_out(folder, text, ROWS)
    (folder / "diary").mkdir()
    programs.call(folder, *RUN)
    database = folder / "runs/audit.db"
    run = run_id(database)
    transforms = {"delay": lambda options, row: row}
    assert check(folder / "pipeline.yaml", database, run, working_directory=folder, transforms=transforms) == []
    return outputs(folder), comparable_records(database, run)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Told:
    with programs() as started:
        return told(tmp_path_factory.mktemp("plain") / "run", settings(1, FREQUENCIES[1]), started)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Told:
    with programs() as started:
        return told(tmp_path_factory.mktemp("slow") / "run", settings(1, FREQUENCIES[1], "diary"), started)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_that_take_random_times_leave_the_same_bytes(
    workers: int, tmp_path: Path, programs: Programs, plain: Told, slow: Told
) -> None:
    folder = tmp_path / "run"
    found, records = told(folder, settings(workers, FREQUENCIES[1], "diary"), programs)
    assert found == plain[0]
    told_of = {table: kept for table, kept in slow[1].items() if table != "nodes"}
    assert differences(records, told_of) == []
    diaries = {int(path.name): len(path.read_text().splitlines()) for path in (folder / "diary").iterdir()}
    assert sum(diaries.values()) == good_rows(folder)
    assert len(diaries) == workers, "not every worker had a chunk"
    assert set(diaries) == {
        pid
        for (pid,) in query(
            folder / "runs/audit.db",
            "SELECT pid FROM supervision_events WHERE event = 'started' AND child LIKE 'worker-%'",
        )
    }


def good_rows(folder: Path) -> int:
    text = "SELECT (SELECT count(*) FROM rows) - (SELECT count(*) FROM validation_errors)"
    return int(query(folder / "runs/audit.db", text)[0][0])


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_every_checkpoint_frequency_leaves_the_same_bytes(
    frequency: str, tmp_path: Path, programs: Programs, plain: Told
) -> None:
    found, records = told(tmp_path / "run", settings(2, frequency), programs)
    assert found == plain[0]
    assert differences(records, plain[1]) == []
