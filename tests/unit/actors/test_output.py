from __future__ import annotations

from actors.places.local.output import LONGEST_LINE, TAIL_CHARACTERS, LineSplitter


def test_only_whole_lines_come_out() -> None:
    lines = LineSplitter()
    assert lines.feed(b"one\ntw") == ["one"]
    assert lines.feed(b"o\n\nthree") == ["two", ""]


def test_the_last_line_needs_no_line_end() -> None:
    lines = LineSplitter()
    lines.feed(b"one\ntwo")
    assert lines.feed(b"", end=True) == ["two"]
    assert lines.tail() == "one\ntwo"


def test_an_end_without_an_open_line_adds_none() -> None:
    lines = LineSplitter()
    lines.feed(b"one\n")
    assert lines.feed(b"", end=True) == []


def test_a_character_cut_in_two_is_put_together() -> None:
    lines = LineSplitter()
    assert lines.feed("ä".encode()[:1]) == []
    assert lines.feed("ä".encode()[1:] + b"\n") == ["ä"]


def test_bytes_that_are_no_text_are_shown_not_lost() -> None:
    assert LineSplitter().feed(b"a\xffb\n") == ["a\ufffdb"]


def test_a_line_without_end_does_not_grow_without_end() -> None:
    lines = LineSplitter()
    out = [text for _ in range(10) for text in lines.feed(b"x" * LONGEST_LINE)]
    assert sum(map(len, out)) >= 9 * LONGEST_LINE


def test_the_tail_is_bounded() -> None:
    lines = LineSplitter()
    for number in range(1000):
        lines.feed(b"%d " % number * 100 + b"\n")
    assert len(lines.tail()) <= TAIL_CHARACTERS
    assert lines.tail().endswith("999 ")
