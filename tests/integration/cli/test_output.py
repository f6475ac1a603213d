from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from elspeth.cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colours_go_to_a_terminal_only() -> None:
    assert output.coloured(Terminal())
    assert not output.coloured(io.StringIO())


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.styled("text", "red", Terminal()) == "text"


def test_a_dumb_terminal_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not output.coloured(Terminal())


def test_numbers_stand_at_the_right_and_texts_at_the_left() -> None:
    shown = output.table(["name", "rows"], [("a", 5), ("longer", 12345)])
    assert shown == "name      rows\na            5\nlonger  12,345"


@pytest.mark.parametrize("room", [30, 40, 60, 80, 200])
def test_a_table_fits_the_room_it_is_given(room: int) -> None:
    rows = [("name", "word " * 40, "x" * 90), ("other", "", "y")]
    shown = output.table(["kind", "what it does", "hash"], rows, room=room)
    assert max(map(len, shown.splitlines())) <= room


def test_a_table_is_wrapped_between_words_and_not_at_all_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = "output/a_rather_long_name.csv"
    rows = [("name", f"{long} and {long} and {long}"), ("other", "y")]
    shown = output.table(["kind", "file"], rows, room=45)
    assert shown.count(long) == 3
    assert max(map(len, shown.splitlines())) <= 45
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert len(output.table(["kind", "file"], rows).splitlines()) == 3


def test_a_wrapped_cell_loses_nothing() -> None:
    text = "one two three four five six seven"
    shown = output.table(["n", "text"], [("1", text)], room=20)
    assert " ".join(" ".join(line[3:] for line in shown.splitlines()[1:]).split()) == text


def test_without_a_terminal_the_width_is_80(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert output.width() == 80


def test_columns_says_how_wide_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    assert output.width() == 123


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB")],
)
def test_sizes_are_said_in_words(number: int, words: str) -> None:
    assert output.size(number) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.84, "0.8 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_durations_are_said_in_words(value: float, words: str) -> None:
    assert output.seconds(value) == words


def test_a_command_is_quoted_for_the_shell() -> None:
    assert (
        output.command("elspeth", "run", "--settings", Path("my file.yaml")) == "elspeth run --settings 'my file.yaml'"
    )


def test_a_reader_that_went_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        output.result("nobody reads this")
        output.result("nor this")


def test_what_a_terminal_cannot_show_is_shown_as_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    output.result("caf\u00e9")
    assert raw.getvalue() == b"caf\\xe9\n"
