"""The README is true: its blocks are run in order, in a copy of what it talks about, and print what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.docs.command import SCRIPTS, run
from tests.docs.markdown import Block, blocks
from tests.docs.repository import ROOT, text_of

README = ROOT / "README.md"
BLOCKS = list(blocks(text_of(README))) if README.exists() else []
SEPARATOR = "--- end of command ---"
# Where the sqlite3 shell is not installed, its part is played by the module of the same name.
SHELL = """
command -v sqlite3 >/dev/null || sqlite3() {
  python -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row, sep="|")' "$@"
}
"""


def of_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the repository that a reader touches, with an environment in which everything is installed."""
    for name in ("ops", "setup.cfg", "pyproject.toml"):
        source = ROOT / name
        left_out = shutil.ignore_patterns("output", "runs", "state", "__pycache__", "*.csv.partial", "flights.csv")
        shutil.copytree(source, tmp_path / name, ignore=left_out) if source.is_dir() else shutil.copy(source, tmp_path)
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "bin").symlink_to(SCRIPTS)
    return tmp_path


def installed(copy: Path, extras: str) -> str:
    """A line of shell after which the scripts take the environment for complete: installing takes no part here."""
    return f'. ops/environment && stamp "{extras}" > .venv/installed && cd "{copy}"'


def test_the_command_that_runs_an_example_does_so(copy: Path) -> None:
    assert "ops/run-example" in of_language("sh")[0].text
    done = run(f"{installed(copy, '')} && ops/run-example", copy)
    assert done.returncode == 0, done.stdout
    assert "completed after" in done.stdout
    assert "8,Hal,1001" in done.stdout


def test_the_command_that_runs_the_tests_calls_pytest(copy: Path) -> None:
    assert "ops/test" in of_language("sh")[0].text
    done = run(f"{installed(copy, '[test]')} && ops/test --version", copy)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("pytest ")


def test_the_pipeline_shown_is_the_one_in_the_example() -> None:
    (shown,) = of_language("yaml")
    example = ROOT / "ops" / "examples" / "threshold" / "pipeline.yaml"
    assert yaml.safe_load(shown.text) == yaml.safe_load(text_of(example))
    assert shown.text in text_of(example)


def test_what_is_typed_prints_what_is_shown(copy: Path) -> None:
    typed = [part for block in of_language("console") for part in commands(block.text)]
    script = "\n".join(f"{command}\necho '{SEPARATOR}'" for command, _ in typed)
    done = run(f"exec 2>&1\n{SHELL}\n{script}", copy, timeout=300)
    answers = done.stdout.split(f"{SEPARATOR}\n")
    assert len(answers) == len(typed) + 1, done.stdout
    for (command, shown), answer in zip(typed, answers, strict=False):
        assert pattern(shown).fullmatch(without_progress(answer)), f"$ {command}\n{answer}\nis not\n{shown}"


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


def without_progress(answer: str) -> str:
    """What was printed, without lines of progress: how many there are is a matter of time."""
    lines = answer.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"[\d,]+ rows?( \(|, )", line))


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, with `...` for anything, and any run's id and any duration for those of the day it was tried."""
    text = re.escape(shown)
    text = text.replace(r"\.\.\.", ".*")
    text = re.sub(r"2rym\w{4}", r"[0-9a-z]{8}", text)
    text = re.sub(r"\d+\\\.\d\\ s", r"[0-9.]+\\ s", text)
    return re.compile(text, re.DOTALL)


def test_what_differs_from_what_is_shown_is_noticed() -> None:
    assert pattern("Run 2rymabcd done after 1.1 s\n...\nend\n").fullmatch("Run 2rzz0000 done after 12.3 s\na\nb\nend\n")
    assert not pattern("Run 2rymabcd done\n").fullmatch("Run 2rzz0000 failed\n")
    assert not pattern("8 rows\n").fullmatch("9 rows\n")


def test_every_dependency_has_a_line_that_says_why() -> None:
    (listed,) = re.findall(r"install_requires =\n((?:    .+\n)+)", text_of(ROOT / "setup.cfg"))
    wanted = {re.split(r"[<>=~!]", line.strip())[0] for line in listed.splitlines()}
    assert set(re.findall(r"^\| \[([\w\-]+)\]", text_of(README), re.M)) == wanted
