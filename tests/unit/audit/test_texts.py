"""Texts that a database may not hold are stored readably, and said again as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.audit.chain.texts import original, storable

ODD = st.text(st.sampled_from(["\x00", "\ud800", "\udfff", '"', "\\", "u", "0", "a", "ä", "\n"]))


@given(st.one_of(ODD, st.text(st.characters(exclude_categories=()))))
def test_every_text_comes_back(text: str) -> None:
    told = storable(text)
    assert original(told) == text
    assert "\x00" not in told
    told.encode()  # so no half of a pair is left


@given(ODD)
def test_one_that_was_told_is_told_from_its_telling(text: str) -> None:
    assert original(storable(storable(text))) == storable(text)


@pytest.mark.parametrize("text", ["", "plain", 'he said "no"', '"quoted"', "a\\u0000b", '"\\u00e4"', "näive\n"])
def test_what_every_database_holds_stays_as_it_is(text: str) -> None:
    assert storable(text) == text


def test_what_is_told_can_be_read() -> None:
    assert storable('a\x00"ä') == '"a\\u0000\\"ä"'
