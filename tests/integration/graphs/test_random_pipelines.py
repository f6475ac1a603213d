"""Random pipelines decide as their settings say: compared with an interpreter that shares no code with the product."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from elspeth.audit.chain.records import KEY_LENGTH
from elspeth.execution import codec
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.settings import SettingsProblems
from elspeth.testing.in_process import RUN_ID, InProcess, read
from tests.kit.pipelines.generator import pipeline, place
from tests.kit.pipelines.interpreter import Interpreter, Result, comparable

SEEDS = 400
BLOCKS = 8


def shown(row: dict[str, Any]) -> str:
    """A row with its keys in order and its types visible."""
    return json.dumps(comparable(row))


def chunks_of(found: Pipeline, rng: Random) -> list[codec.RowBatch]:
    """The input in chunks of random sizes."""
    chunks: list[codec.RowBatch] = []
    for single in read(found, 1):
        last = chunks[-1] if chunks else None
        if last is None or last.source != single.source or rng.random() < 0.3:
            chunks.append(single)
            continue
        if 0 in single.bad:
            last.bad[len(last.rows)] = single.bad[0]
        last.rows.append(single.rows[0])
    return chunks


def run_with_restarts(settings: Path, rng: Random, *, restarts: int) -> InProcess:
    """Run it chunk by chunk. A few times everything since a checkpoint is forgotten, and done again."""
    found = load_pipeline(settings)
    run = InProcess(found)
    chunks = chunks_of(found, rng)
    kept: tuple[Any, ...] = (0, {}, {}, {}, {})
    at = 0
    while at < len(chunks):
        run.feed(chunks[at])
        at += 1
        if rng.random() < 0.3:
            rows = {sink: len(taken) for sink, taken in run.rows.items()}
            records = {table: len(taken) for table, taken in run.archive.records.items()}
            kept = (at, json.loads(json.dumps(run.checkpoint())), rows, records, dict(run.outcomes))
        if restarts and rng.random() < 0.2:
            restarts -= 1
            at, states, rows, records, outcomes = kept
            for sink in run.rows:
                del run.rows[sink][rows.get(sink, 0) :]
            for table in run.archive.records:
                del run.archive.records[table][records.get(table, 0) :]
            run.outcomes = dict(outcomes)
            run.restore(states)
    run.end()
    return run


def differences(run: InProcess, expected: Result) -> list[str]:
    found = []
    for sink, rows in expected.rows.items():
        ours = [shown(row) for row in run.rows[sink]]
        if ours != [shown(row) for row in rows]:
            found.append(f"{sink}: {ours} instead of {[shown(row) for row in rows]}")
    ends = {token: (end.outcome, end.sink) for token, end in run.outcomes.items()}
    found += [
        f"{token}: {ends.get(token)} instead of {expected.ends.get(token)}"
        for token in {**expected.ends, **ends}
        if ends.get(token) != expected.ends.get(token)
    ]
    records = run.archive.records
    parents: dict[str, list[str]] = {}
    for child, parent, _ in sorted(records["token_parents"], key=lambda record: (record[0], record[2])):
        parents.setdefault(child, []).append(parent)
    if parents != expected.parents:
        found.append(f"parents: {parents} instead of {expected.parents}")
    batches = {record[0]: (record[2], record[3]) for record in records["batches"]}
    if batches != expected.batches:
        found.append(f"batches: {batches} instead of {expected.batches}")
    errors = Counter(record[1] for table in ("validation_errors", "transform_errors") for record in records[table])
    if errors != expected.errors:
        found.append(f"errors: {errors} instead of {expected.errors}")
    found += [
        f"{table}: {key} stands there {count} times"
        for table, rows in records.items()
        for key, count in Counter(row[: KEY_LENGTH.get(table, 1)] for row in rows).items()
        if count > 1
    ]
    terminal = Counter(record[1] for record in records["token_outcomes"] if record[3])
    found += [f"{token} ended {count} times" for token, count in terminal.items() if count != 1]
    return found


@pytest.mark.parametrize("block", range(BLOCKS))
def test_outputs_and_outcomes_are_what_the_settings_say_however_the_input_was_cut_and_restarted(
    block: int, tmp_path: Path
) -> None:
    tried = 0
    for seed in range(block, SEEDS, BLOCKS):
        document, inputs = pipeline(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        settings = place(document, inputs, folder)
        try:
            load_pipeline(settings)
        except SettingsProblems:
            continue  # a condition asks for a field that no row can have there: refused before a run, and rightly so
        tried += 1
        rng = Random(-seed)
        run = run_with_restarts(settings, rng, restarts=rng.randint(0, 3))
        expected = Interpreter(document).run(RUN_ID, inputs)
        assert not differences(run, expected), f"seed {seed}:\n{settings.read_text()}"
    assert tried > 0.7 * SEEDS / BLOCKS
