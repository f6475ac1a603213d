"""Everything that is printed goes through here: results on stdout, messages on stderr, colours where they are wanted.

What is printed may hold row data, file names and errors of others: no control character of theirs reaches a terminal.

Nothing that is printed can end a run: a reader that has gone away (`elspeth run ... | head`, a closed terminal) is
taken as one that has seen enough, and the exit code still says what the command found.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from elspeth.visible import visible, visible_json

UNBOUNDED = 1 << 30
PLAIN_WIDTH = 80
"""Columns where there is no terminal to ask."""

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_writing = threading.Lock()

# Between these two stands a style. Text from outside cannot ask for one: it does not know the number of this process.
_BEGIN, _END = f"\ufdd0{os.urandom(8).hex()};", "\ufdd1"
_STYLE = re.compile(f"{re.escape(_BEGIN)}([0-9]+){_END}")


only_reported = False
"""Whether what was printed on stdout tells of work that is done all the same, so that losing it is no failure."""


def result(text: str = "") -> None:
    """Print on stdout: what the command was asked for."""
    _write(sys.stdout, text)


def report(text: str) -> None:
    """Print on stdout what a person may like to know of work that is done, and stays done where this gets lost."""
    global only_reported
    only_reported = True
    _write(sys.stdout, text)


def message(text: str = "") -> None:
    """Print on stderr: what a person should know beside the result."""
    _write(sys.stderr, text)


def result_json(value: Any) -> None:
    """Print one JSON value on stdout, for machines."""
    result(visible_json(json.dumps(value, ensure_ascii=False, indent=2, default=str)))


def styled(text: str, style: str, stream: IO[str] | None = None) -> str:
    """`text` in a style (`bold`, `dim`, `red`, ...) if the stream, stdout by default, shows colours."""
    return f"{_mark(_STYLES[style])}{text}{_mark('0')}" if text and coloured(stream or sys.stdout) else text


def rendered(text: str) -> str:
    """The text as a terminal is to get it: styles of ours as escape sequences, controls of others made visible."""
    parts = _STYLE.split(text)  # text, style, text, style, ..., text
    return "".join(f"\x1b[{part}m" if at % 2 else visible(part) for at, part in enumerate(parts))


def plain(text: str) -> str:
    """The text without styles, controls of others made visible: for who is no terminal."""
    return visible(_STYLE.sub("", text))


def _mark(code: str) -> str:
    return f"{_BEGIN}{code}{_END}"


def coloured(stream: IO[str]) -> bool:
    """Whether to send colours: to a terminal, unless `NO_COLOR` is set (https://no-color.org) or it is a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table_width() -> int:
    """Columns for a table: those of the terminal, or of `COLUMNS`; without either, lines stay whole."""
    return width() if "COLUMNS" in os.environ or sys.stdout.isatty() else UNBOUNDED


def width() -> int:
    """Columns to fit into: `COLUMNS` if set, the terminal's if there is one, else 80."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if _asks_terminal() else PLAIN_WIDTH


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    room: int | None = None,
    indent: int = 0,
    whole: Collection[str] = (),
    styles: Mapping[str, Callable[[str], str]] | None = None,
) -> str:
    """Rows under a head, as lines no longer than `room` columns (by default `table_width()`).

    Numbers stand at the right and thousands are parted. Where it gets narrow the widest columns are wrapped, between
    words, but for those under the heads in `whole`: what they hold is there to be typed. `styles` are, by
    head, what chooses the style of a cell by its text.
    """
    rows = list(rows)
    cells = [[_cell(value) for value in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(head))]
    wide = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = (room or table_width()) - indent - 2 * (len(head) - 1)
    words = [
        max(len(part) for cell in column for part in (*cell.split(), "")) for column in zip(head, *cells, strict=True)
    ]
    # Only a word that is wider than all the room is parted.
    for least in (words, [max(map(len, word.split())) for word in head]):
        kept = [columns if word in whole else some for word, columns, some in zip(head, wide, least, strict=True)]
        _narrow(wide, kept, room)
    chosen = [(styles or {}).get(word) for word in head]
    lines = [_lines(head, wide, right)] + [
        _lines(row, wide, right, [style and style(cell) for style, cell in zip(chosen, row, strict=True)])
        for row in cells
    ]
    text = [" " * indent + line for group in lines for line in group]
    text[: len(lines[0])] = [styled(line, "bold") for line in text[: len(lines[0])]]
    return "\n".join(text)


def wrapped(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` columns, parted at blanks where there are any."""
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if len(candidate) <= room:
            lines[-1] = candidate
            continue
        pieces = [word[at : at + room] for at in range(0, len(word), room)]
        lines += pieces if lines[-1] else []
        if not lines[0]:
            lines = pieces
    return lines


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 row`, `1,234 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(number: int) -> str:
    """A number of bytes for people: `100 bytes`, `1.5 MiB`."""
    if number < 1024:
        return count(number, "byte")
    value = float(number)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.1f} {unit}"


def seconds(value: float) -> str:
    """A duration for people: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def command(*words: str | Path) -> str:
    """A command as it can be typed into a shell."""
    return shlex.join(str(word) for word in words)


def leave_quietly() -> None:
    """Flush what was printed, and keep the interpreter from complaining about readers that have gone away."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream)


def _write(stream: IO[str], text: str) -> None:
    text = rendered(text)
    try:
        with _writing:  # whole lines, whichever thread they come from
            stream.write(text + "\n")
            stream.flush()
    except BrokenPipeError:
        _to_nowhere(stream)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    except OSError:
        _to_nowhere(stream)  # a terminal that was closed, a full disk behind `>`: the work goes on


def _to_nowhere(stream: IO[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        pass  # no file behind it (a test's stream): nothing will be flushed into it at exit either
    finally:
        os.close(nowhere)


def _asks_terminal() -> bool:
    return "COLUMNS" in os.environ or sys.stdout.isatty() or sys.stderr.isatty()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _narrow(wide: list[int], least: Sequence[int], room: int) -> None:
    while sum(wide) > room:
        # Narrower than the words of their heads columns cannot be read; then the terminal wraps the lines itself.
        shrinkable = [at for at, columns in enumerate(wide) if columns > max(least[at], 8)]
        if not shrinkable:
            return
        wide[max(shrinkable, key=lambda at: wide[at])] -= 1


def _lines(
    row: Sequence[str], wide: Sequence[int], right: Sequence[bool], styles: Sequence[str | None] = ()
) -> list[str]:
    columns = [
        [part for line in cell.split("\n") for part in wrapped(line, room)]
        for cell, room in zip(row, wide, strict=True)
    ]
    height = max(map(len, columns))
    return [
        "  ".join(
            _padded(column[at] if at < len(column) else "", room, to_right, style)
            for column, room, to_right, style in zip(columns, wide, right, styles or [None] * len(row), strict=True)
        ).rstrip()
        for at in range(height)
    ]


def _padded(text: str, room: int, to_right: bool, style: str | None) -> str:
    blanks = " " * (room - len(text))
    text = styled(text, style) if style else text
    return blanks + text if to_right else text + blanks
