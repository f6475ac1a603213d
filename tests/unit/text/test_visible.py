from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.visible import one_line, visible, visible_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\rdef\x7f", "abc\\x0ddef\\x7f"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("\u2066a\u2069\u200e", "\\u2066a\\u2069\\u200e"),
        ("two\nlines\tand a tab, ümlaut 漢字", "two\nlines\tand a tab, ümlaut 漢字"),
    ],
)
def test_controls_are_shown_and_everything_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_stays_one_line() -> None:
    assert one_line("a\nRun completed\t") == "a\\nRun completed\\t"


@given(st.text())
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    shown = visible(text)
    left = {character for character in shown if unicodedata.category(character) in ("Cc", "Zl", "Zp")}
    assert left <= {"\n", "\t"}
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not any(unicodedata.bidirectional(character) in bidi for character in shown)


@given(st.recursive(st.text() | st.none(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_json_keeps_its_value(value: object) -> None:
    text = visible_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert visible(text) == text
