"""Pipeline files of both generations, checked and run in a folder of their own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from elspeth.cli import app
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.settings import Problem, SettingsProblems
from tests.kit.processes.running import elspeth


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> Path:
    """The pipeline file with this text, in the working directory."""
    file = Path("pipeline.yaml")
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def read(text: str, environ: Mapping[str, str] | None = None) -> Pipeline:
    """The pipeline that this text describes."""
    return load_pipeline(write(text), environ=environ or {}, dotenv=False)


def problems(text: str) -> list[Problem]:
    """What is wrong with it."""
    with pytest.raises(SettingsProblems) as caught:
        read(text)
    return list(caught.value.problems)


def warnings(text: str) -> dict[str, str]:
    """What is to be known of it: a line for each key."""
    found = read(text).loaded.warnings
    lines = {problem.key: problem.message for problem in found}
    assert len(lines) == len(found), "one line each"
    return lines


def run(text: str, *, code: int = 0) -> Any:
    """What a run of it answers."""
    write(text)
    done = elspeth("run", "pipeline.yaml", "--execute", "--json", cwd=Path())
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Carry out a command in this process: its exit code, what it printed, and what it said beside."""

    def _told(*words: str) -> tuple[int, str, str]:
        code = app.run(list(words))
        return code, *capsys.readouterr()

    return _told
