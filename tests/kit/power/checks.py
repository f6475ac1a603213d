"""What must hold in whatever a power cut left: of what is on disk as it is, and after the run was resumed in full."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from elspeth.audit.store.database import open_reader
from elspeth.errors import ElspethError
from tests.kit.compressed import PACK, plain_bytes
from tests.kit.oracle.checker import check
from tests.kit.power.scenarios import RUN, Scenario
from tests.kit.processes.program import COMMAND, ROOT, standard_input

DATABASE = Path("runs/audit.db")
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What a database says of a run."""

    commits: int
    status: str
    purged: bool
    settings: str


def runs(folder: Path) -> dict[str, OnRecord]:
    """The runs on record, as a reader of ours sees them; none where the database has no tables yet.

    Raises what the reader raises: a refusal.
    """
    path = folder / DATABASE
    if not path.exists() or not path.stat().st_size:
        return {}
    with closing(open_reader(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            return {}
        found = connection.execute(
            "SELECT run_id, (SELECT max(commit_no) FROM commits c WHERE c.run_id = runs.run_id), status, EXISTS"
            " (SELECT 1 FROM operator_actions a WHERE a.run_id = runs.run_id AND action IN ('purge', 'remove')),"
            " settings_json FROM runs"
        )
        return {run: OnRecord(commits, status, bool(purged), text) for run, commits, status, purged, text in found}


def as_it_is(folder: Path, scenario: Scenario, promised: dict[str, OnRecord]) -> list[str]:
    """What is wrong with the files as the power cut left them; `promised` is what was durable before it."""
    try:
        found = runs(folder)
    except ElspethError as error:
        return [f"refused: {error.message}"]
    wrong = list(_not_behind(found, promised))
    path = folder / DATABASE
    if not found:
        return wrong
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        (whole,) = connection.execute("PRAGMA quick_check").fetchone()
        wrong += [] if whole == "ok" else [f"damaged: {whole}"]
        wrong += _cut_copies(connection, folder)
        wrong += _payloads(connection, folder)
        wrong += _kept_input(connection, folder)
    for run, record in found.items():
        if not record.purged and not scenario.old:
            finished = record.status == "completed"
            wrong += check(
                folder / "pipeline.yaml", path, run, working_directory=folder, finished=finished, recompute=False
            )
        wrong += _journal(folder / f"runs/audit.{run}.jsonl")
    return wrong


def in_full(folder: Path, scenario: Scenario, expected: dict[str, str], promised: dict[str, OnRecord]) -> list[str]:
    """What goes wrong when the run is carried on from there by the command, to the end of the scenario."""
    try:
        found = runs(folder)
    except ElspethError as error:
        return [f"refused: {error.message}"]
    wrong = list(_not_behind(found, promised))
    words = scenario.resume if found else RUN
    wrong += _call(folder, words)
    for then in scenario.then:
        wrong += _call(folder, then)
    if wrong:
        return wrong
    ended = runs(folder)
    for run, record in ended.items():
        if record.status != "completed":
            wrong.append(f"run {run} is {record.status} after all")
        wrong += _call(folder, ("verify", run) if scenario.old else ("verify", run, "--outputs"))
        journal = folder / f"runs/audit.{run}.jsonl"
        if journal.exists():
            wrong += _call(folder, ("verify", str(journal)))
        if not record.purged and not scenario.old:
            wrong += check(
                folder / "pipeline.yaml", folder / DATABASE, run, working_directory=folder, recompute=scenario.recompute
            )
        wrong += _export(folder / "exported/evidence.jsonl", folder / DATABASE, run)
    found_outputs = outputs(folder)
    wrong += [
        f"output {name} differs"
        for name in sorted(expected | found_outputs)
        if expected.get(name) != found_outputs.get(name)
    ]
    wrong += as_it_is(folder, scenario, ended)
    # Who only reads a run that was complete already leaves the database as it is.
    at_rest = scenario.then or any(record.status != "completed" for record in found.values())
    left = [path.name for path in (folder / "runs").glob("audit.db-*")] if at_rest else []
    return wrong + [f"left over: {name}" for name in left]


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of what is in every file of the output folder; one that was begun and is none yet is left out."""
    return {
        path.name: hashlib.sha256(plain_bytes(path) if path.suffix in PACK else path.read_bytes()).hexdigest()
        for path in sorted((folder / "output").glob("*"))
        if not path.name.startswith(".")
    }


def environment() -> dict[str, str]:
    """Variables for a command: none that change what it does, and the code of this tree."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CRASH_", "ELSPETH_"))}
    return {
        **kept,
        "NO_COLOR": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]),
    }


def _call(folder: Path, words: Sequence[str]) -> list[str]:
    with standard_input(folder).open("rb") as given:
        done = subprocess.run(
            [*COMMAND, *words], cwd=folder, env=environment(), stdin=given, capture_output=True, text=True,
            check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    if done.returncode == 0:
        return []
    return [f"`elspeth {' '.join(words)}` ended with {done.returncode}: {(done.stderr + done.stdout).strip()[:2000]}"]


def _not_behind(found: dict[str, OnRecord], promised: dict[str, OnRecord]) -> Iterator[str]:
    for run, before in promised.items():
        after = found.get(run)
        if after is None:
            yield f"run {run} is gone, of which {before.commits + 1} commits were durable"
        elif after.commits < before.commits:
            yield f"run {run} has lost commits: {after.commits} is the last, {before.commits} was durable"
        elif before.status == "completed" != after.status:
            yield f"run {run} was completed, and is {after.status}"


def _cut_copies(connection: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """A tail that is on record as kept is there, unless a purge is on record behind it."""
    for run, detail in connection.execute("SELECT run_id, detail FROM supervision_events WHERE event = 'cut'"):
        facts = json.loads(detail)
        purged = connection.execute(
            "SELECT 1 FROM operator_actions WHERE run_id = ? AND action IN ('purge', 'remove')", (run,)
        )
        if not facts.get("copy") or purged.fetchone():
            continue
        path = folder / facts["copy"]
        if not path.exists():
            yield f"the copy {facts['copy']} of a cut tail is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != facts["sha256"]:
            yield f"the copy {facts['copy']} of a cut tail is not what was cut off"


def _payloads(connection: sqlite3.Connection, folder: Path) -> Iterator[str]:
    for table, column in (("rows", "source_data_ref"), ("node_states", "output_data_ref")):
        for run, reference in connection.execute(f"SELECT run_id, {column} FROM {table} WHERE {column} IS NOT NULL"):
            purged = connection.execute("SELECT 1 FROM operator_actions WHERE run_id = ? AND action = 'purge'", (run,))
            if purged.fetchone():
                continue
            path = folder / "state/payloads" / reference[:2] / reference[2:]
            if not path.exists():
                yield f"payload {reference[:8]} of {table} is not there"
            elif hashlib.sha256(path.read_bytes()).hexdigest() != reference:
                yield f"payload {reference[:8]} of {table} is not what was written"


def _kept_input(connection: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """What a run that is not complete kept of standard input is all of it."""
    unfinished = connection.execute(
        "SELECT run_id, detail FROM supervision_events JOIN runs USING (run_id)"
        " WHERE event = 'files' AND runs.status != 'completed'"
    )
    for run, detail in unfinished:
        for (path, *_), *_ in json.loads(detail).values():
            kept = folder / path
            if kept.parent.name != "stdin":
                continue
            if not kept.exists():
                yield f"what run {run} kept of standard input is not there"
            elif kept.read_bytes() != standard_input(folder).read_bytes():
                yield f"what run {run} kept is not what came by standard input"


def _journal(path: Path) -> Iterator[str]:
    """All but the last commit in a journal is whole; the last one and what lies behind it are written again."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    ends = [
        place for place, line in enumerate(lines) if line.startswith(b'{"table":"commits"') and line.endswith(b"\n")
    ]
    numbers = []
    for place in range(ends[-2] + 1 if len(ends) > 1 else 0):
        try:
            record = json.loads(lines[place])
        except ValueError:
            yield f"line {place + 1} of the journal is none, and no resume looks there: {lines[place][:40]!r}"
            return
        if record["table"] == "commits":
            numbers.append(record["commit_no"])
    if numbers != list(range(len(numbers))):
        yield f"the journal has the commits {numbers}"


def _export(path: Path, database: Path, run: str) -> Iterator[str]:
    """The records of the run stand there once, behind what was there, and the last line vouches for them."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines()
    if lines[0] != b'{"an": "earlier export"}':
        yield f"the export does not begin with what was there: {lines[0][:60]!r}"
    tables = [json.loads(line)["table"] for line in lines[1:]]
    if tables.count("manifest") != 1 or tables[-1] != "manifest":
        yield f"the export has {tables.count('manifest')} manifests, and ends with {tables[-1]}"
    told = json.loads(lines[-1])["records"]
    if told != {table: tables.count(table) for table in told}:
        yield "the export does not hold what its manifest says"
    with closing(sqlite3.connect(database)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM rows WHERE run_id = ?", (run,)).fetchone()
    if tables.count("rows") != rows:
        yield f"the export has {tables.count('rows')} rows, not {rows}"


def is_lock(path: Path) -> bool:
    """Whether this is the lock file of an attempt."""
    return path.parent.name == "locks" and re.fullmatch(r"\w+\.\d+\.lock", path.name) is not None
