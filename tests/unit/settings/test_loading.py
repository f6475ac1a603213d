"""What a settings file means once it is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from elspeth.settings import load

SINKS = "sinks: {output: {plugin: csv}}\ndefault_sink: output\n"


def test_the_sample_is_read_with_its_values_and_defaults(good, loaded):
    settings = loaded(good).settings
    assert settings.source.options["path"] == "data/input.csv"
    assert settings.transforms[0].on_error == "quarantine"
    assert list(settings.sinks) == ["output", "high_values", "quarantine"]
    assert settings.landscape.url == "sqlite:///./runs/audit.db"
    assert settings.checkpoint.frequency == "every_row"
    assert (settings.checkpoint.max_rows, settings.checkpoint.max_bytes, settings.checkpoint.max_seconds) == (
        10_000,
        32 * 1024 * 1024,
        5.0,
    )
    assert settings.supervisor.poison_attempts == 3
    assert list(settings.named_sources()) == ["source"]


def test_settings_cannot_be_changed(good, loaded):
    settings = loaded(good).settings
    with pytest.raises(ValidationError):
        settings.default_sink = "other"


def test_every_section_is_understood(loaded):
    settings = loaded(
        """
        name: triage
        sources:
          a: {plugin: csv, on_success: inbound, options: {path: a.csv}}
          b: {plugin: json, on_success: inbound, on_validation_failure: discard, options: {path: b.json}}
        queues: {inbound: {description: both}}
        transforms:
          - {name: first, plugin: passthrough, input: inbound, on_success: fork_gate, pool_size: 4}
        gates:
          - {name: split, input: fork_gate, condition: "True", routes: {"true": fork}, fork_to: [left, right]}
        aggregations:
          - name: stats
            plugin: batch_stats
            input: merged
            trigger: {count: 10, timeout_seconds: 1.5, condition: "row['last']"}
            output_mode: passthrough
            expected_output_count: 3
            on_success: output
            on_error: discard
        coalesce:
          - {name: merge, branches: [left, right], policy: quorum, quorum_count: 1, merge: nested, on_success: merged}
        sinks:
          output: {plugin: csv, options: {path: o.csv}, on_write_failure: discard, collision_policy: fail}
        landscape:
          url: sqlite:///state/audit.db
          export: {enabled: true, sink: output, format: csv, sign: true}
          dump_to_jsonl: true
          dump_to_jsonl_path: runs/journal.jsonl
        checkpoint: {frequency: every_n, checkpoint_interval: 100, max_rows: 500}
        concurrency: {max_workers: 2}
        supervisor: {max_restarts: 5, within_seconds: 30, hang_timeout_seconds: null, worker_memory_limit_mb: 512}
        retry: {max_attempts: 5, initial_delay_seconds: 0.5, max_delay_seconds: 10, exponential_base: 3}
        payload_store: {backend: filesystem, base_path: state/p, retention_days: null, inline_limit_bytes: 100}
        rate_limit: {}
        telemetry: {}
        plugins: [./mine.py]
        """
    ).settings
    assert list(settings.named_sources()) == ["a", "b"]
    assert settings.queues == ("inbound",)
    assert settings.gates[0].fork_to == ("left", "right")
    assert settings.coalesce[0].branches == {"left": "left", "right": "right"}
    assert settings.sinks["output"].options["collision_policy"] == "fail"
    assert settings.supervisor.hang_timeout_seconds is None
    assert settings.retry.max_delay_seconds == 10.0


def test_an_unquoted_true_is_the_route_named_true(good, loaded):
    assert loaded(good).settings.gates[0].routes == {"true": "high_values", "false": "continue"}


def test_a_field_called_no_keeps_its_name(loaded):
    settings = loaded("source: {plugin: csv, options: {mapping: {no: number, 1: one}}}\n" + SINKS).settings
    assert settings.source.options["mapping"] == {"no": "number", "1": "one"}


def test_a_date_stays_the_text_that_was_written(loaded):
    options = loaded("source: {plugin: csv, options: {since: 2024-01-31}}\n" + SINKS).settings.source.options
    assert options == {"since": "2024-01-31"}


def test_anchors_and_merge_keys_work(loaded):
    settings = loaded(
        """
        source: {plugin: csv}
        sinks:
          output: &csv
            plugin: csv
            options: {path: a.csv, delimiter: ";"}
          other:
            <<: *csv
            options: {path: b.csv}
        default_sink: output
        """
    ).settings
    assert settings.sinks["other"].plugin == "csv"
    assert settings.sinks["other"].options == {"path": "b.csv"}


@pytest.mark.parametrize(
    ("section", "where", "key", "value"),
    [
        ("source", "source", "on_validation_failure", "discard"),
        ("source", "source", "required_fields", ["a"]),
        ("source", "source", "guaranteed_fields", ["a"]),
        ("transforms", "transforms.0", "on_error", "discard"),
        ("transforms", "transforms.0", "pool_size", 8),
        ("transforms", "transforms.0", "validate_input", True),
        ("sinks", "sinks.output", "on_write_failure", "discard"),
    ],
)
def test_what_elspeth_acts_on_may_stand_beside_options_or_inside(loaded, section, where, key, value):
    found = []
    for inside in (False, True):
        document = {
            "source": {"plugin": "csv"},
            "transforms": [{"plugin": "passthrough"}],
            "sinks": {"output": {"plugin": "csv"}},
        }
        step = document["source"]
        if section == "transforms":
            step = document["transforms"][0]
        elif section == "sinks":
            step = document["sinks"]["output"]
        if inside:
            step["options"] = {key: value}
        else:
            step[key] = value
        settings = loaded(json.dumps(document)).settings
        model = settings
        for part in where.split("."):
            model = model[int(part)] if part.isdigit() else getattr(model, part, None) or model[part]
        assert model.options == {}
        found.append(getattr(model, key))
    assert found[0] == found[1] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("key", "value"), [("schema", {"mode": "observed"}), ("headers", "original"), ("collision_policy", "fail")]
)
def test_what_the_plugin_acts_on_is_found_in_its_options_wherever_it_stood(loaded, key, value):
    text = json.dumps(value)
    beside = loaded(f"source: {{plugin: csv}}\nsinks: {{output: {{plugin: csv, {key}: {text}}}}}\n")
    inside = loaded(f"source: {{plugin: csv}}\nsinks: {{output: {{plugin: csv, options: {{{key}: {text}}}}}}}\n")
    assert beside.settings == inside.settings
    assert beside.document == inside.document
    assert beside.settings.sinks["output"].options == {key: value}


def test_empty_sections_count_as_left_out(loaded):
    settings = loaded("source: {plugin: csv, options:}\ntransforms:\ngates:\ncheckpoint:\n" + SINKS).settings
    assert settings.transforms == ()
    assert settings.source.options == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(b"\xef\xbb\xbfsource: {plugin: csv}\n" + SINKS.encode())
    assert load(path, environ={}, dotenv=False).settings.source.plugin == "csv"


def test_the_document_is_plain_json_that_says_what_the_file_says(good, loaded):
    document = loaded(good).document
    assert json.loads(json.dumps(document)) == document
    assert document["source"]["on_validation_failure"] == "quarantine"
    assert document["checkpoint"]["frequency"] == "every_row"


def test_positions_tell_the_line_of_each_key_and_of_what_is_around_a_missing_one(good, loaded):
    positions = loaded(good).positions
    assert positions.line(("gates", 0, "routes", "true")) == 12
    assert positions.line(("gates", 0)) == 10
    assert positions.line(("gates", 0, "fork_to")) == 10
    assert positions.line(("source", "options", "on_validation_failure")) == 6
    assert positions.line(("source", "on_validation_failure")) == 6
    assert positions.line(("nothing",)) is None
    assert positions.line(()) is None


@pytest.mark.parametrize(("text", "number"), [("01234", "668"), ("12:30", "750")])
def test_a_number_that_yaml_reads_in_its_own_way_is_a_warning(loaded, text, number):
    warnings = loaded(f"source:\n  plugin: csv\n  options: {{zip: {text}}}\n{SINKS}").warnings
    assert [(warning.line, warning.key) for warning in warnings] == [(3, "source.options.zip")]
    assert number in warnings[0].message


def test_a_quoted_number_is_no_warning(loaded):
    assert loaded('source: {plugin: csv, options: {zip: "01234"}}\n' + SINKS).warnings == ()


def test_sections_without_effect_and_runs_without_checkpoints_are_warnings(loaded):
    text = "source: {plugin: csv}\nrate_limit: {enabled: false}\ncheckpoint: {enabled: false}\n" + SINKS
    assert [warning.key for warning in loaded(text).warnings] == ["rate_limit", "checkpoint.enabled"]


def test_importing_settings_pulls_in_nothing_heavy():
    code = "import elspeth.settings, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded_modules = set(done.stdout.split())
    assert not loaded_modules & {"peewee", "pykka", "psutil", "rich", "click", "dotenv", "sqlite3"}


def test_the_path_is_kept_as_it_was_given(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pipeline.yaml").write_text(good)
    assert load(Path("pipeline.yaml"), environ={}).path == Path("pipeline.yaml")
