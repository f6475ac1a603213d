"""Finished runs of several examples in one audit database, made once and copied for whoever changes something."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from elspeth.cli import app
from tests.kit.fixtures.finished_run import copy, finished  # noqa: F401
from tests.kit.processes.running import EXAMPLES, elspeth

KEY = "a key for tests"
NAMES = ("threshold", "second_opinions", "expand", "batches", "quarantine")


@dataclass(frozen=True)
class Evidence:
    """A database, and the run of each example in it, in the order in which they ran."""

    folder: Path
    runs: dict[str, str]

    @property
    def database(self) -> Path:
        return self.folder / "audit.db"


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    runs = {}
    for name in NAMES:
        ignored = shutil.ignore_patterns("output", "runs", "state")
        shutil.copytree(EXAMPLES / name, folder / name, ignore=ignored)
        done = elspeth(
            "run", "--settings", "pipeline.yaml", "--execute", "--json", cwd=folder / name,
            ELSPETH_LANDSCAPE__URL=f"sqlite:///{folder / 'audit.db'}", ELSPETH_SIGNING_KEY=KEY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        runs[name] = json.loads(done.stdout)["run_id"]
    return Evidence(folder, runs)


@pytest.fixture
def evidence(pristine: Evidence, tmp_path: Path) -> Evidence:
    """A copy of the database that may be changed; outputs stay where they were written."""
    shutil.copy(pristine.database, tmp_path / "audit.db")
    return Evidence(tmp_path, pristine.runs)


Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Carries out a command in this process, with the signing key; answers exit code and JSON result."""
    monkeypatch.setenv("ELSPETH_SIGNING_KEY", KEY)

    def context(*words: str | Path) -> tuple[int, Any]:
        capsys.readouterr()
        code = app.run([*map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return context


@pytest.fixture
def words(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Carries out a command in this process; answers what it printed on stdout."""

    def printed(*words: str | Path) -> str:
        capsys.readouterr()
        app.run([*map(str, words)])
        return capsys.readouterr().out

    return printed
