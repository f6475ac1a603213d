"""The journal beside the database and the export to a sink: complete, whole lines, nothing twice, whatever died."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain.records import COLUMNS
from tests.kit.processes.running import EXAMPLES, begin, elspeth, pausing, wait_until


def lay_out(folder: Path, example: str, more: str) -> Path:
    shutil.copytree(EXAMPLES / example, folder / "t", ignore=shutil.ignore_patterns("output", "runs", "state"))
    with (folder / "t" / "pipeline.yaml").open("a") as file:
        file.write(more)
    return folder / "t"


def run(folder: Path, **more: str) -> None:
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder, **more)
    assert done.returncode == 0, done.stderr


def whole(journal: Path, database: Path) -> list[dict[str, Any]]:
    """The journal's records, after asserting that they are exactly what the database holds."""
    text = journal.read_text()
    assert text.endswith("\n")
    records = [json.loads(line) for line in text.splitlines()]
    found = Counter(record["table"] for record in records)
    with closing(sqlite3.connect(database)) as connection:
        for table in (*COLUMNS, "commits", "runs", "run_attempts"):
            assert found[table] == connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
        links = connection.execute(
            "SELECT run_id, commit_no, digest FROM commits ORDER BY run_id, commit_no"
        ).fetchall()
    render = [(link["run_id"], link["commit_no"], link["digest"]) for link in records if link["table"] == "commits"]
    assert sorted(render) == links
    return records


@pytest.mark.parametrize("example", ["threshold", "batches", "second_opinions"])
def test_the_journal_holds_every_record_commit_by_commit(example: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path, example, "landscape: {dump_to_jsonl: true}\n")
    run(folder)
    (journal,) = (folder / "runs").glob("audit.*.jsonl")
    numbers = [record["commit_no"] for record in whole(journal, folder / "runs" / "audit.db")]
    assert numbers == sorted(numbers)


def test_what_is_caught_up_is_byte_for_byte_what_was_written_at_once(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "batches", "landscape: {dump_to_jsonl: true}\n")
    run(folder)
    (journal,) = (folder / "runs").glob("audit.*.jsonl")
    written = journal.read_bytes()
    for left in (0, 1, len(written) // 2, len(written) - 1):
        journal.write_bytes(written[:left])
        assert elspeth("resume", "latest", cwd=folder).returncode == 0
        assert journal.read_bytes() == written


@pytest.mark.parametrize("point", ["audit.after_commit", "audit.before_journal", "audit.after_journal"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_death_around_the_journal_loses_and_doubles_nothing(point: str, count: int, tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "threshold", "landscape: {dump_to_jsonl: true}\n")
    run(folder, CRASH_POINT=f"{point}:{count}:{tmp_path / 'mark'}")
    assert (tmp_path / "mark").exists()
    (journal,) = (folder / "runs").glob("audit.*.jsonl")
    whole(journal, folder / "runs" / "audit.db")


def test_runs_may_share_a_journal_and_a_torn_end_of_one_is_mended_by_the_next(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "threshold", "landscape: {dump_to_jsonl: true, dump_to_jsonl_path: journal.jsonl}\n")
    run(folder)
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"table":"rows","run_id":"zzzzzzzz"}\n{"table":"ro')
    run(folder)
    records = whole(folder / "journal.jsonl", folder / "runs" / "audit.db")
    assert len({record["run_id"] for record in records}) == 2


@pytest.mark.parametrize("left", [1, 400])
def test_what_is_torn_off_a_run_that_is_complete_is_written_again_by_the_next(left: int, tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "threshold", "landscape: {dump_to_jsonl: true, dump_to_jsonl_path: journal.jsonl}\n")
    run(folder)
    journal = folder / "journal.jsonl"
    written = journal.read_bytes()
    journal.write_bytes(written[:-left] + bytes(left))  # a page of NULs, where the disk never got the last one
    run(folder)
    assert journal.read_bytes().startswith(written)
    assert len({record["run_id"] for record in whole(journal, folder / "runs" / "audit.db")}) == 2


def test_a_killed_run_has_its_journal_complete_after_the_resume(tmp_path: Path) -> None:
    pausing(tmp_path, 10)
    with (tmp_path / "pipeline.yaml").open("a") as file:
        file.write("landscape: {dump_to_jsonl: true}\n")
    process = begin("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)
    wait_until(lambda: (tmp_path / "reached").exists(), process)
    process.kill()
    process.communicate()
    (tmp_path / "go").touch()
    assert elspeth("resume", "latest", cwd=tmp_path).returncode == 0
    (journal,) = (tmp_path / "runs").glob("audit.*.jsonl")
    whole(journal, tmp_path / "runs" / "audit.db")


JSON_EXPORT = "landscape: {export: {enabled: true, sink: evidence}}\n"
CSV_EXPORT = "landscape: {export: {enabled: true, sink: evidence, format: csv}}\n"


def exporting(folder: Path, settings: str, plugin: str, ending: str) -> Path:
    folder = lay_out(folder, "threshold", settings)
    pipeline = folder / "pipeline.yaml"
    sink = f"  evidence: {{plugin: {plugin}, options: {{path: output/evidence.{ending}}}}}\ndefault_sink"
    pipeline.write_text(pipeline.read_text().replace("default_sink", sink, 1))
    return folder


@pytest.mark.parametrize(("settings", "plugin", "ending"), [(JSON_EXPORT, "json", "jsonl"), (CSV_EXPORT, "csv", "csv")])
def test_the_records_are_handed_to_the_sink_when_the_run_ends(
    settings: str, plugin: str, ending: str, tmp_path: Path
) -> None:
    folder = exporting(tmp_path, settings, plugin, ending)
    run(folder)
    lines = (folder / "output" / f"evidence.{ending}").read_text().splitlines()
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM token_outcomes").fetchone()
    assert sum("token_outcomes" in line and "manifest" not in line and "commit_tables" not in line
               for line in lines) == rows  # fmt: skip
    assert "manifest" in lines[-1]
    assert elspeth("verify", "latest", "--outputs", cwd=folder).returncode == 0


def test_an_export_that_is_missing_is_made_by_resuming_the_completed_run(tmp_path: Path) -> None:
    folder = exporting(tmp_path, JSON_EXPORT, "json", "jsonl")
    run(folder)
    evidence = folder / "output" / "evidence.jsonl"
    written = evidence.read_bytes()
    evidence.unlink()
    done = elspeth("resume", "latest", cwd=folder)
    assert done.returncode == 0
    assert "handed to the sink evidence" in done.stdout
    assert evidence.read_bytes() == written
    assert "Nothing was done." in elspeth("resume", "latest", cwd=folder).stdout


def test_an_export_that_was_cut_short_is_written_again_and_not_twice(tmp_path: Path) -> None:
    folder = exporting(tmp_path, JSON_EXPORT, "json", "jsonl")
    run(folder)
    evidence = folder / "output" / "evidence.jsonl"
    written = evidence.read_bytes()
    (note,) = (folder / "state" / "exports").iterdir()
    position = json.loads(note.read_text())["position"] | {
        "size": 0, "rows": 0, "finished": False, "format": {},
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }  # fmt: skip
    note.write_text(json.dumps({"position": position, "done": False}))
    evidence.write_bytes(written[:1000])
    assert elspeth("resume", "latest", cwd=folder).returncode == 0
    assert evidence.read_bytes() == written
