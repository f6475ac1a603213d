"""Plugin files of several pipelines, looked at by one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import registry

PLUGIN = '''
from elspeth.plugins.contract import Transform


class Mine(Transform):
    """{0}"""

    name = "mine"

    def process(self, row, ctx):
        return row
'''


def test_what_is_loaded_apart_is_forgotten_and_can_be_loaded_again(tmp_path: Path) -> None:
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for file in files:
        file.write_text(PLUGIN.format(file.stem))
    for file in [*files, *files]:
        with registry.apart():
            registry.load_files([file])
            assert registry.find("transform", "mine").__doc__ == file.stem
    with pytest.raises(SettingsError, match="no transform called 'mine'"):
        registry.find("transform", "mine")


def test_what_was_loaded_before_is_still_there_behind(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(PLUGIN.format("before"))
    with registry.apart():
        registry.load_files([file])
        with registry.apart():
            assert registry.find("transform", "mine").__doc__ == "before"
        assert registry.find("transform", "mine").__doc__ == "before"
