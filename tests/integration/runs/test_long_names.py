"""A name or path that leaves no room for a file that the run will need is found before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth, tree

PIPELINE = """
source: {plugin: csv, options: {path: in.csv}, on_validation_failure: discard}
sinks: {out: {plugin: csv, options: {path: "OUT"}}}
default_sink: out
landscape: {url: "sqlite:///./DATABASE"MORE}
payload_store: {base_path: "PAYLOADS"}
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def lay(folder: Path, *, out: str = "out.csv", database: str = "audit.db", more: str = "",
        payloads: str = "state/payloads") -> None:  # fmt: skip
    text = PIPELINE.replace("OUT", out).replace("DATABASE", database).replace("MORE", more)
    (folder / "pipeline.yaml").write_text(text.replace("PAYLOADS", payloads))
    (folder / "in.csv").write_text("id\n1\n")


def filled(folder: Path, length: int, name: str) -> str:
    """A path relative to `folder` that ends in `name` and has `length` bytes when it is absolute."""
    left = length - len(str(folder)) - len(name) - 2
    parts = []
    while left > 0:
        parts.append("f" * min(left, 200))
        left -= len(parts[-1]) + 1
    return "/".join([*parts, name])


def refused(folder: Path, key: str, *words: str) -> None:
    before = tree(folder)
    for command in (("validate", "--settings", "pipeline.yaml"), RUN):
        done = elspeth(*command, cwd=folder)
        said = " ".join(done.stderr.split())
        assert done.returncode == 2, said
        assert key in said
        for word in words:
            assert word in said
    assert tree(folder) == before


def test_a_database_whose_side_files_would_have_too_long_a_name(tmp_path: Path) -> None:
    lay(tmp_path, database="a" * 247)
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "out.csv").unlink()
    lay(tmp_path, database="b" * 248)
    refused(tmp_path, "landscape.url", "the database's journal file", "256 bytes", "255 are possible")


def test_a_journal_of_a_run_that_would_have_too_long_a_name(tmp_path: Path) -> None:
    lay(tmp_path, database="b" * 241 + ".db", more=", dump_to_jsonl: true")
    refused(tmp_path, "landscape.url", "the journal of a run", "256 bytes")


def test_a_journal_and_a_payload_store_that_nobody_can_make(tmp_path: Path) -> None:
    lay(tmp_path, more=f", dump_to_jsonl: true, dump_to_jsonl_path: {'j' * 256}")
    refused(tmp_path, "landscape.dump_to_jsonl_path", "the journal", "256 bytes")
    lay(tmp_path, payloads="p" * 256 + "/payloads")
    refused(tmp_path, "payload_store.base_path", "a payload", "256 bytes")


@pytest.mark.parametrize(("what", "key", "said"), [
    ("database", "landscape.url", "side"), ("payloads", "payload_store.base_path", "a payload"),
    ("out", "sinks.out.options.path", "the copy that a take-over makes"),
])  # fmt: skip
def test_a_path_that_is_possible_and_leaves_no_room_for_what_comes_later(
    tmp_path: Path, what: str, key: str, said: str
) -> None:
    path = filled(tmp_path, 4090, "x.db")
    lay(tmp_path, **{what: path})
    refused(tmp_path, key, "" if said == "side" else said, "4,095 are possible")


def test_the_copy_of_a_tail_has_room_or_it_is_said(tmp_path: Path) -> None:
    lay(tmp_path, out="o" * 255, payloads=filled(tmp_path, 3850, "p"))
    refused(tmp_path, "payload_store.base_path", "copies of what is cut off")
    lay(tmp_path, out="o" * 255)
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
