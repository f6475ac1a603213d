"""Steps that make new rows are refused inside branches that are merged, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.plugins import registry
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from tests.kit.processes.running import EXAMPLES

PIPELINE = """
source: {plugin: "null", on_success: rows, on_validation_failure: discard}
gates:
  - {name: outer, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b, aside]}
  - {name: inner, input: a, condition: "True", routes: {"true": fork}, fork_to: [x, y]}
%s
coalesce:
  - {name: within, branches: [x, y], on_success: ra}
  - {name: meet, branches: {a: ra, b: rb}, on_success: out}
sinks: {out: {plugin: "null"}, other: {plugin: "null"}}
"""
EXPLODE = "{name: e, plugin: json_explode, options: {array_field: l}, input: %s, on_success: %s}"
PASS = "{name: p, plugin: passthrough, input: %s, on_success: %s}"
BATCH = "{name: s, plugin: batch_stats, options: {value_field: n}, input: %s, on_success: %s, output_mode: %s}"
RANK = "{name: s, plugin: rank, options: {field: n}, input: %s, on_success: %s, output_mode: passthrough}"


def problems(steps: str, folder: Path) -> list[str]:
    settings = folder / "pipeline.yaml"
    settings.write_text(f"plugins: ['{EXAMPLES}/waiting_for_others/rank_aggregation.py']\n{PIPELINE % steps}")
    try:
        with registry.apart():
            load_pipeline(settings)
    except SettingsProblems as refused:
        return [problem.message for problem in refused.problems]
    return []


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        (f"transforms: [{EXPLODE % ('b', 'rb')}, {PASS % ('aside', 'other')}]", "makes several rows of one"),
        (f"transforms: [{PASS % ('aside', 'other')}]\naggregations: [{BATCH % ('b', 'rb', 'transform')}]", "new rows"),
        (f"transforms: [{PASS % ('b', 'rb')}, {EXPLODE % ('aside', 'other')}]", ""),
        (f"transforms: [{PASS % ('b', 'rb')}]\naggregations: [{BATCH % ('aside', 'other', 'transform')}]", ""),
        (f"transforms: [{PASS % ('aside', 'other')}]\naggregations: [{RANK % ('b', 'rb')}]", ""),
    ],
)
def test_what_makes_new_rows_cannot_stand_in_a_branch_that_is_merged(steps: str, refused: str, tmp_path: Path) -> None:
    found = problems(steps, tmp_path)
    assert len(found) == (1 if refused else 0), found
    assert refused in " ".join(found)
    assert not refused or "'meet' merges" in found[0]
