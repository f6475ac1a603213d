"""The page of steps is true: descriptions, options, defaults, and examples that the steps take."""

from __future__ import annotations

import re

import pytest
import yaml

from elspeth.plugins import registry
from elspeth.plugins.describe import Option, describe
from tests.docs.repository import ROOT, text_of

PAGE = text_of(ROOT / "ops" / "docs" / "reference" / "steps.md")
SECTIONS = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))


def described(name: str) -> registry.PluginClass:
    kind: registry.Kind = "transform" if ("transform", name) in registry.BUILT_IN else "aggregation"
    return registry.find(kind, name)


def default_of(option: Option) -> str:
    if option.required:
        return "required"
    value = str(option.default).lower() if isinstance(option.default, bool) else option.default
    return "none" if value is None else f"`{value}`"


def test_the_steps_that_are_new_to_most_are_on_the_page() -> None:
    assert {"filter", "drop_fields", "lookup", "deduplicate", "sort", "limit", "batch_stats"} <= SECTIONS.keys()


@pytest.mark.parametrize("name", SECTIONS)
def test_a_step_is_described_as_it_describes_itself(name: str) -> None:
    assert SECTIONS[name].startswith(describe(described(name)).text)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_option_is_listed_with_type_default_and_meaning(name: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", SECTIONS[name], re.M)
    options = [option for option in describe(described(name)).options if option.name != "schema"]
    assert listed == [(option.name, option.type, default_of(option), option.description) for option in options]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_example_is_taken(name: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", SECTIONS[name], re.S)
    ((step,),) = yaml.safe_load(example).values()
    assert step["plugin"] == name
    registry.build(described(name), step["options"], "the page")
