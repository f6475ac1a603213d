"""The pictures of README and docs are those that `ops/pictures` draws, each shown with words for who sees none."""

from __future__ import annotations

import re
import struct

import pytest

from tests.docs.repository import text_of, tracked
from tests.kit.pictures import DRAWN, FOLDER

MOST_BYTES = 200_000


def test_each_picture_that_is_drawn_is_there_and_no_other() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_a_png_that_is_no_larger_than_it_must_be(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", data[16:24])
    assert 390 <= width <= 1920
    assert 400 <= height <= 1000
    assert len(data) <= MOST_BYTES


def test_each_picture_is_shown_with_the_words_that_say_what_is_on_it() -> None:
    shown = {
        (words.replace("\n", " "), address.rpartition("/")[2])
        for page in tracked(".md")
        for words, address in re.findall(r"!\[([^\]]+)\]\(([^)]+\.png)\)", text_of(page))
    }
    assert shown == {(words, name) for name, words in DRAWN.items()}
