"""The reference is complete and true: every setting, every table and column, as the code has them."""

from __future__ import annotations

import re

import pytest

from elspeth.audit.store import models, summary_views
from tests.docs.repository import ROOT, text_of
from tests.docs.settings_tables import HEADINGS, Key, keys

REFERENCE = ROOT / "ops" / "docs" / "reference"
VIEW = re.compile(r"^\| `(\w+)` \| (`.+?`) \| .+\. \|$", re.M)


def part(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text_of(REFERENCE / page), re.M | re.S)
    assert found, f"{page} has no heading {heading!r}"
    return found[1]


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_setting_is_listed_with_its_type_and_default(heading: str) -> None:
    lines = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", part("configuration.md", heading), re.M)
    assert [Key(*line[:3]) for line in lines] == keys(HEADINGS[heading])
    assert all(line[3].endswith(".") for line in lines)


def test_every_heading_of_the_configuration_is_a_section_of_the_model() -> None:
    assert re.findall(r"^## (.+)$", text_of(REFERENCE / "configuration.md"), re.M) == list(HEADINGS)


@pytest.mark.parametrize("table", models.TABLES, ids=lambda table: table._meta.table_name)
def test_every_column_of_the_audit_database_is_listed(table: type[models.Table]) -> None:
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| .+\. \|$", part("audit-database.md", table._meta.table_name), re.M)
    kinds = {"TEXT": "text", "INTEGER": "integer", "INT": "integer", "REAL": "real", "FLOAT": "real", "BLOB": "blob"}
    assert listed == [(field.column_name, kinds[field.field_type]) for field in table._meta.sorted_fields]


def test_every_view_that_answers_a_question_is_listed_with_its_columns() -> None:
    page = part("audit-database.md", "Views that answer questions")
    listed = {name: tuple(re.findall(r"`(\w+)`", columns)) for name, columns in VIEW.findall(page)}
    assert listed == dict(summary_views.COLUMNS)


def test_no_table_is_listed_that_is_not_there() -> None:
    headings = re.findall(r"^## ([a-z_]+)$", text_of(REFERENCE / "audit-database.md"), re.M)
    assert headings == [table._meta.table_name for table in models.TABLES]
