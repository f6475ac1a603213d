"""The page of limits is true: each number is the one in the code, and settings have the defaults it names."""

from __future__ import annotations

import importlib
import re

import pytest

from elspeth.plugins.sources.csv_source import CsvOptions
from elspeth.plugins.sources.json_source import JsonOptions
from elspeth.plugins.sources.text_source import TextOptions
from elspeth.settings.model import PayloadStore, Supervisor
from tests.docs.repository import ROOT, text_of

PAGE = ROOT / "ops" / "docs" / "reference" / "limits.md"
LINES = re.findall(r"^\| ([A-Z].+?) \| (.+?) \| (.+?) \| (.+?) \|$", text_of(PAGE), re.M)
IN_CODE = [
    (value, place.strip("`")) for _, value, place, _ in LINES if re.fullmatch(r"`(elspeth|actors)\.[\w.]+`", place)
]


def test_the_page_lists_what_a_user_can_run_into() -> None:
    named = " ".join(f"{name} {value}" for name, value, *_ in LINES).lower()
    for word in ("frame", "row", "nesting", "steps", "batch", "evidence", "second"):
        assert word in named


@pytest.mark.parametrize(("value", "place"), IN_CODE)
def test_each_number_is_the_one_in_the_code(value: str, place: str) -> None:
    module, _, name = place.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    if value != "none":
        assert int(value.split()[0]) == found


@pytest.mark.parametrize("options", [CsvOptions, JsonOptions, TextOptions])
def test_a_row_may_be_as_large_in_every_source(options: type[CsvOptions]) -> None:
    (value,) = [value for _, value, place, _ in LINES if place == "`max_row_bytes` of the source"]
    assert int(value.split()[0]) == options.model_fields["max_row_bytes"].default


def test_settings_that_are_limits_have_these_defaults() -> None:
    values = {place: int(value.split()[0]) for _, value, place, _ in LINES if "." in place and "elspeth" not in place
              and "actors" not in place}  # fmt: skip
    assert values == {
        "`payload_store.inline_limit_bytes`": PayloadStore.model_fields["inline_limit_bytes"].default,
        "`supervisor.poison_attempts`": Supervisor.model_fields["poison_attempts"].default,
    }


def test_every_line_ends_as_a_sentence() -> None:
    assert all(what.endswith(".") for *_, what in LINES)
