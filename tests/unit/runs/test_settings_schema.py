"""The JSON Schema of settings: all examples pass it, and whatever it refuses, `validate` refuses."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
import yaml

from elspeth.errors import ElspethError
from elspeth.plugins import registry
from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.runs.views.settings_schema import settings_schema
from tests.kit.processes.running import EXAMPLES

SINKS = "sinks: {out: {plugin: csv, options: {path: o.csv}}}\ndefault_sink: out\n"
PIPELINES = sorted(EXAMPLES.glob("*/*.yaml"))
STRANGE: tuple[Any, ...] = (
    None,
    [],
    {},
    [1],
    {"x": 1},
    -1,
    0,
    1.5,
    True,
    "",
    "nothing of the kind",
    "${UNSET_VARIABLE}",
)


@pytest.fixture
def at_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In the folder of an example, whose own plugins are known while it is looked at."""
    path: Path = request.param
    monkeypatch.chdir(path.parent)
    with registry.apart():
        yield path


def validator(path: Path) -> jsonschema.Draft202012Validator:
    document = yaml.safe_load(path.read_text())
    registry.load_files([Path(file) for file in document.get("plugins", ())])
    return jsonschema.Draft202012Validator(json.loads(json.dumps(settings_schema())))


def test_it_is_a_schema() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["checkpoint"]
    csv = [each for each in schema["$defs"]["Source"]["allOf"] if each["if"]["properties"]["plugin"]["const"] == "csv"]
    assert csv[0]["then"]["properties"]["options"]["properties"]["delimiter"]["description"]


@pytest.mark.parametrize("at_home", PIPELINES, ids=lambda path: path.parent.name, indirect=True)
def test_every_example_passes(at_home: Path) -> None:
    errors = validator(at_home).iter_errors(yaml.safe_load(at_home.read_text()))
    assert [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors] == []


@pytest.mark.parametrize("at_home", PIPELINES, ids=lambda path: path.parent.name, indirect=True)
def test_what_it_refuses_validate_refuses(at_home: Path, tmp_path: Path) -> None:
    whole = yaml.safe_load(at_home.read_text())
    schema = validator(at_home)
    rng = Random(at_home.parent.name)
    refused = 0
    for number in range(40):
        broken = breakage(copy.deepcopy(whole), rng)
        if schema.is_valid(broken):
            continue
        refused += 1
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(broken, sort_keys=False))
        assert not valid(file, dict(os.environ)), f"validate takes what the schema refuses:\n{file.read_text()}"
    assert refused > 8


def valid(file: Path, environ: dict[str, str]) -> bool:
    try:
        load_pipeline(file, environ=environ, dotenv=False)
    except ElspethError:
        return False
    return True


def breakage(document: Any, rng: Random) -> Any:
    """The document with one thing in it wrong, or strange."""
    holder, key = rng.choice(list(places(document)))
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}s"] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder["unheard_of"] = rng.choice(STRANGE)
        case _:
            holder[key] = rng.choice(STRANGE)
    return document


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value.keys() if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("source: {plugin: csv, options: {path: in.csv, skip_rows: '${N}'}}", True),
        ("source: {plugin: csv, options: {path: in.csv, on_validation_failure: discard}}", True),
        ("source: {plugin: csv, schema: {mode: observed}, options: {path: in.csv}}", True),
        ("source: {plugin: csv, path: in.csv}", False),
        ("source: {plugin: csb, options: {path: in.csv}}", False),
        ("source: {plugin: csv}", False),
        ("", False),
    ],
    ids=["a variable", "a step's key inside options", "an option beside options", "an option that must be inside",
         "a misspelt plugin", "a path is missing", "no source"],
)  # fmt: skip
def test_what_people_write_is_judged_alike(
    text: str, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(f"{text}\n{SINKS}")
    assert jsonschema.Draft202012Validator(settings_schema()).is_valid(yaml.safe_load(f"{text}\n{SINKS}")) is passes
    assert valid(Path("p.yaml"), {"N": "1"}) is passes


def test_an_unknown_section_is_found_although_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"source: {{plugin: csv, options: {{path: in.csv}}}}\n{SINKS}gatez:\n")
    assert not valid(tmp_path / "p.yaml", {})
