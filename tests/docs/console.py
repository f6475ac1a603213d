"""Console blocks of a page: what is typed behind each `$`, what is shown below it, and whether that is what came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.docs.command import run

SEPARATOR = "--- end of command ---"
# Where the sqlite3 shell is not installed, its part is played by the module of the same name.
SHELL = """
command -v sqlite3 >/dev/null || sqlite3() {
  python -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row, sep="|")' "$@"
}
"""


def commands(text: str) -> list[tuple[str, str]]:
    """What is typed behind each `$`, and what is shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        else:
            command, shown = found[-1]
            found[-1] = (command, shown + line)
    return found


def mismatches(typed: Sequence[tuple[str, str]], folder: Path, *, timeout: float = 900.0) -> list[str]:
    """Type these commands in one shell in a folder; each whose answer is not what is shown. `timeout` in seconds."""
    script = "\n".join(f"{command}\necho '{SEPARATOR}'" for command, _ in typed)
    done = run(f"exec 2>&1\n{SHELL}\n{script}", folder, timeout=timeout)
    answers = done.stdout.split(f"{SEPARATOR}\n")
    if len(answers) != len(typed) + 1:
        return [done.stdout]
    return [
        f"$ {command}\n{answer}\nis not\n{shown}"
        for (command, shown), answer in zip(typed, answers, strict=False)
        if not pattern(shown).fullmatch(without_progress(answer))
    ]


def without_progress(answer: str) -> str:
    """What was printed, without lines of progress: how many there are is a matter of time."""
    lines = answer.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"[\d,]+ rows?( \(|, )", line))


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, with `...` for anything, and any run's id and any duration for those of the day it was tried."""
    text = re.escape(shown)
    text = text.replace(r"\.\.\.", ".*")
    text = re.sub(r"2rym\w{4}", r"[0-9a-z]{8}", text)
    text = re.sub(r"\d+\\\.\d\\ s", r"(?:\\d+ min )?[0-9.]+ s", text)
    return re.compile(text, re.DOTALL)
