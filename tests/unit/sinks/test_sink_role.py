"""The process of the sinks: what a sink refuses goes where it is to go, in the order of the micro-batch, and is counted
once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit.store.commits.record_frames import records_in
from elspeth.concealment import NOTHING
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.protocol import Write, Written
from elspeth.coordinator.tally import NodeTally, Tally
from elspeth.execution.codec import SinkItems
from elspeth.execution.counts import Counts, numbers_of
from elspeth.roles.sink import OpenOutput, SinkRole, _diverting_first
from elspeth.runs.lifecycle.pipeline import load_pipeline

PIPELINE = """
source: {plugin: "null"}
gates: [{name: odd, condition: "row['id'] % 2 == 1", routes: {"true": second, "false": continue}}]
sinks:
  first: {plugin: csv, options: {path: first.csv}, on_write_failure: last}
  last: {plugin: csv, options: {path: last.csv}}
  second: {plugin: csv, options: {path: second.csv}, on_write_failure: discard}
default_sink: first
"""
NAMES = ("first", "last", "second")


class Plugin:
    """Takes every row but those that say which sink refuses them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[list[dict[str, Any]]] = []
        self.finished = False

    def write(self, rows: list[dict[str, Any]]) -> list[str | None]:
        self.calls.append(rows)
        return [f"not by {self.name}" if self.name in row["refused_by"] else None for row in rows]

    def finish(self) -> None:
        self.finished = True

    def taken(self) -> list[int]:
        return [row["id"] for rows in self.calls for row in rows if self.name not in row["refused_by"]]


class Stage:
    """The role with three such sinks; `touched` are the places that it said it touches."""

    def __init__(self) -> None:
        graph = load_pipeline(Path("pipeline.yaml")).graph
        self.role = SinkRole.__new__(SinkRole)
        self.role._nodes = _diverting_first(list(graph.of_kind("sink")))
        self.role._counts, self.role._numbers = Counts(), numbers_of(graph)
        self.plugins = {name: Plugin(name) for name in NAMES}
        nodes = {node.id: node for node in self.role._nodes}
        self.role._outputs = {
            name: OpenOutput(nodes[name], self.plugins[name], 10)  # type: ignore[arg-type]
            for name in NAMES
        }
        self.role.concealment, self.role._mark = NOTHING, None
        self.touched: list[int] = []
        self.role.port = SimpleNamespace(beat=lambda: None, at=lambda place, no: self.touched.append(place))
        self.sent: list[tuple[Any, bytes]] = []
        self.role.send = lambda message, *bodies: self.sent.append((message, bodies[0]))  # type: ignore[method-assign]

    def tally(self, nodes: dict[str, tuple[int, int]], refused: dict[str, int]) -> Tally:
        """Rows that came to each sink and those of them that it refused, and how many each sent to its other sink."""
        numbers, ways = self.role._numbers, {node.id: node.on_error for node in self.role._nodes}
        edges = {numbers.edges[way.edge]: count for sink, count in refused.items() if (way := ways[sink]) is not None}
        return Tally({numbers.nodes[sink]: NodeTally(*counts, 0, 0) for sink, counts in nodes.items()}, edges, 0)

    def write(self, message: Write, **items: SinkItems) -> tuple[Written, dict[str, list[tuple[Any, ...]]]]:
        self.role._write(message, items)
        ((written, body),) = self.sent
        return written, records_in(body)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    Path("pipeline.yaml").write_text(PIPELINE)
    return Stage()


def items(*rows: tuple[int, str], outcome: str = "routed") -> SinkItems:
    """Items with these numbers, which are their place in the micro-batch too, and the sinks that refuse them."""
    numbers = [number for number, _ in rows]
    return SinkItems(
        list(numbers), [f"r{number}" for number in numbers], [outcome for _ in rows], [None for _ in rows],
        [{"id": number, "refused_by": refused} for number, refused in rows],
    )  # fmt: skip


def test_rows_are_taken_and_counted_on_from_those_before(stage: Stage) -> None:
    written, records = stage.write(Write(4), first=items((0, ""), (2, "")), second=items((1, "")))
    tally = stage.tally({"first": (2, 0), "second": (1, 0)}, {})
    assert written == Written(4, {"first": 2, "second": 1}, {"routed": 3}, tally)
    found = [(record[1], record[2], record[4], record[5]) for record in records["token_outcomes"]]
    assert found == [("r0", "routed", "first", 11), ("r1", "routed", "second", 11), ("r2", "routed", "first", 12)]
    assert "transform_errors" not in records
    assert not any(plugin.finished for plugin in stage.plugins.values())


def test_what_a_sink_refuses_goes_to_its_other_sink_between_the_rows_of_that(stage: Stage) -> None:
    written, records = stage.write(
        Write(1), first=items((1, "first"), (2, ""), (4, "first")), last=items((0, ""), (3, ""), (5, ""))
    )
    assert stage.plugins["first"].taken() == [2]
    assert stage.plugins["last"].taken() == [0, 1, 3, 4, 5]
    assert written.sinks == {"first": 1, "last": 5}
    assert written.outcomes == {"routed": 4, "quarantined": 2}
    assert written.tally == stage.tally({"first": (3, 2), "last": (5, 0)}, {"first": 2})
    found = {record[1]: (record[2], record[4], record[5]) for record in records["token_outcomes"]}
    assert found == {
        "r0": ("routed", "last", 11), "r1": ("quarantined", "last", 12), "r2": ("routed", "first", 11),
        "r3": ("routed", "last", 13), "r4": ("quarantined", "last", 14), "r5": ("routed", "last", 15),
    }  # fmt: skip
    (rows,) = stage.plugins["last"].calls
    assert [(row.get("_node"), row.get("_error")) for row in rows] == [
        (None, None), ("first", "not by first"), (None, None), ("first", "not by first"), (None, None)
    ]  # fmt: skip
    assert [(record[1], record[2], record[4]) for record in records["transform_errors"]] == [
        ("r1", "first", "last"), ("r4", "first", "last")
    ]  # fmt: skip


def test_what_comes_to_the_other_sink_alone_is_written_there(stage: Stage) -> None:
    written, _ = stage.write(Write(1), first=items((1, "first")))
    assert stage.plugins["last"].taken() == [1]
    assert (written.sinks, written.outcomes) == ({"first": 0, "last": 1}, {"quarantined": 1})


def test_what_nobody_takes_has_failed_and_what_is_discarded_is_said_to_be(stage: Stage) -> None:
    written, records = stage.write(
        Write(1), first=items((0, "first last")), second=items((1, "second"), (2, "second"), (3, ""))
    )
    assert written.sinks == {"first": 0, "last": 0, "second": 1}
    assert written.outcomes == {"failed": 1, "discarded": 2, "routed": 1}
    found = {record[1]: (record[2], record[4], record[5]) for record in records["token_outcomes"]}
    assert found == {
        "r0": ("failed", None, None), "r1": ("discarded", None, None), "r2": ("discarded", None, None),
        "r3": ("routed", "second", 11),
    }  # fmt: skip
    assert [(record[1], record[2]) for record in records["transform_errors"]] == [
        ("r0", "first"), ("r0", "last"), ("r1", "second"), ("r2", "second")
    ]  # fmt: skip


def test_with_care_each_row_goes_alone_and_its_place_is_said_before(stage: Stage) -> None:
    stage.write(Write(1, careful=True), first=items((0, ""), (2, "")), second=items((1, "")))
    order = [node.id for node in stage.role._nodes]
    assert [len(rows) for rows in stage.plugins["first"].calls] == [1, 1]
    assert sorted(stage.touched) == sorted(
        number * 3 + order.index(name) for number, name in ((0, "first"), (2, "first"), (1, "second"))
    )


def test_a_row_that_kills_is_not_touched_but_refused(stage: Stage) -> None:
    order = [node.id for node in stage.role._nodes]
    conviction = Suspicion(reason="SIGSEGV", signal="SIGSEGV").convict(3, micro_batch=1, stage=1, place=0)
    message = Write(1, poison={1 * 3 + order.index("second"): conviction})
    written, records = stage.write(message, second=items((0, ""), (1, ""), (2, "")))
    assert stage.plugins["second"].taken() == [0, 2]
    assert written.outcomes == {"routed": 2, "discarded": 1}
    [record] = records["transform_errors"]
    assert "killed the process that touched it: SIGSEGV" in record[3]


def test_the_last_micro_batch_ends_every_output(stage: Stage) -> None:
    stage.write(Write(9, end=True), first=items((0, "")))
    assert all(plugin.finished for plugin in stage.plugins.values())


def test_a_sink_that_others_divert_to_is_written_after_them(stage: Stage) -> None:
    order = [node.id for node in stage.role._nodes]
    assert order.index("first") < order.index("last")
    assert sorted(order) == sorted(NAMES)
