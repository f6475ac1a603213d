"""A plugin that would end the program ends in an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.test_streams import RUN, call
from tests.kit.pipelines.trial import lay, settings

PLUGIN = """
import sys
from elspeth.plugins.contract import Source, Transform

class Leaver(Transform):
    name = "leaver"
    def __init__(self, options):
        {init}
        super().__init__(options)
    def setup(self, ctx):
        {setup}
    def process(self, row, ctx):
        return row

class LeavingSource(Source):
    name = "leaving_source"
    def describe(self):
        sys.exit(5)
    def read(self, cursor):
        yield from ()
"""


def folder_with(tmp_path: Path, init: str, source: str | None = None, setup: str = "pass") -> Path:
    value = settings()
    value["plugins"].append("leaver.py")
    value["transforms"].append({"plugin": "leaver"})
    if source:
        value["source"] = {"plugin": source}
    folder = lay(tmp_path / "run", 3, value)
    (folder / "leaver.py").write_text(PLUGIN.format(init=init, setup=setup), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("sys.exit(3)", "SystemExit: 3"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
    ],
)
@pytest.mark.parametrize("command", [RUN, RUN[:-1], ("validate", *RUN[1:-1])])
def test_one_that_ends_it_when_it_is_made_is_a_mistake_in_the_settings(
    tmp_path: Path, init: str, words: str, command: tuple[str, ...]
) -> None:
    found = call(folder_with(tmp_path, init), *command)
    assert found.returncode == 2, found.stderr
    assert f"The plugin leaver failed when it was made: {words}" in found.stderr + found.stdout
    assert "bug" not in found.stderr


def test_one_that_ends_it_while_it_looks_at_its_input_is_named_with_its_line(tmp_path: Path) -> None:
    found = call(folder_with(tmp_path, "pass", "leaving_source"), *RUN)
    assert found.returncode == 1, found.stderr
    assert "a plugin ended the program: sys.exit(5) at" in found.stderr
    assert "leaver.py" in found.stderr


def test_one_that_ends_it_when_it_is_set_up_is_named_without_a_traceback(tmp_path: Path) -> None:
    found = call(folder_with(tmp_path, "pass", setup="sys.exit(0)"), *RUN)
    assert found.returncode == 1, found.stderr
    assert "would end the program when it is set up: sys.exit(0)" in found.stderr
    assert "leaver" in found.stderr
    assert "Traceback" not in found.stderr
