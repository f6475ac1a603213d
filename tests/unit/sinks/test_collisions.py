"""What becomes of a file that is there already: overwritten, refused, stepped aside from, or continued."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.errors import SettingsError
from elspeth.plugins.sinks.csv_sink import CsvSinkOptions

ROWS = [{"n": 1}, {"n": 2}]
OLD = b"the result of last week\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An output of an earlier run."""
    path = tmp_path / "out.csv"
    path.write_bytes(OLD)
    return path


def test_an_old_output_is_overwritten_and_no_cut_is_recorded(old: Path, make_sink: Any) -> None:
    sink = make_sink("csv", "out.csv")
    assert sink.open(sink.inspect()) == []
    sink.write(ROWS)
    sink.finish()
    assert old.read_bytes() == b"n\r\n1\r\n2\r\n"


def test_an_old_output_that_was_changed_since_it_was_looked_at_is_kept_as_a_cut(old: Path, make_sink: Any) -> None:
    sink = make_sink("csv", "out.csv")
    position = sink.inspect()
    old.write_bytes(OLD + b"and a late correction\n")
    (cut,) = sink.open(position)
    assert Path(cut.copy).read_bytes() == OLD + b"and a late correction\n"
    assert old.read_bytes() == b""


def test_a_run_that_died_before_its_first_commit_starts_over_on_its_own_bytes(old: Path, make_sink: Any) -> None:
    sink = make_sink("csv", "out.csv")
    position = sink.inspect()
    sink.open(position)
    sink.write(ROWS)
    sink.flush()
    sink.close()
    again = make_sink("csv", "out.csv")
    (cut,) = again.open(position)
    assert Path(cut.copy).read_bytes() == b"n\r\n1\r\n2\r\n"
    again.write(ROWS)
    again.finish()
    assert old.read_bytes() == b"n\r\n1\r\n2\r\n"


def test_fail_refuses_an_existing_file_and_takes_a_free_name(old: Path, make_sink: Any) -> None:
    with pytest.raises(SettingsError, match="exists already"):
        make_sink("csv", "out.csv", collision_policy="fail").inspect()
    make_sink("csv", "new.csv", collision_policy="fail").inspect()


def test_a_file_that_this_run_made_is_not_refused_when_the_run_resumes(tmp_path: Path, make_sink: Any) -> None:
    sink = make_sink("csv", "new.csv", collision_policy="fail")
    sink.open(sink.inspect())
    sink.write(ROWS)
    position = sink.flush()
    sink.close()
    make_sink("csv", "new.csv", collision_policy="fail").open(position)


def test_auto_increment_takes_the_first_free_name_and_keeps_to_it(old: Path, make_sink: Any, tmp_path: Path) -> None:
    (tmp_path / "out_1.csv").symlink_to("nowhere")
    sink = make_sink("csv", "out.csv", collision_policy="auto_increment")
    position = sink.inspect()
    assert position["path"] == str(tmp_path / "out_2.csv")
    sink.open(position)
    sink.write(ROWS[:1])
    position = sink.flush()
    sink.close()
    again = make_sink("csv", "out.csv", collision_policy="auto_increment")
    again.open(position)
    again.write(ROWS[1:])
    again.finish()
    assert (tmp_path / "out_2.csv").read_bytes() == b"n\r\n1\r\n2\r\n"
    assert old.read_bytes() == OLD


def test_a_collision_policy_beside_append_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="collision_policy is for mode: write"):
        CsvSinkOptions.model_validate({"path": "x", "mode": "append", "collision_policy": "overwrite"})


APPENDED = [
    ("csv", {}, b"n\n0\n", ROWS, b"n\n0\n1\n2\n"),
    ("csv", {}, b"n\n0", ROWS, b"n\n0\n1\n2\n"),
    ("csv", {}, None, ROWS, b"n\r\n1\r\n2\r\n"),
    ("csv", {"line_terminator": "\r\n"}, b"n\r\n0\r\n", ROWS, b"n\r\n0\r\n1\r\n2\r\n"),
    ("csv", {"encoding": "utf-16"}, "n\n0".encode("utf-16"), ROWS, "n\n0\n1\n2\n".encode("utf-16")),
    ("json", {"format": "jsonl"}, b'{"n":0}\n', ROWS, b'{"n":0}\n{"n":1}\n{"n":2}\n'),
    ("json", {"format": "jsonl"}, b'{"n":0}', ROWS, b'{"n":0}\n{"n":1}\n{"n":2}\n'),
    ("text", {}, b"zero\n", ROWS, b"zero\n1\n2\n"),
    ("text", {}, b"zero", ROWS, b"zero\n1\n2\n"),
    ("text", {}, b"", ROWS, b"1\n2\n"),
]


@pytest.mark.parametrize(("kind", "options", "there", "rows", "expected"), APPENDED)
def test_append_goes_on_behind_what_is_there(kind, options, there, rows, expected, tmp_path: Path, make_sink) -> None:
    path = tmp_path / "out"
    if there is not None:
        path.write_bytes(there)
    first = make_sink(kind, mode="append", **options)
    base = first.inspect()
    assert base["size"] == len(there or b"")
    for kept in (0, 1, 2):
        if kept:
            os.truncate(path, base["size"])
        sink = make_sink(kind, mode="append", **options)
        sink.open(base)
        sink.write(rows[:kept])
        position = sink.flush()
        sink.write(rows[kept:])
        sink.flush()
        sink.close()
        again = make_sink(kind, mode="append", **options)
        again.open(position)
        again.write(rows[kept:])
        assert again.finish()["rows"] == 2
        again.close()
        assert path.read_bytes() == expected


def test_a_run_that_appended_nothing_leaves_the_file_as_it_was(tmp_path: Path, make_sink) -> None:
    (tmp_path / "out").write_bytes(b"n\n0")
    sink = make_sink("csv", mode="append")
    sink.open(sink.inspect())
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"n\n0"
