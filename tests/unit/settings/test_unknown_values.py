"""A value that is not known, because its variable is not set or it is of no use, is one problem and begets no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import Problem, SettingsProblems
from tests.kit.processes.running import EXAMPLES

PIPELINES = {"triage": {"MODEL_URL": "http://localhost:1/v1"}, "second_opinions": {}, "plugins": {}, "report": {}}
"""Examples, with the variables that they want: services and files of plugins, branches that meet, options that go
together."""


def problems(document: Any, folder: Path, environ: dict[str, str]) -> tuple[Problem, ...]:
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    try:
        load_pipeline(file, environ=environ, dotenv=False)
    except SettingsProblems as error:
        return error.problems
    return ()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in the document, and of what holds it."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(item, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    document = deepcopy(document)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return document


@pytest.mark.parametrize("name", PIPELINES)
def test_a_variable_that_is_not_set_is_one_problem_wherever_it_stands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES / name)
    document = yaml.safe_load(Path("pipeline.yaml").read_text())
    assert problems(document, tmp_path, PIPELINES[name]) == ()
    tried = 0
    for path in paths(document):
        found = problems(replaced(document, path, "${NOT_SET}"), tmp_path, PIPELINES[name])
        key = ".".join(map(str, path))
        assert [(problem.key, problem.message) for problem in found] == [(key, "the variable NOT_SET is not set")]
        tried += 1
    assert tried > 20


PROVIDERS = """
source: {plugin: csv, options: {path: in.csv}}
providers:
  model: {kind: openai, base_url: "http://localhost:1/v1"}
transforms:
  - {plugin: llm, options: {provider: model, model: small, prompt_template: "{{ row.text }}"}}
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
"""

WRONG = {
    "a provider": (("providers", "model", "base_url"), 5, ["providers.model.base_url"]),
    "what a step gets": (("transforms", 0, "options"), 5, ["transforms.0.options"]),
    "files of plugins": (("plugins",), [5], ["plugins.0"]),
    "a file of plugins that is not there": (("plugins",), ["gone.py"], ["plugins.0"]),
    "options that go together": (("transforms", 0, "options", "prompt_file"), "x", ["transforms.0.options"]),
    "a path that may be several": (("source", "options", "path"), 5, ["source.options.path"]),
    "one of several paths": (("source", "options", "path"), ["a.csv", 5], ["source.options.path.1"]),
    "a schema": (("source", "options", "schema"), {"mode": "exact"}, ["source.options.schema"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_of_no_use_is_one_problem_in_words(what: str, tmp_path: Path) -> None:
    path, value, keys = WRONG[what]
    document = replaced(yaml.safe_load(PROVIDERS), path, value)
    if path == ("plugins",):
        document["source"]["plugin"] = "of_a_file"
    found = problems(document, tmp_path, {})
    assert [problem.key for problem in found] == keys
    assert not re.search(r"\[[a-z-]+=|function-|schema: schema: ", str(found[0])), "names of a library"


def test_what_does_not_follow_from_it_is_still_told(tmp_path: Path) -> None:
    document = yaml.safe_load(PROVIDERS)
    document["source"]["options"] = {"path": "${NOT_SET}", "delimeter": ";"}
    document["transforms"][0]["options"]["provider"] = "modle"
    document["default_sink"] = "uot"
    assert {problem.key for problem in problems(document, tmp_path, {})} == {
        "source.options.path", "source.options.delimeter", "default_sink",
    }  # fmt: skip
    document["source"]["options"] = {"path": "in.csv"}
    document["default_sink"] = "out"
    document["telemetry"] = "${NOT_SET}"
    assert {problem.key for problem in problems(document, tmp_path, {})} == {
        "telemetry", "transforms.0.options.provider",
    }  # fmt: skip
