"""What is compared with a baseline: cohorts, variants, and variants pair by pair."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from tests.unit.statistics.batches import INFINITY, NAN, alike, made, not_allowed, refused

Rows = list[dict[str, Any]]
SCORES = {"variant_field": "c", "score_field": "s"}


def scored(**scores: list[Any]) -> Rows:
    """Rows of variants, one after the other in turn."""
    longest = max(map(len, scores.values()))
    turns = [(name, values[turn]) for turn in range(longest) for name, values in scores.items() if turn < len(values)]
    return [{"c": name, "s": score} for name, score in turns]


class TestDriftCompare:
    NUMBERS = {"cohort_field": "c", "value_field": "s"}
    CATEGORIES = {**NUMBERS, "value_type": "categorical"}

    def test_the_whole_row_of_a_cohort_with_numbers(self) -> None:
        rows = scored(old=[1, 2, 3, None], new=[2.5, 4, NAN])
        assert alike(made("drift_compare", rows, **self.NUMBERS), [{
            "cohort_field": "c", "value_field": "s", "value_type": "numeric", "baseline_cohort": "old",
            "cohort": "new", "batch_size": 7, "baseline_total_count": 4, "baseline_count": 3,
            "baseline_missing_count": 1, "baseline_non_finite_count": 0, "cohort_total_count": 3, "cohort_count": 2,
            "cohort_missing_count": 0, "cohort_non_finite_count": 1, "baseline_mean": 2.0, "cohort_mean": 3.25,
            "mean_delta": 1.25, "ks_statistic": 2 / 3,
        }])  # fmt: skip

    def test_the_whole_row_of_a_cohort_with_categories(self) -> None:
        rows = scored(old=["a", "b", "a", "a"], new=["c", "a", True, None, 1])
        (row,) = made("drift_compare", rows, **self.CATEGORIES)
        shifts = [
            {"value": value, "baseline_count": m, "cohort_count": n, "baseline_proportion": m / 4,
             "cohort_proportion": n / 4, "proportion_delta": n / 4 - m / 4}
            for value, m, n in (("a", 3, 1), ("b", 1, 0), ("c", 0, 1), (True, 0, 1), (1, 0, 1))
        ]  # fmt: skip
        assert alike({name: row[name] for name in list(row)[14:]}, {
            "category_shifts": shifts, "total_variation": 0.75,
            "chi_square_statistic": (1 - 3) ** 2 / 3 + (0 - 1) ** 2 / 1, "new_category_count": 3,
            "new_categories": ["c", True, 1],
        })  # fmt: skip
        assert (row["value_type"], row["cohort_missing_count"], row["cohort_non_finite_count"]) == ("categorical", 1, 0)
        assert not row.keys() & {"baseline_mean", "ks_statistic"}

    def test_there_is_a_row_for_each_other_cohort_in_order_of_appearance(self) -> None:
        rows = scored(b=[1], a=[2], c=[3])
        found = made("drift_compare", rows, **self.NUMBERS, baseline_cohort="a")
        assert [(row["baseline_cohort"], row["cohort"]) for row in found] == [("a", "b"), ("a", "c")]

    def test_the_baseline_is_found_by_type_and_value(self) -> None:
        rows = [{"c": cohort, "s": 1} for cohort in (1, True, 1.0)]
        found = made("drift_compare", rows, **self.NUMBERS, baseline_cohort=True)
        assert alike([row["cohort"] for row in found], [1, 1.0])

    @pytest.mark.parametrize("value", [1.5, NAN, [1]])
    def test_categories_are_text_whole_numbers_or_bools(self, value: Any) -> None:
        error = refused("drift_compare", scored(a=["x", value], b=["x"]), **self.CATEGORIES)
        assert error["reason"] == "type_mismatch"

    def test_the_batch_fails_without_a_baseline_a_second_cohort_or_values(self) -> None:
        rows = scored(a=[1], b=[2])
        error = refused("drift_compare", rows, **self.NUMBERS, baseline_cohort="z")
        assert (error["reason"], error["cohorts"]) == ("baseline_cohort_missing", ["a", "b"])
        assert refused("drift_compare", scored(a=[1, 2]), **self.NUMBERS)["reason"] == "insufficient_cohorts"
        for empty in (scored(a=[None], b=[1], c=[1]), scored(a=[1], b=[1], c=[None, NAN])):
            error = refused("drift_compare", empty, **self.NUMBERS)
            assert error["reason"] == "no_valid_values"
            assert len(error["row_errors"]) == sum(row["s"] != 1 for row in empty)

    def test_no_other_value_type_is_allowed(self) -> None:
        assert not_allowed("drift_compare", **self.NUMBERS, value_type="ordinal").startswith("value_type: ")


class TestEffectSize:
    def test_the_whole_row_of_a_variant(self) -> None:
        rows = scored(a=[1, 2, 3, None], b=[4, NAN, 6.5])
        s1, s2 = 1.0, statistics.stdev([4, 6.5])
        pooled = math.sqrt((2 * s1**2 + s2**2) / 3)
        d = 3.25 / pooled
        assert alike(made("effect_size", rows, **SCORES), [{
            "variant_field": "c", "score_field": "s", "baseline_variant": "a", "variant": "b", "batch_size": 7,
            "baseline_count": 3, "baseline_total_count": 4, "baseline_missing_count": 1,
            "baseline_non_finite_count": 0, "baseline_mean": 2.0, "baseline_stdev": s1, "variant_count": 2,
            "variant_total_count": 3, "variant_missing_count": 0, "variant_non_finite_count": 1, "variant_mean": 5.25,
            "variant_stdev": s2, "mean_delta": 3.25, "pooled_stdev": pooled, "cohens_d": d,
            "hedges_g": d * (1 - 3 / 11), "baseline_missing_indices": [6], "variant_non_finite_indices": [3],
        }])  # fmt: skip

    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            ([1], [2], (None, None, None, None)),
            ([1, 1], [2], (None, 0.0, None, None)),
            ([1, 3], [2], (None, math.sqrt(2), 0.0, 0.0)),
            ([1, 1], [2, 2], (0.0, 0.0, None, None)),
        ],
    )
    def test_what_has_no_value_is_null(self, a: list[float], b: list[float], expected: tuple[Any, ...]) -> None:
        (row,) = made("effect_size", scored(a=a, b=b), **SCORES)
        assert alike(
            tuple(row[name] for name in ("variant_stdev", "pooled_stdev", "cohens_d", "hedges_g")), expected
        )  # fmt: skip

    def test_indices_are_there_only_if_there_are_any(self) -> None:
        (row,) = made("effect_size", scored(a=[1], b=[2]), **SCORES)
        assert not [name for name in row if name.endswith("_indices")]
        (row,) = made("effect_size", scored(a=[NAN, 1, None], b=[None, INFINITY, 2]), **SCORES)
        assert {name: row[name] for name in row if name.endswith("_indices")} == {
            "baseline_missing_indices": [4],
            "baseline_non_finite_indices": [0],
            "variant_missing_indices": [1],
            "variant_non_finite_indices": [3],
        }

    def test_squares_of_large_scores_do_not_overflow_in_between(self) -> None:
        (row,) = made("effect_size", scored(a=[1e200, 3e200], b=[1e200, 3e200]), **SCORES)
        assert math.isclose(row["pooled_stdev"], math.sqrt(2) * 1e200)


class TestExperimentCompare:
    def test_the_whole_row_of_a_variant(self) -> None:
        error = math.sqrt(1 / 3 + 2 / 2)
        assert alike(made("experiment_compare", scored(a=[-1, -2, -3, None], b=[4, NAN, 6]), **SCORES), [{
            "variant_field": "c", "score_field": "s", "baseline_variant": "a", "variant": "b", "batch_size": 7,
            "baseline_count": 3, "baseline_total_count": 4, "baseline_missing_count": 1,
            "baseline_non_finite_count": 0, "baseline_mean": -2.0, "baseline_stdev": 1.0, "variant_count": 2,
            "variant_total_count": 3, "variant_missing_count": 0, "variant_non_finite_count": 1, "variant_mean": 5.0,
            "variant_stdev": math.sqrt(2), "mean_delta": 7.0, "relative_lift": 3.5, "standard_error": error,
            "z_score": 7 / error, "confidence_95_low": 7 - 1.96 * error, "confidence_95_high": 7 + 1.96 * error,
        }])  # fmt: skip

    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            ([0], [2, 3], (None, None, None, None, None)),
            ([1, 2], [3], (1.0, None, None, None, None)),
            ([2, 2], [3, 3], (0.5, 0.0, None, None, None)),
        ],
    )
    def test_what_has_no_value_is_null(self, a: list[float], b: list[float], expected: tuple[Any, ...]) -> None:
        (row,) = made("experiment_compare", scored(a=a, b=b), **SCORES)
        names = ("relative_lift", "standard_error", "z_score", "confidence_95_low", "confidence_95_high")
        assert alike(tuple(row[name] for name in names), expected)

    @pytest.mark.parametrize("wrong", [1, True, 1.5, ""])
    def test_the_baseline_is_text(self, wrong: Any) -> None:
        assert not_allowed("experiment_compare", **SCORES, baseline_variant=wrong).startswith("baseline_variant: ")


@pytest.mark.parametrize("name", ["effect_size", "experiment_compare"])
class TestSamples:
    def test_there_is_a_row_for_each_other_variant_in_order_of_appearance(self, name: str) -> None:
        rows = scored(b=[1], a=[2], c=[3])
        assert [row["variant"] for row in made(name, rows, **SCORES)] == ["a", "c"]
        assert [row["variant"] for row in made(name, rows, **SCORES, baseline_variant="a")] == ["b", "c"]

    def test_the_batch_fails_without_two_variants_the_baseline_or_scores(self, name: str) -> None:
        assert refused(name, scored(a=[1, 2]), **SCORES)["reason"] == "insufficient_variants"
        rows = scored(a=[1], b=[2], c=[None, NAN])
        error = refused(name, rows, **SCORES, baseline_variant="z")
        assert (error["reason"], error["variants"]) == ("baseline_variant_missing", ["a", "b", "c"])
        error = refused(name, rows, **SCORES, baseline_variant="c")
        assert error["reason"] == "baseline_has_no_finite_scores"
        error = refused(name, rows, **SCORES)
        assert (error["reason"], error["variant"]) == ("variant_has_no_finite_scores", "c")
        assert error["row_errors"] == [
            {"row_index": 2, "reason": "missing_value"},
            {"row_index": 3, "reason": "non_finite_value"},
        ]


class TestPairedPreference:
    OPTIONS = {"pair_field": "q", **SCORES}

    def rows(self, **pairs: dict[str, Any]) -> Rows:
        return [{"q": pair, "c": name, "s": score} for pair, of in pairs.items() for name, score in of.items()]

    def test_the_whole_row_of_a_variant(self) -> None:
        rows = self.rows(
            p1={"a": 1, "b": 2}, p2={"a": 1, "b": 4.5}, p3={"b": 2, "a": 2}, p4={"a": 3, "b": 1},
            p5={"a": None, "b": NAN}, p6={"a": None}, p7={"c": 1},
        )  # fmt: skip
        rows += [{"q": "p1", "c": "c", "s": 0}]
        deltas = [1, 3.5, 0, -2]
        error = statistics.stdev(deltas) / 2
        assert alike(made("paired_preference", rows, **self.OPTIONS)[0], {
            "pair_field": "q", "variant_field": "c", "score_field": "s", "baseline_variant": "a", "variant": "b",
            "batch_size": 13, "total_pair_count": 7, "compared_pair_count": 4, "incomplete_pair_count": 3,
            "missing_score_count": 1, "non_finite_score_count": 1, "baseline_mean": 1.75, "variant_mean": 2.375,
            "mean_paired_delta": 0.625, "wins": 2, "losses": 1, "ties": 1, "win_rate": 0.5, "loss_rate": 0.25,
            "tie_rate": 0.25, "preference_rate": 2 / 3, "standard_error_delta": error,
            "confidence_95_low": 0.625 - 1.96 * error, "confidence_95_high": 0.625 + 1.96 * error,
            "incomplete_pairs": ["p5", "p6", "p7"],
        })  # fmt: skip

    def test_one_pair_has_no_standard_error_and_no_interval(self) -> None:
        (row,) = made("paired_preference", self.rows(p={"a": 1, "b": 1}), **self.OPTIONS)
        names = ("preference_rate", "standard_error_delta", "confidence_95_low", "confidence_95_high")
        assert [row[name] for name in names] == [None] * 4
        assert "incomplete_pairs" not in row

    def test_equal_differences_give_a_point(self) -> None:
        (row,) = made("paired_preference", self.rows(p={"a": 1, "b": 2}, q={"a": 3, "b": 4}), **self.OPTIONS)
        assert [row[name] for name in ("standard_error_delta", "confidence_95_low", "confidence_95_high")] == [0, 1, 1]

    def test_there_is_a_row_for_each_other_variant_in_order_of_appearance(self) -> None:
        rows = self.rows(p={"x": 1, "y": 1, "z": 1})
        found = made("paired_preference", rows, **self.OPTIONS, baseline_variant="y")
        assert [(row["baseline_variant"], row["variant"]) for row in found] == [("y", "x"), ("y", "z")]

    def test_a_variant_twice_in_a_pair_fails_the_batch(self) -> None:
        rows = [*self.rows(p={"a": 1, "b": 1}), {"q": "p", "c": "a", "s": 2}]
        error = refused("paired_preference", rows, **self.OPTIONS)
        assert (error["reason"], error["pair"], error["variant"]) == ("duplicate_variant_in_pair", "p", "a")
        assert [problem["row_index"] for problem in error["row_errors"]] == [0, 2]

    def test_pairs_and_variants_of_different_types_are_different(self) -> None:
        rows = [{"q": q, "c": c, "s": 1} for q in (1, True, None) for c in (1, True)]
        (row,) = made("paired_preference", rows, **self.OPTIONS)
        assert row["total_pair_count"] == 3
        assert alike([row["baseline_variant"], row["variant"]], [1, True])

    def test_the_batch_fails_without_the_baseline_two_variants_or_complete_pairs(self) -> None:
        rows = self.rows(p={"a": 1, "b": 1}, q={"a": None, "c": 1})
        error = refused("paired_preference", rows, **self.OPTIONS, baseline_variant="z")
        assert error["reason"] == "baseline_variant_missing"
        assert refused("paired_preference", self.rows(p={"a": 1}), **self.OPTIONS)["reason"] == "insufficient_variants"
        error = refused("paired_preference", rows, **self.OPTIONS)
        assert (error["reason"], error["variant"]) == ("no_complete_pairs", "c")
        assert error["row_errors"] == [{"row_index": 2, "reason": "missing_value"}]
