"""The same pipeline twice in one folder: with workers here, and with all of them elsewhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.processes.program import ROOT
from tests.kit.processes.recorded_run import comparable_records, query, run_id
from tests.kit.processes.running import ELSPETH, environment
from tests.kit.processes.waiting import PATIENCE_SECONDS


def run(folder: Path, *words: str, elsewhere: bool, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; its pipeline, if no words are given."""
    command = [sys.executable, "-m", "tests.kit.elsewhere"] if elsewhere else [str(ELSPETH)]
    return subprocess.run(
        [*command, *(words or ("run", "pipeline.yaml", "--execute"))],
        cwd=folder,
        env=environment(**variables, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


@dataclass(frozen=True)
class Left:
    """What a run left: outputs, byte for byte, records, the names of payloads, and what was asked and answered."""

    outputs: dict[str, bytes]
    records: dict[str, list[tuple[Any, ...]]]
    payloads: list[str]
    calls: list[tuple[Any, ...]]
    said: str


def left_by(folder: Path, *, elsewhere: bool, code: int = 0, **variables: str) -> Left:
    """Run the pipeline of this folder, hold what it left against its own evidence, and put that out of the way."""
    done = run(folder, elsewhere=elsewhere, **variables)
    assert done.returncode == code, done.stderr
    database = folder / "runs" / "audit.db"
    run_of = run_id(database)
    verified = run(folder, "verify", run_of, elsewhere=False, **variables)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    away = folder.with_name(f"{folder.name}-{'elsewhere' if elsewhere else 'here'}")
    away.mkdir()
    for name in ("output", "runs", "state"):
        if (folder / name).exists():
            (folder / name).rename(away / name)
    return Left(
        {path.name: path.read_bytes() for path in sorted((away / "output").iterdir())},
        comparable_records(away / "runs" / "audit.db", run_of),
        sorted(str(path.relative_to(away)) for path in (away / "state" / "payloads").rglob("*") if path.is_file()),
        [
            (call.replace(run_of, "RUN"), *rest)
            for call, *rest in query(
                away / "runs" / "audit.db",
                "SELECT call_id, call_type, status, request_hash, json_extract(response_data, '$.text') FROM calls"
                " ORDER BY call_id",
            )
        ],
        done.stderr,
    )


def workers_of(folder: Path) -> set[str]:
    """Where workers ran, as the supervision events have it."""
    found = query(folder / "runs" / "audit.db", "SELECT DISTINCT child FROM supervision_events WHERE event = 'started'")
    return {child for (child,) in found}
