"""CONTRIBUTING is true: its commands exist, what lands is checked by them, its lists of files are those of the tree."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docs.markdown import blocks
from tests.docs.repository import ROOT, text_of, tracked

PAGE = text_of(ROOT / "CONTRIBUTING.md")
TYPED = [line.partition("#")[0].strip() for block in blocks(PAGE) for line in block.text.splitlines()]
# What was made for an exercise is not in the tree; of everything else that is named, the way there must be true.
MADE = {
    "elspeth/plugins/sinks/markdown_sink.py",
    "tests/unit/sinks/test_markdown_sink.py",
    "elspeth/cli/commands/settings.py",
    "tests/integration/cli/test_settings_command.py",
    "tests/unit/coordinator/test_unreadable.py",
}
MOST = {"A sink": 3, "A command": 3, "A message between processes": 4}


def exercises() -> dict[str, list[tuple[bool, str]]]:
    """Per kind of change the files that it touched: whether each was new, and its path."""
    found = {}
    for kind, count, listed in re.findall(
        r"^\*\*(.+?)\*\* \(done with [^)]*: (\d) files\)\n\n((?:- .+\n)+)", PAGE, re.M
    ):
        found[kind] = [(bool(new), path) for new, path in re.findall(r"^- (NEW )?`(.+?)`", listed, re.M)]
        assert len(found[kind]) == int(count)
    return found


@pytest.mark.parametrize("kind", MOST)
def test_a_change_of_this_kind_touched_few_files_and_they_are_where_it_says(kind: str) -> None:
    files = exercises()[kind]
    assert 0 < len(files) <= MOST[kind]
    assert {path for new, path in files if new} <= MADE
    assert [path for new, path in files if not (ROOT / path).parent.is_dir()] == []
    assert [path for new, path in files if not new and not (ROOT / path).is_file()] == []


def test_every_path_that_is_named_is_there() -> None:
    paths = {path for path in re.findall(r"`((?:actors|elspeth|ops|tests)/[\w./]+)`", PAGE) if path not in MADE}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    assert len(paths) > 20


def test_what_it_says_to_run_before_a_commit_is_what_lands() -> None:
    assert "ops/check" in TYPED
    steps = [line.strip() for line in text_of(ROOT / ".ci" / "run").splitlines()]
    assert "ops/check" in steps
    assert any(step.startswith("ops/test ") for step in steps)
    assert not [step for step in steps if "last-failed" in step or "reruns" in step]


def test_the_check_refuses_what_it_does_not_know() -> None:
    done = subprocess.run([ROOT / "ops" / "check", "--fast"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert "--fast" in done.stderr


def test_every_folder_of_tests_has_its_line() -> None:
    folders = {file.relative_to(ROOT).parts[1] for file in tracked(".py") if file.relative_to(ROOT).parts[0] == "tests"}
    listed = set(re.findall(r"^\| `tests/(\w+)`", PAGE, re.M)) | {"kit"}
    assert {name for name in folders if not name.endswith(".py")} == listed
