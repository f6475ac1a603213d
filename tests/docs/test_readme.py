"""The README is true: its blocks are run in order, in a copy of what it talks about, and print what it shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.docs.command import SCRIPTS, run
from tests.docs.console import commands, mismatches, pattern
from tests.docs.markdown import Block, blocks
from tests.docs.repository import ROOT, text_of

README = ROOT / "README.md"
BLOCKS = list(blocks(text_of(README))) if README.exists() else []


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
    assert mismatches(typed, copy) == []


def test_what_differs_from_what_is_shown_is_noticed() -> None:
    assert pattern("Run 2rymabcd done after 1.1 s\n...\nend\n").fullmatch("Run 2rzz0000 done after 12.3 s\na\nb\nend\n")
    assert not pattern("Run 2rymabcd done\n").fullmatch("Run 2rzz0000 failed\n")
    assert not pattern("8 rows\n").fullmatch("9 rows\n")


def test_every_dependency_has_a_line_that_says_why() -> None:
    packages = r" =\n((?:    .+\n)+)"
    listed = "".join(
        re.findall(rf"^{key}{packages}", text_of(ROOT / "setup.cfg"), re.M)[0]
        for key in ("install_requires", "calls", "convert")
    )
    wanted = {re.split(r"[<>=~!]", line.strip())[0] for line in listed.splitlines()}
    assert set(re.findall(r"^\| \[([\w.\-]+)\]", text_of(README), re.M)) == wanted
