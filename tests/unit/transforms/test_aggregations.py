"""What the aggregations make of a batch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Made, RowError, Unfit
from elspeth.plugins.options import OptionProblems

CTX = Context(run_id="mf3k2a9x", node_id="batch")


def made(plugin: str, rows: list[dict[str, Any]], **options: Any) -> list[Any]:
    """What the plugin makes of the batch, which it must leave as it is."""
    before = copy.deepcopy(rows)
    built = registry.build(registry.find("aggregation", plugin), options, "aggregations[0]")
    try:
        return [result.row if isinstance(result, Made) else result for result in built.process(rows, CTX)]
    finally:
        assert rows == before


def refused(plugin: str, rows: list[dict[str, Any]], **options: Any) -> str:
    with pytest.raises(RowError) as caught:
        made(plugin, rows, **options)
    return f"{caught.value.reason}: {caught.value.details.get('cause', '')}"


class TestBatchStats:
    def test_a_batch_gives_one_row(self) -> None:
        rows = [{"v": 1}, {"v": 2}, {"v": None}]
        skipped = {"skipped_missing": 1, "skipped_missing_indices": [2]}
        assert made("batch_stats", rows, value_field="v") == [
            {"count": 2, "sum": 3, "batch_size": 3, "mean": 1.5, **skipped}
        ]
        assert made("batch_stats", rows, value_field="v", compute_mean=False) == [
            {"count": 2, "sum": 3, "batch_size": 3, **skipped}
        ]

    def test_groups_come_in_the_order_of_their_first_appearance(self) -> None:
        rows = [{"g": "b", "v": 1}, {"g": "a", "v": 2}, {"g": "b", "v": 4}, {"g": None, "v": 5}]
        assert made("batch_stats", rows, value_field="v", group_by="g") == [
            {"count": 2, "sum": 5, "batch_size": 2, "mean": 2.5, "g": "b"},
            {"count": 1, "sum": 2, "batch_size": 1, "mean": 2.0, "g": "a"},
            {"count": 1, "sum": 5, "batch_size": 1, "mean": 5.0, "g": None},
        ]

    def test_values_that_are_equal_only_in_python_are_different_groups(self) -> None:
        rows = [{"g": g, "v": 1} for g in (1, 1.0, True, "1", [1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1})]
        groups = [row["g"] for row in made("batch_stats", rows, value_field="v", group_by="g")]
        assert [repr(group) for group in groups] == ["1", "1.0", "True", "'1'", "[1]", "[1.0]", "{'a': 1, 'b': 2}"]

    @given(st.lists(st.integers(), min_size=1))
    def test_sums_of_whole_numbers_are_exact(self, values: list[int]) -> None:
        (row,) = made("batch_stats", [{"v": v} for v in values], value_field="v", compute_mean=False)
        assert row["sum"] == sum(values)
        assert type(row["sum"]) is int

    @given(st.lists(st.floats(-1e300, 1e300) | st.integers(-(2**80), 2**80), min_size=1, max_size=8), st.randoms())
    def test_sums_do_not_depend_on_the_order(self, values: list[float], random: Any) -> None:
        shuffled = random.sample(values, len(values))
        first, second = (made("batch_stats", [{"v": v} for v in vs], value_field="v") for vs in (values, shuffled))
        assert first == second

    def test_floats_and_large_whole_numbers_add_without_rounding_in_between(self) -> None:
        rows = [{"v": v} for v in (2**60 + 1, 0.5, -(2**60))]
        assert made("batch_stats", rows, value_field="v", compute_mean=False)[0]["sum"] == 1.5
        assert made("batch_stats", [{"v": 0.1}] * 10, value_field="v")[0]["sum"] == 1.0

    def test_what_is_no_number_fails_the_batch_and_names_the_row(self) -> None:
        assert "type_mismatch: field 'v' holds no number but str in row 1 of the batch (from 0)" in refused(
            "batch_stats", [{"v": 1}, {"v": "2"}], value_field="v"
        )
        assert "no number but bool" in refused("batch_stats", [{"v": True}], value_field="v")
        assert "missing_field: there is no field 'g' in row 0 of the batch (from 0)" in refused(
            "batch_stats", [{"v": 1}], value_field="v", group_by="g"
        )

    @pytest.mark.parametrize("values", [(1e308, 1e308), (1e308, 10**400), (10**400, 1)])
    def test_a_sum_out_of_range_fails_the_batch(self, values: tuple[float, float]) -> None:
        assert "larger than a float" in refused("batch_stats", [{"v": v} for v in values], value_field="v")

    def test_a_group_named_like_a_result_is_refused(self) -> None:
        with pytest.raises(OptionProblems) as caught:
            made("batch_stats", [], value_field="v", group_by="count")
        assert "'count' is the name of a result" in caught.value.details[0]


class TestBatchReplicate:
    def test_each_row_is_repeated_as_it_says(self) -> None:
        rows = [{"id": 1, "copies": 2}, {"id": 2}]
        result = made("batch_replicate", rows)
        assert [(row["id"], row["copy_index"]) for row in result] == [(1, 0), (1, 1), (2, 0)]
        assert result[0] is not result[1]

    def test_the_index_can_be_left_out(self) -> None:
        assert made("batch_replicate", [{"n": 2}], copies_field="n", include_copy_index=False) == [{"n": 2}, {"n": 2}]

    @pytest.mark.parametrize("copies", [-1, 0, 10_001, "2", 1.0, True, None])
    def test_a_number_of_copies_that_is_not_allowed_refuses_its_row(self, copies: Any) -> None:
        (unfit,) = made("batch_replicate", [{"copies": copies}])
        assert isinstance(unfit, Unfit)
        assert "allowed are whole numbers from 1 to 10000" in unfit.error.reason

    def test_the_default_must_be_allowed_too(self) -> None:
        with pytest.raises(OptionProblems):
            made("batch_replicate", [], default_copies=5, max_copies=4)


class TestReportAssemble:
    def test_lines_are_put_on_pages(self) -> None:
        rows = [{"line": "a"}, {"line": "b\nc"}, {"line": 4}, {"line": None}, {"line": True}]
        pages = made(
            "report_assemble",
            rows,
            text_field="line",
            lines_per_page=4,
            title="Report {page}/{pages} {x}",
            footer="- {page} -",
        )
        assert pages == [
            {"page": 1, "pages": 2, "line_count": 4, "text": "Report 1/2 {x}\n\na\nb\nc\n4\n\n- 1 -"},
            {"page": 2, "pages": 2, "line_count": 2, "text": "Report 2/2 {x}\n\n\ntrue\n\n- 2 -"},
        ]

    def test_without_title_and_footer_a_page_is_its_lines(self) -> None:
        assert [page["text"] for page in made("report_assemble", [{"t": "x"}], text_field="t", lines_per_page=9)] == [
            "x"
        ]

    def test_what_is_no_line_fails_the_batch(self) -> None:
        assert "is no text but a dict" in refused(
            "report_assemble", [{"line": {}}], text_field="line", lines_per_page=9
        )
        assert "row 0 of the batch (from 0) has no field 'line'" in refused(
            "report_assemble", [{}], text_field="line", lines_per_page=9
        )
