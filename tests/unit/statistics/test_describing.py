"""What is described: how the values of a field are spread, and which of them lie far out."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from tests.unit.statistics.batches import INFINITY, NAN, alike, built, made, not_allowed, refused


def rows_of(*values: Any) -> list[dict[str, Any]]:
    return [{"v": value} for value in values]


class TestDistributionProfile:
    def test_the_whole_row_of_a_batch(self) -> None:
        rows = rows_of(4, None, 1, 2.5, NAN, 10, -INFINITY)
        assert alike(made("distribution_profile", rows, value_field="v"), [{
            "field": "v", "count": 4, "batch_size": 7, "missing_count": 1, "non_finite_count": 2, "min": 1, "max": 10,
            "mean": 4.375, "median": 3.25, "p25": 2.125, "p75": 5.5, "stdev": statistics.stdev([4, 1, 2.5, 10]),
            "summary": "Distribution profile for v: 7 rows, 4 finite values, 1 missing, 2 non-finite, mean 4.375, "
            "median 3.250, range 1.000 to 10.000.",
            "missing_indices": [1], "non_finite_indices": [4, 6],
        }])  # fmt: skip

    def test_there_is_a_row_for_each_group_with_the_groups_value_under_its_name(self) -> None:
        rows = [{"v": 1, "g": "y"}, {"v": 2, "g": None}, {"v": None, "g": "y"}]
        first, second = made("distribution_profile", rows, value_field="v", group_by="g")
        assert (first["g"], first["batch_size"], first["missing_indices"]) == ("y", 2, [2])
        assert first["summary"].startswith("Distribution profile for v grouped by g=y: 2 rows, 1 finite values, 1 miss")
        assert (second["g"], second["batch_size"]) == (None, 1)
        assert "missing_indices" not in second

    def test_a_single_value_has_no_standard_deviation(self) -> None:
        (row,) = made("distribution_profile", rows_of(7), value_field="v")
        assert [row[name] for name in ("stdev", "p25", "p75", "median")] == [None, 7.0, 7.0, 7.0]

    def test_the_ends_stay_as_they_came_and_what_is_computed_is_a_float(self) -> None:
        (row,) = made("distribution_profile", rows_of(2**60 + 1, 1.0, 2), value_field="v")
        assert alike([row["min"], row["max"]], [1.0, 2**60 + 1])
        assert {type(row[name]) for name in ("mean", "median", "p25", "p75", "stdev")} == {float}

    def test_a_group_without_a_finite_value_fails_the_whole_batch(self) -> None:
        rows = [{"v": 1, "g": "x"}, {"v": None, "g": "y"}, {"v": NAN, "g": "y"}]
        error = refused("distribution_profile", rows, value_field="v", group_by="g")
        assert error["reason"] == "no_finite_values"
        assert error["cause"] == "field 'v' holds no finite number where 'g' is 'y'"
        assert [problem["row_index"] for problem in error["row_errors"]] == [1, 2]

    @pytest.mark.parametrize("name", ["mean", "summary", "missing_indices"])
    def test_a_group_must_not_be_named_like_a_result(self, name: str) -> None:
        assert "is the name of a result" in not_allowed("distribution_profile", value_field="v", group_by=name)

    @pytest.mark.parametrize("values", [(1e308, -1e308, 0), (5e-324, 0, 5e-324), (10**300, -(10**300))])
    def test_quartiles_at_the_ends_of_what_a_float_holds_are_right(self, values: tuple[float, ...]) -> None:
        (row,) = made("distribution_profile", rows_of(*values), value_field="v")
        assert min(values) <= row["p25"] <= row["median"] <= row["p75"] <= max(values)


class TestOutlierAnnotator:
    def test_the_whole_row_of_a_value(self) -> None:
        values = [1, 2, None, 3, NAN, 100.0]
        rows = [{"v": value, "id": place} for place, value in enumerate(values)]
        finite = [1, 2, 3, 100.0]
        deviation = statistics.stdev(finite)
        common = {
            "outlier_value_field": "v", "outlier_batch_size": 6, "outlier_valid_count": 4, "outlier_missing_count": 1,
            "outlier_non_finite_count": 1, "outlier_skipped_count": 2, "outlier_missing_indices": [2],
            "outlier_non_finite_indices": [4], "outlier_mean": 26.5, "outlier_median": 2.5,
            "outlier_stdev": deviation, "outlier_mad": 1.0, "outlier_z_threshold": 1.4,
            "outlier_robust_z_threshold": 3.5,
        }  # fmt: skip
        found = made("outlier_annotator", rows, value_field="v", z_threshold=1.4)
        assert [row["id"] for row in found] == [0, 1, 3, 5]
        assert alike(found[3], {
            "v": 100.0, "id": 5, **common, "outlier_value": 100.0, "outlier_row_index": 5,
            "outlier_z_score": 73.5 / deviation, "outlier_robust_z_score": 0.6745 * 97.5, "outlier_is_outlier": True,
            "outlier_reason": "z_score,robust_z_score",
        })  # fmt: skip
        assert alike(found[0], {
            "v": 1, "id": 0, **common, "outlier_value": 1, "outlier_row_index": 0,
            "outlier_z_score": -25.5 / deviation, "outlier_robust_z_score": 0.6745 * -1.5, "outlier_is_outlier": False,
            "outlier_reason": "",
        })  # fmt: skip

    def test_thresholds_are_3_and_3_5_if_left_out_and_what_reaches_one_on_either_side_is_out(self) -> None:
        options = built("outlier_annotator", value_field="v").options
        assert (options.z_threshold, options.robust_z_threshold, options.output_prefix) == (3.0, 3.5, "outlier")
        rows = rows_of(-1, 0, 1)
        found = made("outlier_annotator", rows, value_field="v", z_threshold=1.0, robust_z_threshold=9)
        assert [row["outlier_reason"] for row in found] == ["z_score", "", "z_score"]
        found = made("outlier_annotator", rows, value_field="v", z_threshold=9, robust_z_threshold=0.6745)
        assert [row["outlier_reason"] for row in found] == ["robust_z_score", "", "robust_z_score"]

    def test_where_most_values_are_equal_the_mean_deviation_stands_in_for_the_median_one(self) -> None:
        found = made("outlier_annotator", rows_of(5, 5, 5, 9), value_field="v")
        assert [row["outlier_mad"] for row in found] == [0.0] * 4
        assert alike([row["outlier_robust_z_score"] for row in found], [0.0, 0.0, 0.0, 0.7979 * 4 / 1])

    @pytest.mark.parametrize("values", [(5,), (5, 5, 5)])
    def test_where_all_values_are_equal_there_is_no_score(self, values: tuple[int, ...]) -> None:
        for row in made("outlier_annotator", rows_of(*values), value_field="v"):
            assert [row[f"outlier_{name}"] for name in ("stdev", "z_score", "robust_z_score")] == [0.0, None, None]
            assert (row["outlier_is_outlier"], row["outlier_reason"]) == (False, "")

    def test_lists_of_places_end_after_128_and_are_there_if_empty(self) -> None:
        (row,) = made("outlier_annotator", rows_of(*[None] * 200, 1), value_field="v")
        assert row["outlier_missing_indices"] == list(range(128))
        assert row["outlier_missing_count"] == row["outlier_row_index"] == 200
        assert row["outlier_non_finite_indices"] == []

    def test_the_prefix_is_an_identifier(self) -> None:
        assert "x_value" in made("outlier_annotator", rows_of(1), value_field="v", output_prefix="x")[0]
        for wrong in ("", "1x", "a b", "a-b"):
            assert not_allowed("outlier_annotator", value_field="v", output_prefix=wrong).startswith("output_prefix: ")

    @pytest.mark.parametrize("option", ["z_threshold", "robust_z_threshold"])
    @pytest.mark.parametrize("wrong", [0, -1, NAN, INFINITY, True, "high"])
    def test_thresholds_are_finite_numbers_above_0(self, option: str, wrong: Any) -> None:
        assert not_allowed("outlier_annotator", value_field="v", **{option: wrong}).startswith(f"{option}: ")

    def test_without_a_finite_value_the_batch_fails(self) -> None:
        assert refused("outlier_annotator", rows_of(None, NAN), value_field="v")["reason"] == "no_finite_values"

    def test_a_row_that_has_such_a_field_already_fails_the_batch(self) -> None:
        rows = [{"v": 1}, {"v": None, "outlier_mean": 1}]
        error = refused("outlier_annotator", rows, value_field="v")
        assert (error["reason"], error["fields"]) == ("output_field_taken", ["outlier_mean"])
        assert error["row_errors"] == [{"row_index": 1, "reason": "output_field_taken"}]

    def test_the_value_must_not_be_named_like_an_added_field(self) -> None:
        assert "choose another prefix" in not_allowed("outlier_annotator", value_field="outlier_value")

    def test_the_median_absolute_deviation_is_that_of_the_finite_values(self) -> None:
        values = [0.5, 2, 7, 7.25, 11]
        (row, *_) = made("outlier_annotator", rows_of(*values), value_field="v")
        assert math.isclose(row["outlier_mad"], statistics.median(abs(x - 7) for x in values))
