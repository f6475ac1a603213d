"""Random pipelines through the real tree of processes, killed in the middle and resumed: as if nothing had happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from tests.kit.oracle.checker import check
from tests.kit.pipelines.generator import pipeline, place
from tests.kit.pipelines.interpreter import Interpreter, comparable
from tests.kit.places.stand_in import environment
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import VARIABLE
from tests.kit.processes import program

KILLS_A_CHILD = (
    "worker.after_row", "worker.before_send", "worker.after_send", "worker.after_micro_batch",
    "stage.before_micro_batch", "stage.before_send", "sink.before_write", "sink.after_write", "sink.after_flush",
    "audit.in_transaction", "audit.after_commit", "audit.before_durable", "source.before_send", "source.after_end",
)  # fmt: skip
KILLS_THE_RUN = ("main.after_durable", "main.before_durable")
RUNS = 8
ON_A_SERVER = ON_A_CLUSTER = 2
"""Of them, those that are tried with a server as well, and on a cluster; a campaign tries all."""
ROWS = 160


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    with program.programs() as started:
        yield started


def that_waits(folder: Path, start: int) -> tuple[Path, dict, dict]:
    """The first valid pipeline from this seed on in which rows wait for others."""
    for seed in range(start, start + 10_000, 100):
        document, inputs = pipeline(seed, rows=ROWS)
        settings = place(document, inputs, folder)
        try:
            graph = load_pipeline(settings).graph
        except SettingsProblems:
            continue
        if any(graph.stateful) and sum(map(len, inputs.values())) > ROWS // 2:
            more = {
                "checkpoint": {"frequency": "every_n", "checkpoint_interval": 15},
                "concurrency": {"max_workers": 2},
                "supervisor": {"max_restarts": 10},
            }
            settings.write_text(settings.read_text() + json.dumps(more)[1:-1].replace('}, "', '}\n"') + "\n")
            return settings, document, inputs
    raise AssertionError("no pipeline")


@pytest.mark.parametrize("number", range(RUNS))
def test_killed_and_resumed_it_ends_as_the_settings_say(
    number: int, tmp_path: Path, programs: program.Programs
) -> None:
    killed_and_resumed(number, tmp_path, programs, {})


@pytest.mark.parametrize(
    "number",
    [*range(ON_A_SERVER), *(pytest.param(number, marks=pytest.mark.campaign) for number in range(ON_A_SERVER, 24))],
)
def test_so_it_does_with_its_database_on_a_server(
    number: int, tmp_path: Path, programs: program.Programs, postgres: Database
) -> None:
    killed_and_resumed(number, tmp_path, programs, {VARIABLE: postgres.url})


@pytest.mark.parametrize(
    "number",
    [*range(ON_A_CLUSTER), *(pytest.param(number, marks=pytest.mark.campaign) for number in range(ON_A_CLUSTER, 24))],
)
def test_so_it_does_with_all_its_workers_on_a_cluster(number: int, tmp_path: Path, programs: program.Programs) -> None:
    workers = {"ELSPETH_CONCURRENCY__MAX_WORKERS": "0", "ELSPETH_CLUSTER__WORKERS": "2"}
    killed_and_resumed(number, tmp_path, programs, workers | environment(seed=number))


def killed_and_resumed(number: int, tmp_path: Path, programs: program.Programs, environ: dict[str, str]) -> None:
    """`environ` may name the database, which is the file below the folder else."""
    rng = Random(number)
    folder = tmp_path / "run"
    folder.mkdir()
    settings, document, inputs = that_waits(folder, number)
    words = ["run", "--settings", str(settings), "--execute", "--allow-all-failed"]
    deaths: list[str] = []
    for point in [rng.choice(KILLS_THE_RUN), rng.choice(KILLS_THE_RUN), rng.choice(KILLS_A_CHILD)]:
        split_point = folder / f"mark{len(deaths)}"
        running = programs.start(folder, *words, CRASH_POINT=f"{point}:{rng.randint(1, 4)}:{split_point}", **environ)
        code = running.wait()
        deaths.append(f"{point} {'fired' if split_point.exists() else 'was not reached'}, exit {code}")
        if code == 0:
            break
        assert code == -9, f"{deaths}\n{running.said}"
        named = [] if VARIABLE in environ else ["--database", str(folder / "runs" / "audit.db")]
        words = ["resume", "latest", *named, "--allow-all-failed"]
    assert code == 0, deaths
    database = folder / "runs" / "audit.db"
    if VARIABLE in environ:
        copied = programs.start(folder, "copy", "latest", "--to", str(database), **environ)
        assert copied.wait() == 0, copied.said
    db = sqlite3.connect(database)
    run_id = db.execute("SELECT run_id FROM runs").fetchone()[0]
    expected = Interpreter(document).run(run_id, inputs)
    for sink, rows in expected.rows.items():
        path = folder / "output" / f"{sink}.jsonl"
        ours = [json.loads(line) for line in path.read_text().splitlines()]
        ours = [comparable(row) for row in ours]
        assert list(map(json.dumps, ours)) == list(map(json.dumps, rows)), (sink, deaths, settings.read_text())
    ends = {
        token: (outcome, sink)
        for token, outcome, sink in db.execute(
            "SELECT token_id, outcome, sink_name FROM token_outcomes WHERE is_terminal = 1"
        )
    }
    assert ends == expected.ends, deaths
    batches = {batch: (trigger, status) for batch, trigger, status in db.execute(
        "SELECT batch_id, trigger_type, status FROM batches")}  # fmt: skip
    assert batches == expected.batches
    db.close()
    assert check(settings, database, run_id, working_directory=folder, recompute=False) == []
