"""What an earlier release wrote holds, is explained, exported, purged and resumed by this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.run import verify_run
from tests.kit.fixtures.unpack import KEY, NAMES, layouts, results, run_ids, unpack
from tests.kit.processes.running import elspeth

pytestmark = pytest.mark.parametrize("layout", layouts())


@pytest.mark.parametrize("name", NAMES)
def test_every_kept_run_holds(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    with AuditReader(folder / "runs" / "audit.db") as reader:
        for run in run_ids(folder):
            assert verify_run(reader, run) == []


def test_the_command_says_so_too(layout: int, tmp_path: Path) -> None:
    folder = unpack("signed", tmp_path / "signed", layout=layout)
    done = elspeth("verify", run_ids(folder)[0], cwd=folder, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["completed", "signed"])
def test_a_kept_export_holds(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    done = elspeth("verify", "export", cwd=folder, ELSPETH_SIGNING_KEY=KEY if name == "signed" else "")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("words", [(), ("--settings", "pipeline.yaml")], ids=["stored settings", "its file"])
def test_a_kept_run_is_resumed_to_the_bytes_that_it_would_have_written(
    words: tuple[str, ...], layout: int, tmp_path: Path
) -> None:
    whole = unpack("completed", tmp_path / "completed", layout=layout)
    folder = unpack("interrupted", tmp_path / "interrupted", layout=layout)
    (run,) = run_ids(folder)
    done = elspeth("resume", run, "--working-directory", ".", "--accept-changed-code", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert results(folder) == results(whole)
    assert elspeth("verify", run, cwd=folder).returncode == 0
    journal = (folder / "runs" / f"audit.{run}.jsonl").read_text().splitlines()
    numbers = [line["commit_no"] for line in map(json.loads, journal) if line["table"] == "commits"]
    assert numbers == list(range(len(numbers)))


def test_a_kept_run_is_explained_and_exported(layout: int, tmp_path: Path) -> None:
    folder = unpack("completed", tmp_path / "completed", layout=layout)
    (run,) = run_ids(folder)
    done = elspeth("explain", "--run", run, "--row", "5", cwd=folder)
    assert "many" in done.stdout
    assert elspeth("export", run, "-o", "again", cwd=folder).returncode == 0
    assert elspeth("verify", "again", cwd=folder).returncode == 0


def test_a_kept_run_is_purged_and_holds(layout: int, tmp_path: Path) -> None:
    folder = unpack("completed", tmp_path / "completed", layout=layout)
    (run,) = run_ids(folder)
    assert elspeth("purge", "--run", run, cwd=folder).returncode == 0
    assert elspeth("verify", run, cwd=folder).returncode == 0
    assert "no longer kept" in elspeth("explain", "--run", run, "--row", "5", cwd=folder).stdout
