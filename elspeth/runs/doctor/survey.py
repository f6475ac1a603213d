"""Surveys an audit database: which runs are stuck, what would stop a resume of each, and what to type."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.identity import Identity
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import NodeRecord, Run
from elspeth.audit.store.place import Place
from elspeth.runs.doctor.database import check_database, check_writable
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.doctor.kept_stdin import note_kept
from elspeth.runs.doctor.preflight import preflight_run
from elspeth.runs.doctor.report import Report, RunReport
from elspeth.runs.lifecycle import file_sets
from elspeth.runs.lifecycle.driver import Driver, recorded
from elspeth.runs.liveness.judge import HEARTBEAT_TIMEOUT_SECONDS
from elspeth.runs.liveness.run_assessment import RunAssessment, assessments, committed_rows, leftovers, resumable
from elspeth.runs.operate.room import bytes_of

DYING_SECONDS = 2.0
"""The children of a main process that just died end by themselves; this long they are given before they count."""


THOROUGH = 20
"""Of so many runs, the latest, all is looked at that could stop a resume; of older ones, who drives them."""


def survey_database(
    database: Place,
    *,
    environ: Mapping[str, str] = os.environ,
    dotenv: bool | Path = True,
    patience: float = HEARTBEAT_TIMEOUT_SECONDS,
    notify: Callable[[str], None] = lambda line: None,
) -> Report:
    """Look at the database and at every run in it that is not finished. Changes nothing, raises nothing it can report.

    `patience` is how long, in seconds, heartbeats are watched, all at once, where nothing else can tell whether a run
    lives. `notify` is given lines for a person who waits.
    """
    database = database.absolute()
    found = Findings()
    if not check_database(database, found):
        return Report(database, tuple(found), ())
    reports: list[RunReport] = []
    with found.noting("runs"), AuditReader(database) as reader:
        runs = [run for run in reader.runs() if resumable(run)]
        if runs:
            check_writable(database, found)
        with found.noting("standard input"):
            note_kept(reader, database, found)
        shares = _shares(reader, database)
        for place, state in enumerate(stand(database, runs, patience, notify, thorough=True)):
            findings, drivers = Findings(), dict[int, Driver]()
            sets: dict[str, Any] = {}
            with findings.noting("driver"):
                drivers |= recorded(reader, state.run.run_id)
                sets |= file_sets.recorded(reader, state.run.run_id)
            if place >= THOROUGH:
                reports.append(RunReport(state, tuple(findings), drivers))
                continue
            nodes = {node.node_id: node for node in reader.nodes(state.run.run_id)}
            remains = living_leftovers(reader, state)
            share = shares.get(state.run.run_id, 0)
            reports.append(_surveyed(state, findings, nodes, drivers, sets, remains, database, share, environ, dotenv))
    return Report(database, tuple(found), tuple(reports))


def stand(
    database: Place,
    runs: Sequence[Run],
    patience: float,
    notify: Callable[[str], None] = lambda line: None,
    *,
    thorough: bool = False,
) -> list[RunAssessment]:
    """What is true of each of these runs; all heartbeats that need it are watched at the same time.

    A `thorough` look tells a frozen driver from one that lives; whoever only asks whether it is dead does without.
    """

    def watches(run: Run) -> bool:
        # A run that has ended in order needs no watching: only a lock or a process in sight speaks against its end.
        return run.status == "running"

    with AuditReader(database) as reader:
        return assessments(reader, runs, patience=patience, thorough=thorough, watches=watches, notify=notify)


def living_leftovers(reader: AuditReader, state: RunAssessment) -> tuple[Identity, ...]:
    """The child processes of earlier attempts that are still there although their main process is not."""
    if not (state.verdict.dead or state.run.status != "running"):
        return ()
    remains = leftovers(reader, state.run.run_id)
    deadline = time.monotonic() + DYING_SECONDS
    while (living := tuple(one for one in remains if _lives(one))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return living


def _lives(identity: Identity) -> bool:
    return identity.state() in ("alive", "stopped")


def _surveyed(
    state: RunAssessment, findings: Findings, nodes: Mapping[str, NodeRecord], drivers: Mapping[int, Driver],
    sets: file_sets.FileSets,
    remains: Sequence[Identity], database: Place, share: int, environ: Mapping[str, str], dotenv: bool | Path,
) -> RunReport:  # fmt: skip
    report = RunReport(state, tuple(findings), drivers)
    if report.state == "alive":
        return report
    if report.state == "frozen":
        pid = state.attempt.pid
        findings.add(
            "process", "note", "its main process is there and does nothing",
            f"to let it go on: kill -CONT {pid}", f"to end it, and then resume: kill -KILL {pid}",
        )  # fmt: skip
    for one in remains:
        findings.add(
            "processes", "wrong", f"process {one.pid} is left over from an earlier attempt and may hold outputs",
            next_step="elspeth doctor --fix",
        )  # fmt: skip
    preflight_run(
        state, nodes, drivers, findings, sets=sets, database=database, database_bytes=share, environ=environ,
        dotenv=dotenv,
    )  # fmt: skip
    return replace(report, findings=tuple(findings))


def _shares(reader: AuditReader, database: Place) -> dict[str, int]:
    """How many bytes of the database each run has, by the rows behind its checkpoint."""
    rows = {}
    for run in reader.runs():
        rows[run.run_id] = committed_rows(reader.checkpoint(run.run_id)) or 0
    total = sum(rows.values())
    size = bytes_of(database) if total else 0
    return {run_id: size * count // total for run_id, count in rows.items()} if total else {}
