"""A small good settings file, and ways to load variations of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from elspeth.settings import Loaded, Problem, SettingsProblems, load

GOOD = """\
source:
  plugin: csv
  options:
    path: data/input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: quarantine
transforms:
  - {plugin: field_mapper, options: {mapping: {old: new}}, on_error: quarantine}
gates:
  - name: amount_threshold
    condition: "row['amount'] > 1000"
    routes: {true: high_values, "false": continue}
sinks:
  output: {plugin: csv, options: {path: output/normal.csv}}
  high_values: {plugin: csv, options: {path: output/high_values.csv}}
  quarantine: {plugin: json, options: {path: output/quarantine.json}}
default_sink: output
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Loaded]:
    """Load settings from text, with nothing in the environment but what is given."""

    def _loaded(text: str, environ: Mapping[str, str] | None = None, *, dotenv: bool = False, **more: object) -> Loaded:
        path = tmp_path / "pipeline.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(path, environ=environ or {}, dotenv=dotenv, **more)  # type: ignore[arg-type]

    return _loaded


@pytest.fixture
def problems(loaded: Callable[..., Loaded]) -> Callable[..., list[Problem]]:
    """The problems that loading this text ends in."""

    def _problems(text: str, environ: Mapping[str, str] | None = None, **more: object) -> list[Problem]:
        with pytest.raises(SettingsProblems) as caught:
            loaded(text, environ, **more)
        return list(caught.value.problems)

    return _problems
