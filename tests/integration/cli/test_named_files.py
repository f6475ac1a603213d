"""A command that is given the name of a file where it wants a run says which file is not there, or who takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

COMMANDS = [
    ("verify", "nothing.jsonl"), ("verify", "runs/audit.mf3k2a9x.jsonl"), ("verify", "evidence/"),
    ("export", "nothing.jsonl", "-o", "out"), ("explain", "--run", "nothing.jsonl", "--row", "1"),
    ("graph", "nothing.yaml"), ("graph", "--settings", "nothing.yaml"), ("status", "nothing.json"),
    ("resume", "nothing.yaml"), ("purge", "--run", "runs/nothing"),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("with_database", [False, True])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, words: tuple[str, ...], with_database: bool) -> None:
    if with_database:
        (tmp_path / "in.csv").write_text("id\n1\n")
        (tmp_path / "pipeline.yaml").write_text(
            "source: {plugin: csv, options: {path: in.csv}, on_validation_failure: discard}\n"
            "sinks: {out: {plugin: csv, options: {path: out.csv}}}\ndefault_sink: out\n"
        )
        assert elspeth("run", "--execute", cwd=tmp_path).returncode == 0
    done = elspeth(*words, cwd=tmp_path)
    said = " ".join(done.stderr.split())
    (named,) = (word for word in words if "nothing" in word or "evidence" in word or "mf3k2a9x" in word)
    assert done.returncode == 2, said
    assert named.rstrip("/") in said
    assert "does not exist" in said or "there is no such file" in said
    assert "no audit database" not in said


@pytest.mark.parametrize(
    ("name", "words", "step"),
    [
        ("pipeline.yaml", ("graph", "pipeline.yaml"), "elspeth graph --settings pipeline.yaml"),
        ("pipeline.yaml", ("resume", "pipeline.yaml"), "elspeth run --settings pipeline.yaml"),
        (
            "pipeline.yml",
            ("explain", "--run", "pipeline.yml", "--row", "1"),
            "elspeth validate --settings pipeline.yml",
        ),
        ("journal.jsonl", ("export", "journal.jsonl", "-o", "out"), "elspeth verify journal.jsonl"),
    ],
)
def test_a_file_that_is_there_is_no_run_and_who_takes_it_is_said(
    tmp_path: Path, name: str, words: tuple[str, ...], step: str
) -> None:
    (tmp_path / name).write_text("")
    done = elspeth(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{name} is a file, and what is asked for here is a run" in " ".join(done.stderr.split())
    assert step in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_without_an_export_is_still_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    done = elspeth("verify", "evidence", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds no export" in done.stderr
