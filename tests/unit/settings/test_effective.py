"""Stored settings hold every default, and what was stored before they did keeps those of its version."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from elspeth.errors import NewerVersion, SettingsError
from elspeth.plugins import options as plugin_options
from elspeth.plugins import registry
from elspeth.plugins.contract import PluginOptions, Transform
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import defaults_0_1_0 as frozen
from elspeth.settings import difference, effective, load_stored, model, settings_hash
from tests.kit.fixtures.unpack import NAMES, unpack

FROZEN = "e754a1654014999c293e8452cee3cefcb7bb01db890c275ee039d0a25a1e1403"

STEPS: dict[str, type[model.Section]] = {
    "source": model.Source, "transforms": model.Transform, "gates": model.Gate, "aggregations": model.Aggregation,
    "coalesce": model.Coalesce, "sinks": model.Sink,
}  # fmt: skip


def defaults(cls: type[BaseModel]) -> dict[str, Any]:
    """The options of a model that may be left out; below a section, those of the section."""
    found = {}
    for name, field in cls.model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            found[field.alias or name] = defaults(type(value)) if isinstance(value, model.Section) else value
    return found


def unknown(present: dict[str, Any], *tables: dict[str, Any]) -> list[str]:
    missing = []
    for key, value in present.items():
        held = [table[key] for table in tables if key in table]
        if not held:
            missing.append(key)
        elif isinstance(value, dict) and value:
            missing += [f"{key}.{name}" for name in unknown(value, *held)]
    return missing


def test_what_held_in_the_first_version_is_as_it_was() -> None:
    text = json.dumps([frozen.SECTIONS, frozen.STEPS, frozen.OPTIONS], sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == FROZEN, "runs of that version rest on these values"


def test_of_every_option_it_is_known_what_held_before_there_was_one() -> None:
    """An option that is new has to be added to the tables of `effective`, with the value that means what 0.1.0 did."""
    top = {key: value for key, value in defaults(model.Settings).items() if key not in ("source", "sources")}
    assert unknown(top, frozen.SECTIONS, effective.SECTIONS_SINCE) == []
    for section, cls in STEPS.items():
        present = {key: value for key, value in defaults(cls).items() if key != "options"}
        assert unknown(present, frozen.STEPS[section], effective.STEPS_SINCE.get(section, {})) == [], section
    for kind, name in registry.BUILT_IN:
        plugin = f"{kind} {name}"
        if plugin not in frozen.OPTIONS:
            continue  # no run of 0.1.0 has one; another version of its code is not taken without the operator's word
        present = defaults(registry.find(kind, name).Options)
        since = (table.get(plugin, {}) for table in (effective.OPTIONS_WITH_FORMAT_2, effective.OPTIONS_SINCE))
        assert unknown(present, frozen.OPTIONS.get(plugin, {}), *since) == [], plugin


def test_a_document_holds_every_option_of_sections_and_steps(good, loaded) -> None:
    document = loaded(good).document
    assert document[effective.FORMAT] == effective.PRESENT_FORMAT
    assert document["retry"]["max_attempts"] == 3
    assert document["landscape"]["export"]["format"] == "json"
    assert document["gates"][0]["fork_to"] == []
    assert document["transforms"][0]["pool_size"] == 1
    assert document["sinks"]["output"]["validate_input"] is False
    assert "sources" not in document


def test_a_pipeline_stores_the_defaults_of_its_plugins(good: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(good)
    document = load_pipeline(file, environ={}, dotenv=False).loaded.document
    assert document["source"]["options"]["delimiter"] == ","
    assert document["source"]["options"]["path"] == "data/input.csv"
    assert document["sinks"]["output"]["options"]["mode"] == "write"
    again = load_stored(json.dumps(document), {}, dotenv=False)
    assert again.document == document
    assert settings_hash(again.document) == settings_hash(document)


def test_a_default_that_changed_reaches_no_run_that_was_started(good, loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = loaded(good).settings_json
    old = json.loads(stored)
    for key in (effective.FORMAT, "retry"):
        del old[key]
    for name, changed in (("max_attempts", 7), ("exponential_base", 4.0)):
        monkeypatch.setattr(model.Retry.model_fields[name], "default", changed)
    monkeypatch.setattr(model.Settings.model_fields["retry"], "default", model.Retry.model_construct(
        max_attempts=7, initial_delay_seconds=1.0, max_delay_seconds=60.0, exponential_base=4.0))  # fmt: skip
    for text in (stored, json.dumps(old)):
        retry = load_stored(text, {}, dotenv=False).settings.retry
        assert (retry.max_attempts, retry.exponential_base) == (3, 2.0)
        assert effective.as_stored(json.loads(text))["retry"]["max_attempts"] == 3  # not left to the model


def test_an_option_that_is_younger_than_a_run_means_what_was_true_before(
    good, loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = loaded(good).document
    before = settings_hash(document)
    del document["transforms"][0]["pool_size"]
    without = settings_hash(document)
    monkeypatch.setitem(effective.STEPS_SINCE, "transforms", {"pool_size": 8})
    assert load_stored(json.dumps(document), {}, dotenv=False).settings.transforms[0].pool_size == 8
    assert settings_hash(document) == without != before
    assert difference(document, loaded(good).document) == ["transforms.0.pool_size"]


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_version_0_1_0_stored_keep_their_hash(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name)
    with closing(sqlite3.connect(folder / "runs/audit.db")) as connection:
        found = connection.execute("SELECT settings_json, settings_hash FROM runs").fetchall()
    kept = [(json.loads(text), digest) for text, digest in found if text not in (None, "", "{}")]
    assert kept or name == "every_table"
    for document, digest in kept:
        assert effective.FORMAT not in document
        assert settings_hash(document) == digest
        assert difference(document, effective.as_stored(document)) == []


def test_a_format_that_is_not_known_is_refused(good, loaded) -> None:
    document = loaded(good).document
    with pytest.raises(NewerVersion, match="format 3, this program reads formats up to 2") as newer:
        load_stored(json.dumps(document | {effective.FORMAT: 3}), {}, dotenv=False)
    assert newer.value.exit_code == 13
    for none in ("2", 2.0, 0, -1, None, True, [2]):
        with pytest.raises(SettingsError, match="no format that there ever was"):
            load_stored(json.dumps(document | {effective.FORMAT: none}), {}, dotenv=False)


class Inner(PluginOptions):
    """One of a list."""

    name: str
    times: int = 2


class Odd(PluginOptions):
    """Options that refuse what they would be by default."""

    inner: list[Inner] = []
    limit: int | None = None
    kept: Any = None


class Picky(Transform):
    """A transform with a list of things, whose limit may be left out but not be null."""

    name = "picky"
    Options = Odd

    def process(self, row: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return row


def test_options_inside_of_options_get_their_defaults_too() -> None:
    found = plugin_options.effective(Picky, {"inner": [{"name": "a"}, {"name": "b", "times": 5}]}, "here")
    assert [(one["name"], one["times"]) for one in found["inner"]] == [("a", 2), ("b", 5)]
    assert found["limit"] is None


def test_a_default_that_the_plugin_would_refuse_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(Odd):
        """Null is refused, left out is not."""

        @classmethod
        def model_validate(cls, obj: Any, **more: Any) -> Any:  # type: ignore[override]
            if "limit" in obj and obj["limit"] is None:
                return Odd.model_construct(limit=1)
            return super().model_validate(obj, **more)

    monkeypatch.setattr(Picky, "Options", Strict)
    found = plugin_options.effective(Picky, {}, "here")
    assert "limit" not in found
    assert found["inner"] == []
