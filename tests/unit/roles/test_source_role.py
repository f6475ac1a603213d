"""The source without a process: chunks against credit, what each says of where it ends, and how sources end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.execution import codec
from elspeth.roles import source as source_role
from elspeth.roles.plan import Plan
from elspeth.roles.source import SourceRole
from elspeth.runs.lifecycle.pipeline import load_pipeline
from tests.unit.roles.in_process import Port, role_of

SINKS = "sinks: {out: {plugin: csv, options: {path: out.csv}}}\ndefault_sink: out\n"
FEW_FILES = "source: {plugin: csv, options: {path: 'in/*.csv', on_validation_failure: discard}}\n" + SINKS
TYPED = (
    "source: {plugin: csv, options: {path: in/a.csv, on_validation_failure: discard, "
    "schema: {mode: strict, fields: ['n: int']}}}\n" + SINKS
)
TWO = """
sources:
  one: {plugin: csv, options: {path: in/a.csv, on_validation_failure: discard}}
  two: {plugin: csv, options: {path: in/b.csv, on_validation_failure: discard}}
""" + SINKS  # fmt: skip
ANEW = m.ReadFrom({}, 0, 0)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Port]]:
    """The role of a pipeline over these files of rows, told where to read from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_role, "PATIENCE_SECONDS", float("inf"))

    def begin(pipeline: str, files: dict[str, list[str]], where: m.ReadFrom = ANEW) -> tuple[Any, Port]:
        Path("in").mkdir(exist_ok=True)
        for name, lines in files.items():
            Path("in", name).write_text("\n".join(["n", *lines]) + "\n")
        Path("pipeline.yaml").write_text(pipeline)
        graph = load_pipeline(Path("pipeline.yaml"), environ={}, dotenv=False).graph
        plan = Plan(run_id="mf3k2a9x", attempt=1, graph=graph, working_directory=str(tmp_path), state_directory="state",
                    database=str(tmp_path / "audit.db"))  # fmt: skip
        role, port = role_of(SourceRole, plan)
        role.begin()
        role.take(where, [])
        assert [message for message, _ in port.take()] == [m.Ready()]
        return role, port

    return begin


def numbers(count: int, first: int = 0) -> list[str]:
    return [str(first + number) for number in range(count)]


def read(role: Any, port: Port, chunks: int, rows: int) -> list[tuple[m.Chunk, codec.RowBatch | None]]:
    role.take(m.Credit(chunks, rows), [])
    return [(chunk, codec.decode_rows(body) if body else None) for chunk, [body] in port.take()]


def test_each_credit_is_a_chunk_that_goes_on_where_the_last_one_ended(begun: Callable[..., tuple[Any, Port]]) -> None:
    role, port = begun(FEW_FILES, {"a.csv": numbers(5)})
    found = read(role, port, 2, 2)
    assert [(chunk.seq, chunk.row_index, chunk.rows, chunk.ended, chunk.last) for chunk, _ in found] == [
        (0, 0, 2, False, False), (1, 2, 2, False, False),
    ]  # fmt: skip
    assert [[row["n"] for row in batch.rows] for _, batch in found if batch] == [["0", "1"], ["2", "3"]]
    assert [batch.row_index for _, batch in found if batch] == [0, 2]
    found = read(role, port, 5, 2)
    assert [(chunk.seq, chunk.row_index, chunk.rows, chunk.ended, chunk.last) for chunk, _ in found] == [
        (2, 4, 1, False, False), (3, 5, 0, True, True),
    ]  # fmt: skip
    assert read(role, port, 5, 2) == []


def test_a_chunk_says_from_which_row_on_rows_are_of_which_file(begun: Callable[..., tuple[Any, Port]]) -> None:
    role, port = begun(
        FEW_FILES, {"a.csv": numbers(3), "b.csv": numbers(2), "c.csv": numbers(2)}, m.ReadFrom({}, 7, 100)
    )
    found = read(role, port, 3, 4)
    assert [chunk.seq for chunk, _ in found] == [7, 8, 9]
    assert [chunk.files for chunk, _ in found] == [
        ((100, str(Path("in/a.csv"))), (103, str(Path("in/b.csv")))), ((105, str(Path("in/c.csv"))),), (),
    ]  # fmt: skip


def test_a_chunk_can_be_split_at_every_32nd_row_and_at_its_end(begun: Callable[..., tuple[Any, Port]]) -> None:
    role, port = begun(FEW_FILES, {"a.csv": numbers(200)})
    [(chunk, batch), (whole, _)] = read(role, port, 1, 70) + read(role, port, 1, 64)
    assert [point.rows for point in chunk.split_points] == [32, 64, 70]
    assert batch is not None
    assert batch.split_points == [32, 64, 70]
    assert [point.rows for point in whole.split_points] == [32, 64]
    assert len({repr(point.cursor) for point in chunk.split_points}) == 3


def test_what_a_split_point_says_is_enough_to_go_on_from_there(begun: Callable[..., tuple[Any, Port]]) -> None:
    files = {"a.csv": numbers(50), "b.csv": numbers(50, 50)}
    role, port = begun(FEW_FILES, files)
    [(chunk, _)] = read(role, port, 1, 96)
    point = chunk.split_points[1]
    held = SourcePosition(cursor=point.cursor, proof=point.proof, row_count=64)
    role, port = begun(FEW_FILES, files, m.ReadFrom({chunk.source: held}, 3, 64))
    [(chunk, batch), (end, _)] = read(role, port, 2, 1000)
    assert (chunk.row_index, chunk.rows, end.last) == (64, 36, True)
    assert batch is not None
    assert [row["n"] for row in batch.rows] == numbers(36, 64)


def test_a_chunk_ends_where_its_rows_are_large(
    begun: Callable[..., tuple[Any, Port]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_role, "CHUNK_BYTES", 1000)
    role, port = begun(FEW_FILES, {"a.csv": ["x" * 30] * 200})
    assert [chunk.rows for chunk, _ in read(role, port, 3, 1000)] == [64, 64, 64]
    role, port = begun(FEW_FILES, {"a.csv": ["x" * 3000] * 4})
    assert [chunk.rows for chunk, _ in read(role, port, 2, 1000)] == [1, 1]


def test_a_row_that_is_none_stands_in_its_place_with_what_is_wrong(begun: Callable[..., tuple[Any, Port]]) -> None:
    role, port = begun(TYPED, {"a.csv": ["1", "two", "3", "4,5"]})
    [(chunk, batch)] = read(role, port, 1, 10)
    assert chunk.rows == 4
    assert batch is not None
    assert batch.rows == [{"n": 1}, None, {"n": 3}, None]
    assert batch.lines == [2, 3, 4, 5]
    assert {place: (bad.raw, bad.line) for place, bad in batch.bad.items()} == {1: ("two", 3), 3: ("4,5", 5)}
    assert "expected int, found 'two'" in batch.bad[1].error


def test_sources_are_read_one_after_the_other_and_the_last_one_ends_the_input(
    begun: Callable[..., tuple[Any, Port]],
) -> None:
    role, port = begun(TWO, {"a.csv": numbers(3), "b.csv": numbers(2)})
    found = read(role, port, 2, 10)
    assert [(chunk.source, chunk.row_index, chunk.rows, chunk.ended, chunk.last) for chunk, _ in found] == [
        ("one", 0, 3, False, False), ("one", 3, 0, True, False), ("two", 3, 2, False, False),
    ]  # fmt: skip
    [(end, _)] = read(role, port, 1, 10)
    assert (end.source, end.seq, end.row_index, end.ended, end.last) == ("two", 3, 5, True, True)


def test_a_source_that_has_ended_is_not_read_again(begun: Callable[..., tuple[Any, Port]]) -> None:
    where = m.ReadFrom({"one": SourcePosition(row_count=3, ended=True)}, 2, 3)
    role, port = begun(TWO, {"a.csv": numbers(3), "b.csv": numbers(2)}, where)
    found = read(role, port, 9, 10)
    assert [(chunk.source, chunk.rows, chunk.last) for chunk, _ in found] == [("two", 2, False), ("two", 0, True)]
    where = m.ReadFrom({name: SourcePosition(row_count=1, ended=True) for name in ("one", "two")}, 2, 5)
    role, port = begun(TWO, {"a.csv": numbers(3), "b.csv": numbers(2)}, where)
    assert read(role, port, 9, 10) == []


def test_a_source_without_rows_ends_at_once(begun: Callable[..., tuple[Any, Port]]) -> None:
    role, port = begun(FEW_FILES, {"a.csv": []})
    [(end, _)] = read(role, port, 1, 10)
    assert (end.seq, end.rows, end.ended, end.last) == (0, 0, True, True)
