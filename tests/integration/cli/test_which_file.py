"""The pipeline file may be an argument, an option, or `./pipeline.yaml`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

PIPELINE = """
source: {plugin: "null", on_validation_failure: discard}
sinks: {out: {plugin: "null"}}
default_sink: out
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("validate", "other.yaml"), "other.yaml"),
        (("validate", "--settings", "other.yaml"), "other.yaml"),
        (("validate",), "pipeline.yaml"),
    ],
)
def test_the_file_is_found_where_it_was_named_or_in_its_usual_place(
    tmp_path: Path, words: tuple[str, ...], found: str
) -> None:
    for name in ("pipeline.yaml", "other.yaml"):
        (tmp_path / name).write_text(PIPELINE)
    done = elspeth(*words, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["settings"].endswith(found)


def test_run_takes_an_argument_and_runs_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(PIPELINE)
    assert elspeth("run", "mine.yaml", "--execute", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [(("run",), "no pipeline.yaml here"), (("validate", "a.yaml", "--settings", "b.yaml"), "two pipeline files")],
)
def test_no_file_and_two_files_are_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = elspeth(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
