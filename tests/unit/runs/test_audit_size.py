"""The estimate of an audit trail's size: what it counts, and where it says that it cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.graph.model import Graph
from elspeth.plugins.contract import SourceInfo
from elspeth.runs.views.audit_size import (
    EMPTY_BYTES,
    FIELD_BYTES,
    GATE_BYTES,
    ROW_BYTES,
    SAMPLE_BYTES,
    STEP_BYTES,
    InputRows,
    audit_bytes,
    estimate,
    input_rows,
)

NOTHING = Graph((), (), ())


def test_every_row_and_every_step_with_it_counts() -> None:
    assert audit_bytes([], 3, 1) == EMPTY_BYTES
    one = audit_bytes([InputRows(1, 50)], 2, 1) - EMPTY_BYTES
    assert one == ROW_BYTES + 50 + 2 * (STEP_BYTES + 50) + GATE_BYTES
    assert audit_bytes([InputRows(1000, 50), InputRows(500, 50)], 2, 1) == EMPTY_BYTES + 1500 * one


@pytest.mark.parametrize(
    ("sample", "header", "rows", "body"),
    [(b"id,v\n" + b"1,22\n" * 99, {"id": "id", "v": "v"}, 100, 5 + 3 + 2 * FIELD_BYTES),
     (b'{"a":1}\n' * 10, None, 62, 8),
     (b'[{"a": 1},\n{"a": 2},\n{"a": 3}]', None, 50, 10),
     (b'[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]', None, 23, 21),
     (b"no line end", None, 45, 11), (b"", None, 500, 1)],
)  # fmt: skip
def test_rows_are_counted_in_the_beginning_of_an_input(
    sample: bytes, header: dict[str, str] | None, rows: int, body: int
) -> None:
    assert input_rows(500, sample, header) == InputRows(rows, body)


def test_an_input_is_larger_than_its_sample(tmp_path: Path) -> None:
    file = tmp_path / "input.jsonl"
    file.write_bytes(b'{"a":12}\n' * 100_000)
    size = estimate(NOTHING, {"source": SourceInfo(file.stat().st_size, (file,))})
    assert file.stat().st_size > SAMPLE_BYTES
    assert size == pytest.approx(audit_bytes([InputRows(100_000, 9)], 0, 0), rel=0.01)


def test_of_an_input_that_cannot_say_how_large_it_is_nothing_is_estimated(tmp_path: Path) -> None:
    file = tmp_path / "input.jsonl"
    file.write_bytes(b"{}\n")
    assert estimate(NOTHING, {"known": SourceInfo(3, (file,)), "unknown": SourceInfo()}) is None
    assert estimate(NOTHING, {"gone": SourceInfo(3, (tmp_path / "gone",))}) is not None


def test_of_an_input_of_several_files_the_first_one_is_looked_at(tmp_path: Path) -> None:
    short, long = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    short.write_bytes(b'{"a":12}\n' * 10)
    long.write_bytes(b'{"a":' + b"1" * 80 + b"}\n")
    size = short.stat().st_size + long.stat().st_size
    expected = audit_bytes([input_rows(size, short.read_bytes(), None)], 0, 0)
    assert estimate(NOTHING, {"source": SourceInfo(size, (short, long))}) == expected
