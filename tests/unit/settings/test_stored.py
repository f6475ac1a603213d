"""What is stored with a run, read again on resume and compared with a file."""

from __future__ import annotations

import copy
import json

import pytest

from elspeth.errors import SettingsError
from elspeth.settings import (
    SettingsProblems,
    apply_set,
    changes,
    difference,
    load_stored,
    result_settings,
    settings_hash,
)
from elspeth.settings.problems import Positions
from tests.kit.later_options import fill_later_options

WITH_SECRET = """\
source: {plugin: api, options: {path: "${INPUT}", api_key: "${API_KEY}", note: "$${KEPT}"}}
sinks: {out: {plugin: csv}}
concurrency: {max_workers: "${N}"}
"""
ENVIRON = {"INPUT": "in.csv", "API_KEY": "hunter2", "N": "3"}


def test_stored_settings_are_those_that_were_loaded(good, loaded):
    first = loaded(good, further=fill_later_options)
    again = load_stored(first.settings_json, {}, dotenv=False)
    assert again.settings == first.settings
    assert again.document == first.document
    assert again.path is None


def test_only_credentials_are_taken_from_the_environment_again(loaded):
    first = loaded(WITH_SECRET, ENVIRON, further=fill_later_options)
    environ = {"API_KEY": "hunter2", "INPUT": "other.csv", "ELSPETH_CONCURRENCY__MAX_WORKERS": "9"}
    again = load_stored(first.settings_json, environ, dotenv=False)
    assert again.settings == first.settings
    assert again.settings.source.options["note"] == "${KEPT}"
    assert again.document == first.document
    assert again.warnings == ()


def test_a_credential_that_is_no_longer_set_is_named(loaded):
    stored = loaded(WITH_SECRET, ENVIRON).settings_json
    with pytest.raises(SettingsProblems) as caught:
        load_stored(stored, {}, dotenv=False)
    [problem] = caught.value.problems
    assert problem.key == "source.options.api_key"
    assert "API_KEY is not set" in problem.message


def test_a_credential_that_changed_is_a_warning_and_no_mismatch(loaded):
    first = loaded(WITH_SECRET, ENVIRON)
    again = load_stored(first.settings_json, {"API_KEY": "rotated"}, dotenv=False)
    assert [warning.key for warning in again.warnings] == ["source.options.api_key"]
    assert "rotated" not in str(again.warnings[0])
    assert again.document == first.document
    assert difference(first.document, loaded(WITH_SECRET, {**ENVIRON, "API_KEY": "rotated"}).document) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"secrets": [1]}', "null", '{"secrets": [{"path": 3}]}'])
def test_stored_settings_that_cannot_be_read_are_told(text):
    with pytest.raises(SettingsError):
        load_stored(text, {}, dotenv=False)


@pytest.mark.parametrize(
    ("assignment", "section", "key", "value"),
    [
        ("concurrency.max_workers=2", "concurrency", "max_workers", 2),
        ("supervisor.hang_timeout_seconds=12.5", "supervisor", "hang_timeout_seconds", 12.5),
        ("checkpoint.frequency=aggregation_only", "checkpoint", "frequency", "aggregation_only"),
        ("retry.max_attempts=1", "retry", "max_attempts", 1),
    ],
)
def test_how_a_run_is_driven_may_be_set_on_resume(good, loaded, assignment, section, key, value):
    document = loaded(good).document
    changed = apply_set(document, [assignment])
    assert changed[section][key] == value
    assert loaded(good).document == document
    settings = load_stored(json.dumps(document), {}, [assignment], dotenv=False).settings
    assert getattr(getattr(settings, section), key) == value
    assert difference(document, changed) == []


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("source.options.path=x", "allowed: concurrency.KEY=VALUE, supervisor.KEY=VALUE"),
        ("default_sink=x", "allowed: concurrency"),
        ("concurency.max_workers=2", "did you mean concurrency?"),
        ("concurrency=2", "allowed: concurrency"),
        ("concurrency.max_workers", "allowed: concurrency"),
        ("", "allowed: concurrency"),
        ("concurrency.max_workrs=2", "did you mean max_workers?"),
        ("concurrency.max_workers=none", "a whole number"),
        ("concurrency.max_workers=0", "at least 1"),
        ("concurrency.max_workers.x=0", "holds no further keys"),
        ("checkpoint.frequency=every_n", "needs checkpoint_interval"),
    ],
)
def test_what_could_change_results_or_does_not_fit_is_refused_with_what_is_allowed(good, loaded, assignment, says):
    document = apply_set(loaded(good).document, ["concurrency.max_workers=3"])
    with pytest.raises(SettingsError) as caught:
        apply_set(document, [assignment])
    assert says in " ".join((caught.value.message, *caught.value.details))


def test_several_settings_that_need_each_other_are_set_together(good, loaded):
    changed = apply_set(loaded(good).document, ["checkpoint.frequency=every_n", "checkpoint.checkpoint_interval=50"])
    assert changed["checkpoint"] | {"frequency": "every_n", "checkpoint_interval": 50} == changed["checkpoint"]


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("output/normal.csv", "output/other.csv", ["sinks.output.options.path"]),
        ("> 1000", "> 1001", ["gates.0.condition"]),
        ("default_sink: output", "default_sink: high_values", ["default_sink"]),
        (
            "{old: new}",
            "{old: newer, more: x}",
            ["transforms.0.options.mapping.more", "transforms.0.options.mapping.old"],
        ),
        ("quarantine\ntransforms", "discard\ntransforms", ["source.on_validation_failure"]),
        ("true: high_values", "true: quarantine", ["gates.0.routes.true"]),
        ("output: {", "renamed: {", ["sinks.output", "sinks.renamed"]),
    ],
)
def test_a_difference_names_the_keys(good, loaded, old, new, keys):
    assert old in good
    one, other = loaded(good).document, loaded(good.replace(old, new)).document
    assert difference(one, other) == keys
    assert settings_hash(one) != settings_hash(other)


def test_one_more_step_is_a_difference_of_the_list(good, loaded):
    longer = good.replace("gates:", "  - {plugin: passthrough}\ngates:")
    assert difference(loaded(good).document, loaded(longer).document) == ["transforms"]


def without(document, *path):
    """A stored document from before there was this option."""
    result = copy.deepcopy(document)
    *above, last = path
    holder = result
    for key in above:
        holder = holder[key]
    del holder[last]
    return result


YOUNGER = [
    ("sinks", "output", "error_fields"),
    ("sinks", "high_values", "error_fields"),
]


@pytest.mark.parametrize("path", YOUNGER, ids=".".join)
def test_a_default_that_is_another_now_is_no_change_of_the_file(good, loaded, path):
    file = loaded(good)
    stored = without(file.document, *path)
    assert difference(stored, file.document) == [".".join(path)]
    assert changes(stored, file.document, file.positions) == []


def test_an_option_that_was_added_to_the_file_is_a_change_of_it(good, loaded):
    stored = without(loaded(good).document, "sinks", "output", "error_fields")
    written = loaded(good.replace("output: {", "output: {error_fields: true, ", 1))
    assert changes(stored, written.document, written.positions) == ["sinks.output.error_fields"]


def test_an_option_that_was_taken_from_the_file_is_a_change_of_it(good, loaded):
    stored = loaded(good.replace("output: {", "output: {error_fields: false, ", 1)).document
    file = loaded(good)
    assert changes(stored, file.document, file.positions) == ["sinks.output.error_fields"]


def test_a_key_of_the_users_own_is_a_change_wherever_it_is_new(good, loaded):
    stored = loaded(good).document
    file = loaded(good.replace("{old: new}", "{old: new, more: x}"))
    assert changes(stored, file.document, Positions()) == ["transforms.0.options.mapping.more"]


def test_another_spelling_of_the_same_pipeline_is_no_difference(good, loaded):
    other = good.replace("    on_validation_failure: quarantine\n", "  on_validation_failure: quarantine\n")
    other = other.replace("true: high_values", '"true": "high_values"')
    other += "concurrency: {max_workers: 7}\nretry: {max_attempts: 9}\nlandscape: {url: sqlite:///x.db}\n"
    other += "aggregations: []\nname: another\n"
    one, two = loaded(good).document, loaded(other).document
    assert difference(one, two) == []
    assert settings_hash(one) == settings_hash(two)
    assert set(result_settings(one)) & {"concurrency", "supervisor", "checkpoint", "retry", "rate_limit"} == set()


def test_an_export_to_a_sink_is_part_of_the_results(good, loaded):
    other = good + "landscape: {export: {enabled: true, sink: output}}\n"
    keys = difference(loaded(good).document, loaded(other).document)
    assert keys == ["landscape.export.enabled", "landscape.export.sink"]
