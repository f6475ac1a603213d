"""Measures of several fields and keys, rows in order, and the first of them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Made, RowError
from elspeth.plugins.options import OptionProblems

CTX = Context(run_id="mf3k2a9x", node_id="batch")


def made(plugin: str, rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    built = registry.build(registry.find("aggregation", plugin), options, "aggregations[0]")
    return [result.row if isinstance(result, Made) else result for result in built.process(rows, CTX)]


def refused(plugin: str, rows: list[dict[str, Any]], **options: Any) -> str:
    with pytest.raises(RowError) as caught:
        made(plugin, rows, **options)
    return str(caught.value.details.get("cause", caught.value.reason))


def wrong(plugin: str, **options: Any) -> str:
    with pytest.raises(OptionProblems) as caught:
        made(plugin, [], **options)
    return str(caught.value.details)


ALL = ["count", "sum", "mean", "min", "max", "median", "stdev", "distinct", "first", "last"]


def test_categories_are_counted_without_any_number() -> None:
    rows = [{"kind": "billing"}, {"kind": "other"}, {"kind": "billing"}]
    assert made("batch_stats", rows, group_by="kind") == [
        {"count": 2, "batch_size": 2, "kind": "billing"},
        {"count": 1, "batch_size": 1, "kind": "other"},
    ]


def test_several_fields_are_measured_by_several_keys() -> None:
    rows = [
        {"a": "x", "b": 1, "v": 4, "w": "q"},
        {"a": "x", "b": 1, "v": None, "w": "p"},
        {"a": "x", "b": 2, "v": 1, "w": "p"},
        {"a": "x", "b": 1, "v": 2, "w": "p"},
    ]
    fields = {"v": ALL, "w": ["min", "max", "distinct", "first", "last"]}
    found = made("batch_stats", rows, group_by=["a", "b"], fields=fields)
    assert found[0] == {
        "count": 3, "batch_size": 3, "v_count": 2, "v_sum": 6, "v_mean": 3.0, "v_min": 2, "v_max": 4, "v_median": 3.0,
        "v_stdev": math.sqrt(2), "v_distinct": 2, "v_first": 4, "v_last": 2, "w_min": "p", "w_max": "q",
        "w_distinct": 2, "w_first": "q", "w_last": "p", "a": "x", "b": 1,
    }  # fmt: skip
    assert (found[1]["count"], found[1]["v_stdev"], found[1]["v_median"], found[1]["b"]) == (1, None, 1, 2)


def test_beside_a_value_field_all_is_as_it_was_and_more() -> None:
    rows = [{"v": 1, "w": 5}, {"v": 3, "w": None}]
    assert made("batch_stats", rows, value_field="v", fields={"w": ["first", "last", "count"]}) == [
        {"count": 2, "sum": 4, "batch_size": 2, "mean": 2.0, "w_first": 5, "w_last": None, "w_count": 1}
    ]


def test_values_that_are_equal_only_in_python_are_different_ones() -> None:
    rows = [{"v": value} for value in (1, 1.0, True, "1", 1, None, [1], [1])]
    assert made("batch_stats", rows, fields={"v": ["distinct"]})[0]["v_distinct"] == 5


def test_of_nothing_but_null_there_is_no_measure() -> None:
    (found,) = made("batch_stats", [{"v": None}], fields={"v": ALL})
    kept = {name: value for name, value in found.items() if value is not None}
    assert kept == {"count": 1, "batch_size": 1, "v_count": 0, "v_sum": 0, "v_distinct": 0}


@given(st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6), min_size=2, max_size=12), st.randoms())
def test_measures_do_not_depend_on_the_order_and_agree_with_exact_arithmetic(values: list[Any], random: Any) -> None:
    asked = {"v": ["sum", "mean", "min", "max", "median", "stdev"]}
    shuffled = random.sample(values, len(values))
    (one,), (other,) = (made("batch_stats", [{"v": value} for value in vs], fields=asked) for vs in (values, shuffled))
    assert {name: float(value) for name, value in one.items()} == {name: float(value) for name, value in other.items()}
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
    assert math.isclose(one["v_stdev"], math.sqrt(variance), rel_tol=1e-12, abs_tol=1e-300)
    ordered = sorted(exact)
    middle = (ordered[(len(exact) - 1) // 2] + ordered[len(exact) // 2]) / 2
    assert math.isclose(one["v_median"], middle, rel_tol=1e-15)
    assert (one["v_min"], one["v_max"]) == (min(values), max(values))


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"v": 1}, {"v": "x"}], {"fields": {"v": ["max"]}}, "is no number but a str"),
        ([{"v": 1}, {"v": True}], {"fields": {"v": ["sum"]}}, "is no number but a bool"),
        ([{"v": 1}, {}], {"fields": {"v": ["first"]}}, "there is no field 'v' in row 1 of the batch (from 0)"),
        ([{"g": 1}, {"v": 1}], {"group_by": ["g"]}, "there is no field 'g' in row 1 of the batch (from 0)"),
        ([{"v": 1e308}, {"v": 1e308}], {"fields": {"v": ["mean"]}}, "the mean of 'v' is larger than a float can hold"),
        ([{"v": 1e308}, {"v": -1e308}], {"fields": {"v": ["stdev"]}}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_fails_the_batch_by_row_and_field(rows: Any, options: Any, words: str) -> None:
    if words:
        assert words in refused("batch_stats", rows, **options)
    else:
        assert made("batch_stats", rows, **options)[0]["v_stdev"] == pytest.approx(math.sqrt(2) * 1e308)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to count: give value_field, fields or group_by"),
        ({"fields": {"v": ["mode"]}}, "allowed is 'count', 'sum'"),
        ({"fields": {"v": []}}, "fields.v"),
        ({"fields": {"v": ["min", "min"]}}, "two results would be called 'v_min'"),
        ({"fields": {"v": ["min"]}, "group_by": ["v_min"]}, "two results would be called 'v_min'"),
        ({"fields": {"batch": ["sum"]}, "group_by": ["sum"]}, "'sum' is the name of a result"),
        ({"group_by": []}, "group_by"),
    ],
)
def test_options_by_which_results_would_run_into_each_other_are_refused(options: Any, words: str) -> None:
    assert words in wrong("batch_stats", **options)


def test_rows_are_sorted_by_several_fields_and_stay_as_they_came_where_they_are_equal() -> None:
    values = [(2, "x"), (1.5, "x"), (2, "y"), (2, "x"), (None, "z")]
    rows = [{"a": a, "b": b, "n": n} for n, (a, b) in enumerate(values)]
    by = [{"field": "a", "descending": True}, "b"]
    assert [row["n"] for row in made("sort", rows, by=by)] == [0, 3, 2, 1, 4]
    assert [row["n"] for row in made("sort", rows, by=by, nulls="first")] == [4, 0, 3, 2, 1]
    assert [row["n"] for row in made("sort", rows, by="b")] == [0, 1, 3, 2, 4]


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.integers(0, 3)), max_size=20), st.booleans(), st.booleans())
def test_sorting_agrees_with_comparing_each_pair(values: list[Any], down: bool, first: bool) -> None:
    rows = [{"a": a, "b": b, "n": n} for n, (a, b) in enumerate(values)]
    by = [{"field": "a", "descending": down}, {"field": "b"}]
    found = made("sort", rows, by=by, nulls="first" if first else "last")
    assert sorted(row["n"] for row in found) == list(range(len(rows)))

    def rank(row: dict[str, Any]) -> tuple[Any, ...]:
        null = row["a"] is None
        return (null is not first, 0 if null else -row["a"] if down else row["a"], row["b"], row["n"])

    assert found == sorted(rows, key=rank)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, "x"], "field 'a' is a text in row 1 of the batch (from 0) and a number in row 0"),
        ([None, True, 1], "field 'a' is a number in row 2 of the batch (from 0) and a bool in row 1"),
        ([[1]], "field 'a' of row 0 of the batch (from 0) is a list, which has no order"),
    ],
)
def test_what_has_no_order_fails_the_batch(values: list[Any], words: str) -> None:
    assert refused("sort", [{"a": value} for value in values], by=["a"]) == words
    assert "has no field 'a'" in refused("sort", [{"b": 1}], by=["a"])


def test_a_number_of_rows_goes_on_of_all_or_of_each_group() -> None:
    rows = [{"g": g, "n": n} for n, g in enumerate("abaab")]
    assert [row["n"] for row in made("limit", rows, count=2)] == [0, 1]
    assert [row["n"] for row in made("limit", rows, count=2, offset=4)] == [4]
    assert [row["n"] for row in made("limit", rows, count=1, offset=1, group_by=["g"])] == [2, 4]
    assert "has no field 'x'" in refused("limit", rows, count=1, group_by=["x"])
    assert "count" in wrong("limit", count=0)
