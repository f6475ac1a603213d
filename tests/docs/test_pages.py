"""Tutorial and guides are true: what a page says to type is typed, in order, with the files that it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.console import commands, mismatches
from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, name_of, text_of

DOCS = ROOT / "ops" / "docs"
WITH_A_SERVER = DOCS / "guides" / "keep-the-trail-in-postgresql.md"  # typed in tests/integration/postgres
WITH_A_CLUSTER = DOCS / "guides" / "more-machines.md"  # tried in tests/integration/cluster, but for a second machine
ELSEWHERE = {WITH_A_SERVER, WITH_A_CLUSTER}
PAGES = [DOCS / "tutorial.md", *sorted({*(DOCS / "guides").glob("*.md")} - ELSEWHERE)]
FILE = re.compile(r"^`([\w./]+)`:$")


def files(page: Path) -> dict[str, str]:
    """The files that a page shows: a block below a line that is nothing but the file's name and a colon."""
    lines = text_of(page).splitlines()
    found = {}
    for block in blocks(text_of(page)):
        above = next((line for line in reversed(lines[: block.line - 1]) if line.strip()), "")
        if name := FILE.match(above):
            found[name[1]] = block.text
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_the_page_says_to_type_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    for name, text in files(page).items():
        (tmp_path / name).write_text(text)
    typed = [part for block in blocks(text_of(page)) if block.language == "console" for part in commands(block.text)]
    assert typed
    assert mismatches(typed, tmp_path) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nothing_that_a_page_shows_is_left_untried(page: Path) -> None:
    tried = files(page).values()
    left = [block.line for block in blocks(text_of(page)) if block.language != "console" and block.text not in tried]
    assert left == []


def test_a_page_that_shows_something_else_is_noticed(tmp_path: Path) -> None:
    assert mismatches([("echo 4 rows", "4 rows\n")], tmp_path) == []
    assert mismatches([("echo 5 rows", "4 rows\n")], tmp_path) == ["$ echo 5 rows\n5 rows\n\nis not\n4 rows\n"]
    assert mismatches([("exit 1", "")], tmp_path)
