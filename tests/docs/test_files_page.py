"""The page of files is true: options are described as they describe themselves, and its pipelines are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from elspeth.plugins import registry
from elspeth.plugins.describe import Option, describe
from elspeth.runs.lifecycle.pipeline import load_pipeline
from tests.docs.repository import ROOT, text_of

PAGE = text_of(ROOT / "ops" / "docs" / "reference" / "files.md")
ROWS = re.findall(r"^\| `(\w+)` \| ([\w, ]+) (source|sink) \| (.+?) \| (.+) \|$", PAGE, re.M)
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)


def default_of(option: Option) -> str:
    if option.required:
        return "required"
    value = str(option.default).lower() if isinstance(option.default, bool) else option.default
    return "none" if value is None else f"`{value}`"


@pytest.mark.parametrize(("name", "plugins", "kind", "default", "meaning"), ROWS)
def test_every_option_is_listed_as_it_is(name: str, plugins: str, kind: str, default: str, meaning: str) -> None:
    for plugin in re.split(", | and ", plugins):
        cls = registry.find(cast("registry.Kind", kind), plugin)
        (option,) = [option for option in describe(cls).options if option.name == name]
        assert (default_of(option), option.description) == (default, meaning)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_pipeline(example: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(example)
    load_pipeline(tmp_path / "pipeline.yaml", environ={}, dotenv=False)


def test_the_page_has_tables_and_examples() -> None:
    assert len(ROWS) >= 3
    assert EXAMPLES
