from __future__ import annotations

import json
from pathlib import Path

import pytest

from elspeth.cli import app
from elspeth.settings.cluster import STAND_IN
from tests.kit.processes.running import elspeth, tree

BAD = {
    "broken YAML": ("gates:", "gates: [", "pipeline.yaml:"),
    "unknown key": ("gates:", "gaits:", "did you mean gates?"),
    "wrong type": ("routes: {", "fork_to: 5\n    routes: {", "gates.0.fork_to"),
    "route to nowhere": ('"true": high_values', '"true": hihg_values', "high_values"),
    "missing variable": ("path: input.csv", "path: ${NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
    "unknown plugin": ("plugin: csv\n", "plugin: cvs\n", "Did you mean 'csv'?"),
    "unknown option": ("path: input.csv", "path: input.csv\n    delimeter: ','", "delimiter"),
    "bad condition": ("row['amount'] > 1000", "import os", "gates.0.condition"),
    "two sinks, one file": ("output/high_values.csv", "output/normal.csv", "use the same file"),
    "a sink that is the source": ("output/normal.csv", "input.csv", "use the same file"),
    "a folder as output": ("output/normal.csv", "expected", "is a folder"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_exit_2_with_file_line_and_words_and_nothing_is_written(
    what: str, threshold: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(threshold)
    good, bad, words = BAD[what]
    settings = threshold / "pipeline.yaml"
    assert good in settings.read_text()
    settings.write_text(settings.read_text().replace(good, bad))
    before = tree(threshold)
    for command in (("validate",), ("run",), ("run", "--execute")):
        code = app.run([*command, "--settings", "pipeline.yaml"])
        told = capsys.readouterr().err
        assert code == 2, told
        assert words in told
        assert "\n  pipeline.yaml:" in told or what == "a folder as output"
        assert tree(threshold) == before


def test_every_problem_is_told_in_one_go(threshold: Path) -> None:
    settings = threshold / "pipeline.yaml"
    text = (
        settings.read_text()
        .replace("path: input.csv", "path: ${NO_SUCH_VARIABLE}")
        .replace("plugin: csv\n", "plugin: cvs\n")
    )
    settings.write_text(text.replace("default_sink: normal", "default_sink: nromal") + "retries: {}\n")
    done = elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=threshold)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 2
    assert told["status"] == "invalid"
    keys = {problem["key"] for problem in told["problems"]}
    assert {"source.plugin", "default_sink", "retries"} <= keys
    assert all(problem["line"] for problem in told["problems"])
    assert told["error"]["next_step"].endswith("elspeth validate --settings pipeline.yaml")


def test_a_good_file_is_told_with_its_steps(threshold: Path) -> None:
    before = tree(threshold)
    done = elspeth("validate", "--settings", "pipeline.yaml", cwd=threshold)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("valid: pipeline.yaml has 1 source, 1 gate, 3 sinks\n")
    assert "exactly once" in done.stdout
    assert done.stdout.endswith("elspeth run --settings pipeline.yaml\n")
    assert tree(threshold) == before
    told = json.loads(elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=threshold).stdout)
    assert [node["id"] for node in told["nodes"]][:2] == ["source", "amount_threshold"]
    assert told["problems"] == []
    assert {sink["delivery"] for sink in told["sinks"]} == {"exactly_once"}


def test_an_input_that_is_not_there_yet_is_a_warning(threshold: Path) -> None:
    (threshold / "input.csv").unlink()
    done = elspeth("validate", "--settings", "pipeline.yaml", cwd=threshold)
    assert done.returncode == 0
    assert "warning: this would stop a run now" in done.stdout
    assert elspeth("run", "--settings", "pipeline.yaml", cwd=threshold).returncode == 2


def test_a_pool_where_it_has_no_effect_is_a_warning(threshold: Path) -> None:
    settings = threshold / "pipeline.yaml"
    step = "transforms:\n  - {name: slow, plugin: passthrough, pool_size: 4%s}\n"
    batch = (
        "aggregations:\n  - {name: batch, plugin: batch_replicate, input: rows, trigger: {count: 2}, on_success: more,"
        " output_mode: passthrough, options: {include_copy_index: false}}\n"
    )
    text = settings.read_text()
    once = "transforms:\n  - {name: once, plugin: deduplicate, pool_size: 4, options: {keys: [id]}}\n"
    for extra, warnings in ((step % "", 0), (batch + step % ", input: more", 0), (once, 1)):
        start = "on_success: rows" if extra.startswith("aggregations") else ""
        settings.write_text(text.replace("\ngates:", f"  {start}\n{extra}\ngates:", 1))
        told = json.loads(elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=threshold).stdout)
        assert len(told.get("warnings", ())) == warnings, told
        assert all("pool_size has no effect" in warning for warning in told["warnings"])


def test_dotenv_fills_in_variables_unless_it_is_refused(threshold: Path) -> None:
    (threshold / ".env").write_text("INPUT=input.csv\n")
    settings = threshold / "pipeline.yaml"
    settings.write_text(settings.read_text().replace("path: input.csv", "path: ${INPUT}"))
    line = ("validate", "--settings", "pipeline.yaml")
    assert elspeth(*line, cwd=threshold).returncode == 0
    assert elspeth(*line, "--no-dotenv", cwd=threshold).returncode == 2
    assert elspeth("--no-dotenv", *line, cwd=threshold).returncode == 2


@pytest.mark.parametrize("here", [0, 2])
def test_workers_on_other_machines_are_told_in_words(
    here: int, threshold: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(threshold)
    monkeypatch.setenv(STAND_IN, "nothing:asked")
    text = f"concurrency: {{max_workers: {here}}}\ncluster: {{workers: 8, resources: {{memory_mb: 2048}}}}\n"
    settings = threshold / "pipeline.yaml"
    settings.write_text(settings.read_text() + text)
    there = "up to 8 on the cluster of this machine (Ray), each of which needs 1 processor and 2,048 MiB of memory"
    for command in ("validate", "run"):
        assert app.run([command, "--settings", "pipeline.yaml"]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert f"{'none here' if not here else 'up to 2 here'}, {there}" in told
