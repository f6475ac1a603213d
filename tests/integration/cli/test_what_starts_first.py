"""What children are forked from starts before the command knows whether there will be children."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from elspeth.cli import app
from elspeth.cli.commands import resume, run
from tests.kit.processes.running import ELSPETH, environment


class Started(Exception):
    """Stands for the process."""


@pytest.fixture(autouse=True)
def nobody_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> None:
        raise Started

    monkeypatch.setattr(run, "fork_server", start)
    monkeypatch.setattr(resume, "fork_server", start)


def starts(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> bool:
    monkeypatch.chdir(folder)
    try:
        app.cli.main([*words], standalone_mode=False)
    except Started:
        return True
    except Exception:  # noqa: BLE001 - what else is wrong with the command
        return False
    return False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--settings", "pipeline.yaml", "--execute"], True),
        (["resume", "latest"], True),
        (["run", "--settings", "pipeline.yaml"], False),
        (["run", "--execute"], True),  # of ./pipeline.yaml
        (["run", "--settings", "pipeline.yaml", "--execute", "--no-such-option"], False),
        (["validate", "--settings", "pipeline.yaml"], False),
        (["status", "latest"], False),
    ],
)
def test_it_starts_for_what_has_children_and_for_nothing_else(
    words: list[str], expected: bool, threshold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert starts(words, monkeypatch, threshold) is expected


@pytest.mark.parametrize("words", [("run", "--settings", "no.yaml", "--execute"), ("resume", "latest")])
def test_a_command_that_is_refused_leaves_no_process_and_no_noise(words: tuple[str, ...], tmp_path: Path) -> None:
    command = subprocess.Popen(
        [ELSPETH, *words], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    _, said = command.communicate(timeout=600)
    assert command.returncode in (1, 2)
    assert said.count("Error") == 1
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(command.pid, 0)
