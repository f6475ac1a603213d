"""What an earlier release wrote holds, is explained, exported, purged and resumed by this one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
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


def lines(path: Path, *, as_written: bool) -> list[dict[str, Any]]:
    """What a journal, or a copy that a sink was handed, holds; which layout a commit has is said since the second."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    if not as_written:
        for line in found:
            if line["table"] == "commits" and line["layout"] is None:
                del line["layout"]
    return found


def test_copies_of_a_kept_run_that_are_gone_are_made_again_from_its_database_as_it_is(
    layout: int, tmp_path: Path
) -> None:
    folder = unpack("completed", tmp_path / "completed", layout=layout)
    (run,) = run_ids(folder)
    copies = [folder / "output" / "evidence.jsonl", folder / "runs" / f"audit.{run}.jsonl"]
    before = [lines(copy, as_written=True) for copy in copies]
    for copy in copies:
        copy.unlink()
    database = (folder / "runs" / "audit.db").read_bytes()
    done = elspeth("resume", run, "--working-directory", ".", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "handed to the sink evidence" in done.stdout
    assert "that were missing in the journal" in done.stdout
    for copy, held in zip(copies, before, strict=True):
        again = lines(copy, as_written=False)
        assert [line for line in again if line["table"] != "manifest"] == [
            line for line in held if line["table"] != "manifest"
        ]
    assert elspeth("verify", copies[1], cwd=folder).returncode == 0
    assert (folder / "runs" / "audit.db").read_bytes() == database


def test_a_kept_run_is_shown_by_whatever_reads(layout: int, tmp_path: Path) -> None:
    for name in NAMES[:-1]:  # the checkpoints of `every_table` are made up
        folder = unpack(name, tmp_path / name, layout=layout)
        for words in (("runs",), ("status", "latest"), ("graph", "latest"), ("explain", "--row", "0")):
            done = elspeth(*words, cwd=folder)
            assert done.returncode == 0 or (name == "purged" and words[0] == "explain"), (name, words, done.stderr)
            assert "bug in Elspeth" not in done.stderr
        with closing(sqlite3.connect(folder / "runs" / "audit.db")) as database:
            assert schema.version(database) == layout
