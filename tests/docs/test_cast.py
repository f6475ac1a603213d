"""The cast of the README: it loads nothing, runs nothing, and shows a run that lost nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ops.cast.svg import COLUMNS, Line, drawn
from tests.docs.repository import ROOT, text_of

PICTURES = sorted((ROOT / "ops" / "cast").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def test_there_are_some_and_the_readme_shows_them() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+\.svg)\)", text_of(ROOT / "README.md"))
    assert PICTURES
    assert {ROOT / path for path in shown} == set(PICTURES)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_a_picture_loads_and_runs_nothing(picture: Path) -> None:
    text = text_of(picture)
    tree = ET.fromstring(text)
    assert {element.tag for element in tree.iter()} == {
        SVG + name for name in ("svg", "title", "style", "rect", "g", "text")
    }
    assert not re.search(r"href|url\(|@import|<script|on\w+=", text)
    assert "/tmp" not in text
    lines = [element.text or "" for element in tree.iter(f"{SVG}text")]
    assert max(map(len, lines)) <= COLUMNS


def test_the_cast_shows_a_run_that_lost_nothing() -> None:
    tree = ET.fromstring(text_of(ROOT / "ops" / "cast" / "kill-and-resume.svg"))
    lines = [element.text or "" for element in tree.iter(f"{SVG}text")]
    assert lines[0] == "$ elspeth run --execute &"
    killed = lines.index("Killed")
    resumed = next(line for line in lines[killed:] if " completed after " in line)
    assert re.search(r": 300,000 rows, [1-9][0-9,]* of them before this attempt", resumed)
    assert "300002" in lines[killed:]


def test_lines_appear_in_their_order_and_are_text() -> None:
    picture = drawn([Line("<b>&", 0.5), Line("two", 1.0, "typed")], "a & b")
    tree = ET.fromstring(picture)
    assert [element.text for element in tree.iter(f"{SVG}text")] == ["<b>&", "two"]
    first, second = (float(at) for at in re.findall(r"\}([0-9.]+)%,100%", picture))
    assert first < second < 100
