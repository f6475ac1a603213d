"""An aggregation that makes new rows of a batch stands with `output_mode: transform` alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.runs.lifecycle.pipeline import load_pipeline, load_stored_pipeline
from elspeth.settings import SettingsProblems

OPTIONS = {
    "batch_threshold_summary": "value_field: x, thresholds: [{name: t, operator: '>', value: 1}]",
    "batch_outlier_annotator": "value_field: x",
    "batch_top_k": "field: x",
    "batch_stats": "value_field: x",
}


def settings(folder: Path, plugin: str, options: str, mode: str) -> Path:
    (folder / "in.csv").write_text("x\n1\n")
    file = folder / "pipeline.yaml"
    file.write_text(
        f"source: {{plugin: csv, options: {{path: {folder}/in.csv}}}}\n"
        "aggregations:\n"
        f"  - {{name: a, plugin: {plugin}, output_mode: {mode}, options: {{{options}}}}}\n"
        f"sinks: {{out: {{plugin: json, options: {{path: {folder}/out.json}}}}}}\ndefault_sink: out\n"
    )
    return file


@pytest.mark.parametrize("plugin", OPTIONS)
def test_output_mode_passthrough_is_refused_with_its_line(plugin: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblems) as caught:
        load_pipeline(settings(tmp_path, plugin, OPTIONS[plugin], "passthrough"), environ={}, dotenv=False)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line, problem.allowed) == ("aggregations.0.output_mode", 3, "transform")
    assert problem.message == f"{plugin} makes new rows of a batch and hands none of them on"


@pytest.mark.parametrize("plugin", OPTIONS)
def test_output_mode_transform_is_taken(plugin: str, tmp_path: Path) -> None:
    load_pipeline(settings(tmp_path, plugin, OPTIONS[plugin], "transform"), environ={}, dotenv=False)


def test_what_keeps_its_rows_still_stands_with_passthrough(tmp_path: Path) -> None:
    load_pipeline(settings(tmp_path, "batch_replicate", "", "passthrough"), environ={}, dotenv=False)


def test_a_run_that_was_started_with_it_is_not_stopped(tmp_path: Path) -> None:
    loaded = load_pipeline(settings(tmp_path, "batch_stats", "value_field: x", "transform"), environ={}, dotenv=False)
    stored = loaded.loaded.settings_json.replace('"output_mode": "transform"', '"output_mode": "passthrough"')
    load_stored_pipeline(stored, environ={}, dotenv=False)
