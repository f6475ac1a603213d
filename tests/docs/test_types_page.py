"""The page of types is complete and true: every example is read as it says, and no type or option is left out."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
import yaml

from elspeth.plugins.options import check
from elspeth.plugins.sources.csv_source import CsvSource
from elspeth.plugins.sources.spelling import DateOptions, SpellingOptions
from elspeth.schema import FieldType, RowSchema, compile_reader
from elspeth.schema.date_format import _PARTS
from tests.docs.repository import ROOT, text_of

PAGE = text_of(ROOT / "ops" / "docs" / "reference" / "types.md")
TYPES = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| `([^`]+)` \| [^|]+\. \|$", PAGE, re.M)
OPTIONS = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| [^|]+\. \|$", PAGE, re.M)
KINDS = {"%d.%m.%Y": "date", "%d.%m.%y": "date", "true_values": "bool", "false_values": "bool"}


@pytest.mark.parametrize(("kind", "read", "value"), TYPES)
def test_a_text_becomes_the_value_that_stands_beside_it(kind: str, read: str, value: str) -> None:
    found = _read(kind, {}, json.loads(read))
    assert (found, type(found)) == (json.loads(value), type(json.loads(value)))


@pytest.mark.parametrize(("option", "example", "read", "value"), OPTIONS)
def test_an_option_reads_a_text_as_the_page_says(option: str, example: str, read: str, value: str) -> None:
    given = yaml.safe_load(example)
    if option == "dates":
        kind = KINDS.get(given["f"].get("format"), "datetime")
    else:
        kind = KINDS.get(option, "decimal")
    more = {"true_values": {"false_values": ["x"]}, "false_values": {"true_values": ["x"]}}.get(option, {})
    assert _read(kind, {option: given, **more}, json.loads(read)) == json.loads(value)


def test_every_type_and_every_option_has_an_example() -> None:
    assert {line[0] for line in TYPES} == set(get_args(FieldType))
    assert {line[0] for line in OPTIONS} == set(SpellingOptions.model_fields) - {"schema_"}
    dates = {key for line in OPTIONS if line[0] == "dates" for key in yaml.safe_load(line[1])["f"]}
    assert dates == set(DateOptions.model_fields)


def test_every_directive_is_listed() -> None:
    (listed,) = re.findall(r"directives `(.+?)`", PAGE)
    assert listed.split() == ["%" + name for name in (*_PARTS, "%")]


def _read(kind: str, options: dict[str, Any], value: Any) -> Any:
    schema = {"mode": "fixed", "fields": {"f": kind}}
    source = CsvSource(check(CsvSource, {"path": "in", "schema": schema, **options}, "source"))
    return compile_reader(RowSchema.parse(schema), source.forms())({"f": value})["f"]
