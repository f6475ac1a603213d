"""The source process: what it sends against credit, in which order, and where it continues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.concealment import NOTHING
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.execution.codec import RowBatch, decode_rows
from elspeth.roles import source
from elspeth.roles.plan import Plan, encode_plan
from elspeth.roles.source import SourceRole
from elspeth.runs.lifecycle.pipeline import load_pipeline

PIPELINE = """
sources:
  one: {plugin: csv, options: {path: one.csv}, on_validation_failure: discard, on_success: out}
  two: {plugin: csv, options: {path: two.csv}, on_validation_failure: discard, on_success: out}
sinks: {out: {plugin: csv, options: {path: out.csv}}}
"""
LONG = "x" * 1000


class Port:
    """What is said to the parent; `waits` and `places` are what it says of itself meanwhile."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, bytes]] = []
        self.waits: list[bool] = []
        self.places: list[int] = []

    def beat(self) -> None:
        pass

    def at(self, place: int) -> None:
        self.places.append(place)

    def waiting(self, wait: bool) -> None:
        self.waits.append(wait)

    def send(self, *parts: bytes) -> None:
        self.said.append((m.decode(parts[0]), bytes(parts[1]) if len(parts) > 1 else b""))

    def chunks(self) -> list[m.Chunk]:
        return [message for message, _ in self.said if isinstance(message, m.Chunk)]

    def batches(self) -> list[RowBatch]:
        return [decode_rows(body) for message, body in self.said if isinstance(message, m.Chunk) and message.rows]

    def ids(self) -> list[str]:
        return [row["id"] for batch in self.batches() for row in batch.rows if row is not None]


def lines(ids: range) -> str:
    return "id\n" + "".join(f"{number}\n" for number in ids)


Begin = Callable[[str, str], tuple[SourceRole, Port]]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins the role on the texts of two inputs; no row waits for the clock."""
    here = Path.cwd()
    os.chdir(tmp_path)
    monkeypatch.setattr(source, "PATIENCE_SECONDS", float("inf"))

    def begun(one: str, two: str) -> tuple[SourceRole, Port]:
        Path("one.csv").write_text(one)
        Path("two.csv").write_text(two)
        Path("pipeline.yaml").write_text(PIPELINE)
        pipeline = load_pipeline(Path("pipeline.yaml"))
        plan = Plan(
            run_id="mf3k2a9x", attempt=1, graph=pipeline.graph, working_directory=str(tmp_path),
            state_directory=str(tmp_path / "state"), database=str(tmp_path / "audit.db"), headers=pipeline.headers,
        )  # fmt: skip
        port = Port()
        role = SourceRole(port, encode_plan(plan))  # type: ignore[arg-type]
        role.failed, role.concealment = False, NOTHING
        role.begin()
        return role, port

    yield begun
    os.chdir(here)


def read_from(role: SourceRole, positions: dict[str, SourcePosition], seq: int = 0, row_index: int = 0) -> None:
    role.take(m.ReadFrom(positions, seq, row_index), [])


def test_sources_are_read_one_after_the_other_and_each_says_its_end(begin: Begin) -> None:
    role, port = begin(lines(range(3)), lines(range(3, 5)))
    read_from(role, {})
    assert [type(message) for message, _ in port.said] == [m.Ready]
    role.take(m.Credit(10, 100), [])
    found = [(c.seq, c.row_index, c.rows, c.ended, c.last) for c in port.chunks()]
    assert found == [(0, 0, 3, False, False), (1, 3, 0, True, False), (2, 3, 2, False, False), (3, 5, 0, True, True)]
    assert port.ids() == ["0", "1", "2", "3", "4"]
    assert [batch.lines for batch in port.batches()] == [[2, 3, 4], [2, 3]]
    assert port.waits == [True, False]
    role.take(m.Credit(10, 100), [])
    assert len(port.chunks()) == 4


def test_a_credit_is_one_chunk_of_so_many_rows_at_the_most(begin: Begin) -> None:
    role, port = begin(lines(range(10)), lines(range(10, 12)))
    read_from(role, {})
    role.take(m.Credit(1, 4), [])
    assert [chunk.rows for chunk in port.chunks()] == [4]
    role.take(m.Credit(2, 5), [])
    assert [chunk.rows for chunk in port.chunks()] == [4, 5, 1]
    role.take(m.Credit(1, 5), [])  # the end of a source takes no credit from the next one
    assert [(chunk.rows, chunk.ended) for chunk in port.chunks()[3:]] == [(0, True), (2, False)]


def test_a_source_that_had_ended_is_not_read_again(begin: Begin) -> None:
    role, port = begin(lines(range(3)), lines(range(3, 5)))
    read_from(role, {"one": SourcePosition(row_count=3, ended=True)}, seq=7, row_index=3)
    role.take(m.Credit(10, 100), [])
    found = [(c.seq, c.row_index, c.rows, c.ended, c.last) for c in port.chunks()]
    assert found == [(7, 3, 2, False, False), (8, 5, 0, True, True)]
    assert port.ids() == ["3", "4"]
    assert port.places == [4, 5]


def test_where_all_had_ended_nothing_is_sent(begin: Begin) -> None:
    role, port = begin(lines(range(3)), lines(range(3, 5)))
    read_from(role, {name: SourcePosition(row_count=2, ended=True) for name in ("one", "two")})
    role.take(m.Credit(10, 100), [])
    assert port.chunks() == []


def test_it_continues_behind_the_cursor_of_any_split_point(begin: Begin) -> None:
    texts = lines(range(100)), lines(range(100, 103))
    role, port = begin(*texts)
    read_from(role, {})
    role.take(m.Credit(20, 100), [])
    everything = port.ids()
    first = port.chunks()[0]
    assert [split_point.rows for split_point in first.split_points] == [32, 64, 96, 100]
    assert port.batches()[0].split_points == [32, 64, 96, 100]
    for split_point in first.split_points:
        again, port = begin(*texts)
        position = SourcePosition(split_point.cursor, split_point.proof, split_point.rows)
        read_from(again, {"one": position}, seq=3, row_index=split_point.rows)
        again.take(m.Credit(20, 100), [])
        assert port.ids() == everything[split_point.rows :]


def test_a_chunk_is_no_larger_than_it_need_be_to_be_worth_sending(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", 50 * len(LONG))
    role, port = begin("id,text\n" + "".join(f"{n},{LONG}\n" for n in range(200)), lines(range(1)))
    read_from(role, {})
    role.take(m.Credit(20, 10_000), [])
    # Looked at every 32 rows: the first at which there are 50,000 bytes.
    assert [chunk.rows for chunk in port.chunks() if chunk.source == "one"] == [64, 64, 64, 8, 0]


def test_a_row_that_cannot_be_read_is_none_with_what_was_read_and_its_line(begin: Begin) -> None:
    role, port = begin("id,x\n1,a\n2\n3,c\n", lines(range(1)))
    read_from(role, {})
    role.take(m.Credit(1, 100), [])
    [batch] = port.batches()
    assert [row and row["id"] for row in batch.rows] == ["1", None, "3"]
    assert {place: (bad.raw, bad.line) for place, bad in batch.bad.items()} == {1: ("2", 3)}
