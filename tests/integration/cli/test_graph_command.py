from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.processes.running import EXAMPLES, elspeth

COUNTED = {
    "threshold": {"source": ["quarantine (csv) 1", "7"], "amount_threshold": ["normal (csv) 4", "high_values (csv) 3"]},
    "batches": {"source": ["discard 0", "10"], "per_region": ["totals (csv) 6"]},
    "expand": {"source": ["3"], "json_explode_1": ["3"], "field_mapper_1": ["lines (json) 3"]},
    "several_sources": {"north": ["2"], "south": ["2"], "large": ["other_payments (csv) 2", "large_payments (csv) 2"]},
    "second_opinions": {
        "worth_a_look": ["small (csv) 2", "ask_income 4", "ask_history 4"],
        "ask_income": ["opinions 4"],
        "opinions": ["4"],
        "verdict": ["approved (csv) 1", "review (csv) 3"],
    },
}


@pytest.mark.parametrize("example", COUNTED)
def test_a_run_is_drawn_with_the_number_of_rows_that_took_each_way(example: str, tmp_path: Path) -> None:
    folder = tmp_path / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    done = elspeth("graph", "latest", cwd=folder)
    assert done.returncode == 0, done.stderr
    ways: dict[str, list[str]] = {}
    node = ""
    for line in done.stdout.splitlines():
        if line and not line.startswith(" "):
            node = line.split()[0]
        elif line:
            words = line.replace("│", "").partition("> ")[2] or line.replace("│", "")
            ways.setdefault(node, []).append(" ".join(words.split()))
    for node, expected in COUNTED[example].items():
        for way in expected:
            assert any(found == way or found.endswith(f" {way}") for found in ways[node]), (node, way, ways)


def test_a_pipeline_is_drawn_from_its_file(threshold: Path) -> None:
    done = elspeth("graph", "--settings", "pipeline.yaml", "--format", "mermaid", cwd=threshold)
    assert done.stdout.startswith("flowchart TD\n")
    assert "high_values" in done.stdout
    assert not (threshold / "runs").exists()


def test_either_a_run_or_a_file_is_drawn(threshold: Path) -> None:
    for line in (("graph",), ("graph", "latest", "--settings", "pipeline.yaml")):
        done = elspeth(*line, cwd=threshold)
        assert done.returncode == 2
        assert "either a RUN_ID or --settings FILE" in done.stderr
