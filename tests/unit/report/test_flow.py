"""Where nodes stand in the picture of a flow, and what differs between two runs."""

from __future__ import annotations

from elspeth.runs.views.report.calls import percentile
from elspeth.runs.views.report.changes import counts, differences
from elspeth.runs.views.report.flow import layout, places, ranks

NODES = ["source", "left", "right", "longer", "join", "out", "bad"]
EDGES = [
    ("source", "left"), ("source", "right"), ("right", "longer"), ("left", "join"), ("longer", "join"), ("join", "out"),
    ("source", "bad"), ("source", "discard"),
]  # fmt: skip


def test_a_node_stands_behind_all_that_lead_to_it() -> None:
    found = ranks(NODES, EDGES)
    assert found == {"source": 0, "left": 1, "right": 1, "longer": 2, "join": 3, "out": 4, "bad": 1}
    assert all(found[end] > found[start] for start, end in EDGES if end in found)


def test_no_two_nodes_stand_in_one_place() -> None:
    found = places(NODES, EDGES)
    assert len(set(found.values())) == len(NODES)


def test_nodes_stand_near_those_that_they_come_from() -> None:
    found = places(["s", "a", "b", "of_b", "of_a"], [("s", "a"), ("s", "b"), ("b", "of_b"), ("a", "of_a")])
    assert (found["of_a"][1] < found["of_b"][1]) == (found["a"][1] < found["b"][1])


def test_a_way_past_a_column_goes_where_no_node_stands() -> None:
    at, ways = layout(NODES, EDGES)
    by = dict(zip(EDGES, ways, strict=True))
    assert [column for column, _ in by["left", "join"]] == [2]
    assert all(way == [] for (start, end), way in by.items() if end not in at or at[end][0] - at[start][0] == 1)
    taken = [*at.values(), *(place for way in ways for place in way)]
    assert len(set(taken)) == len(taken)


def test_a_circle_ends_the_search() -> None:
    assert set(ranks(["a", "b"], [("a", "b"), ("b", "a")])) == {"a", "b"}


def test_settings_differ_leaf_by_leaf() -> None:
    then = {"gates": [{"condition": "a > 1"}], "sinks": {"x": {"plugin": "csv"}}, "same": 1}
    now = {"gates": [{"condition": "a > 2"}], "sinks": {"y": {"plugin": "csv"}}, "same": 1}
    assert differences(then, now) == [
        {"key": "gates[0].condition", "then": "a > 1", "now": "a > 2"},
        {"key": "sinks.x.plugin", "then": "csv", "now": None},
        {"key": "sinks.y.plugin", "then": None, "now": "csv"},
    ]


def test_a_long_value_is_cut_and_counts_are_those_that_differ() -> None:
    (found,) = differences({"a": 1}, {"a": "x" * 10_000})
    assert len(found["now"]) < 300
    assert counts({"a": 1, "b": 2}, {"a": 1, "c": 3}) == [
        {"key": "b", "then": 2, "now": 0}, {"key": "c", "then": 0, "now": 3},
    ]  # fmt: skip


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) is None
    assert [percentile([float(n) for n in range(1, 101)], share) for share in (0.5, 0.95)] == [51.0, 96.0]
