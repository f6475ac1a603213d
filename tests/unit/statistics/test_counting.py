"""What is counted: labels and their agreement, the quality of fields, thresholds, and the most frequent values."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statistics.batches import INFINITY, NAN, alike, built, made, not_allowed, refused

Rows = list[dict[str, Any]]


def pairs(*labels: tuple[Any, Any]) -> Rows:
    return [{"a": actual, "p": predicted} for actual, predicted in labels]


def classified(rows: Rows, **options: Any) -> dict[str, Any]:
    (row,) = made("classifier_metrics", rows, actual_field="a", predicted_field="p", **options)
    return row


class TestClassifierMetrics:
    ROWS = pairs(("cat", "dog"), ("dog", "dog"), (None, "dog"), ("cat", "cat"), ("cat", None), ("cat", "bird"))

    def test_the_whole_row_of_a_batch(self) -> None:
        assert alike(classified(self.ROWS, positive_label="dog"), {
            "actual_field": "a", "predicted_field": "p", "batch_size": 6, "count": 4, "missing_count": 2,
            "labels": ["cat", "dog", "bird"],
            "confusion_matrix": [
                {"actual": "cat", "predicted": "cat", "count": 1}, {"actual": "cat", "predicted": "dog", "count": 1},
                {"actual": "cat", "predicted": "bird", "count": 1}, {"actual": "dog", "predicted": "dog", "count": 1},
            ],
            "per_label": [
                {"label": "cat", "tp": 1, "fp": 0, "fn": 2, "tn": 1, "support": 3, "precision": 1.0, "recall": 1 / 3,
                 "f1": 0.5},
                {"label": "dog", "tp": 1, "fp": 1, "fn": 0, "tn": 2, "support": 1, "precision": 0.5, "recall": 1.0,
                 "f1": 2 / 3},
                {"label": "bird", "tp": 0, "fp": 1, "fn": 0, "tn": 3, "support": 0, "precision": 0.0, "recall": None,
                 "f1": None},
            ],
            "accuracy": 0.5, "macro_precision": 0.5, "macro_recall": 2 / 3, "macro_f1": 7 / 12,
            "weighted_f1": (0.5 * 3 + 2 / 3) / 4, "micro_precision": 0.5, "micro_recall": 0.5, "micro_f1": 0.5,
            "summary": "Classifier metrics for a vs p: 6 rows, 4 valid label pairs, 2 correct, accuracy 0.500, "
            "macro F1 0.583, micro F1 0.500.",
            "missing_indices": [2, 4], "positive_label": "dog", "binary_tp": 1, "binary_fp": 1, "binary_fn": 0,
            "binary_tn": 2, "binary_precision": 0.5, "binary_recall": 1.0, "binary_f1": 2 / 3,
        })  # fmt: skip

    def test_what_has_no_value_is_null_and_called_undefined(self) -> None:
        row = classified(pairs(("x", "y")))
        assert [row[name] for name in ("accuracy", "macro_precision", "macro_recall")] == [0.0, 0.0, 0.0]
        assert [row[name] for name in ("macro_f1", "weighted_f1", "micro_f1")] == [None, None, None]
        assert row["summary"].endswith("accuracy 0.000, macro F1 undefined, micro F1 undefined.")

    def test_missing_indices_are_there_only_if_any_are_missing_and_binary_fields_only_with_a_positive_label(
        self,
    ) -> None:
        row = classified(pairs(("x", "x")))
        assert not [name for name in row if name.startswith(("missing_indices", "binary", "positive"))]

    def test_a_positive_label_that_did_not_appear_comes_last_with_nulls(self) -> None:
        row = classified(pairs((1, 1)), positive_label=True)
        assert alike(row["labels"], [1, True])
        assert (row["binary_tp"], row["binary_tn"], row["binary_precision"], row["binary_f1"]) == (0, 1, None, None)

    def test_true_and_1_and_text_are_different_labels(self) -> None:
        row = classified(pairs((True, 1), ("1", "1"), (False, 0)))
        assert alike(row["labels"], [True, 1, "1", False, 0])
        assert row["accuracy"] == 1 / 3

    @pytest.mark.parametrize("label", [1.0, NAN, [1], {}])
    def test_a_label_of_another_type_fails_the_batch(self, label: Any) -> None:
        error = refused("classifier_metrics", pairs(("x", "x"), ("x", label)), actual_field="a", predicted_field="p")
        assert (error["reason"], error["field"]) == ("type_mismatch", "p")

    def test_without_a_complete_pair_the_batch_fails(self) -> None:
        rows = pairs(("x", None), (None, "x"), (None, None))
        error = refused("classifier_metrics", rows, actual_field="a", predicted_field="p")
        assert error["reason"] == "no_valid_label_pairs"
        assert error["row_errors"] == [{"row_index": index, "reason": "missing_value"} for index in range(3)]


class TestDataQualityReport:
    def test_the_whole_row_of_a_field(self) -> None:
        values = [1, 1.0, True, 1, "", " \t\n", None, NAN, INFINITY, [1], {"a": 1}, "x"]
        assert alike(made("data_quality_report", [{"f": value} for value in values], inspect_fields=["f"]), [{
            "field": "f", "batch_size": 12, "missing_count": 1, "missing_rate": 1 / 12, "observed_count": 11,
            "blank_string_count": 2, "blank_string_rate": 2 / 12, "non_finite_count": 2, "non_scalar_count": 2,
            "valid_count": 5, "valid_rate": 5 / 12, "distinct_count": 4, "duplicate_count": 1,
            "observed_type_counts": {"int": 2, "float": 3, "bool": 1, "str": 3, "list": 1, "dict": 1},
        }])  # fmt: skip

    def test_there_is_a_row_for_each_field_in_the_order_of_the_option(self) -> None:
        rows = made("data_quality_report", [{"a": 1, "b": 2, "c": 3}], inspect_fields=["c", "a"])
        assert [row["field"] for row in rows] == ["c", "a"]

    def test_no_value_is_an_error(self) -> None:
        assert made("data_quality_report", [{"a": None}], inspect_fields=["a"])[0]["valid_rate"] == 0.0

    def test_1_to_128_different_texts_are_allowed(self) -> None:
        names = [f"f{n}" for n in range(129)]
        assert built("data_quality_report", inspect_fields=names[:128])
        for wrong in (names, [], ["a", "b", "a"], ["a", ""], [1], "a"):
            assert not_allowed("data_quality_report", inspect_fields=wrong).startswith("inspect_fields")


class TestThresholdSummary:
    def test_the_whole_row_of_each_threshold_in_order(self) -> None:
        rows = [{"v": value} for value in (1, 2, 2.0, 3.5, None, NAN)]
        thresholds = [{"name": "low", "operator": "<", "value": 2}, {"name": "two", "operator": "==", "value": 2.0}]
        common = {"value_field": "v", "batch_size": 6, "valid_count": 4, "missing_count": 1, "non_finite_count": 1}
        assert alike(made("threshold_summary", rows, value_field="v", thresholds=thresholds), [
            {**common, "threshold_name": "low", "operator": "<", "threshold": 2.0, "match_count": 1,
             "non_match_count": 3, "match_rate": 0.25},
            {**common, "threshold_name": "two", "operator": "==", "threshold": 2.0, "match_count": 2,
             "non_match_count": 2, "match_rate": 0.5},
        ])  # fmt: skip

    @pytest.mark.parametrize(
        ("sign", "matches"), [("<", 1), ("<=", 3), (">", 1), (">=", 3), ("==", 2), ("!=", 2)]
    )  # fmt: skip
    def test_each_comparison_is_as_it_is_written(self, sign: str, matches: int) -> None:
        thresholds = [{"name": "t", "operator": sign, "value": 2}]
        rows = [{"v": value} for value in (1, 2, 2.0, 3)]
        assert made("threshold_summary", rows, value_field="v", thresholds=thresholds)[0]["match_count"] == matches

    def test_large_whole_numbers_are_compared_exactly(self) -> None:
        thresholds = [{"name": "t", "operator": ">", "value": 2.0**53}]
        rows = [{"v": 2**53}, {"v": 2**53 + 1}]
        assert made("threshold_summary", rows, value_field="v", thresholds=thresholds)[0]["match_count"] == 1

    def test_without_a_finite_value_the_batch_fails(self) -> None:
        thresholds = [{"name": "t", "operator": ">", "value": 2}]
        error = refused("threshold_summary", [{"v": NAN}, {"v": None}], value_field="v", thresholds=thresholds)
        assert (error["reason"], error["field"]) == ("no_finite_values", "v")
        assert error["row_errors"] == [
            {"row_index": 0, "reason": "non_finite_value"},
            {"row_index": 1, "reason": "missing_value"},
        ]

    @pytest.mark.parametrize(
        ("thresholds", "key"),
        [
            ([], "thresholds"),
            ([{"name": f"t{n}", "operator": "<", "value": n} for n in range(129)], "thresholds"),
            ([{"name": "t", "operator": "<", "value": 1}] * 2, "thresholds"),
            ([{"name": "t", "operator": "=", "value": 1}], "thresholds[0].operator"),
            ([{"name": " ", "operator": "<", "value": 1}], "thresholds[0].name"),
            ([{"name": "t", "operator": "<", "value": NAN}], "thresholds[0].value"),
            ([{"name": "t", "operator": "<", "value": INFINITY}], "thresholds[0].value"),
            ([{"name": "t", "operator": "<", "value": True}], "thresholds[0].value"),
            ([{"name": "t", "operator": "<"}], "thresholds[0].value"),
            ([{"name": "t", "operator": "<", "value": 1, "x": 1}], "thresholds[0].x"),
        ],
    )
    def test_1_to_128_thresholds_with_names_of_their_own_are_allowed(self, thresholds: Any, key: str) -> None:
        assert not_allowed("threshold_summary", value_field="v", thresholds=thresholds).startswith(f"{key}: ")


class TestTopK:
    def test_the_whole_row_of_a_batch(self) -> None:
        rows = [{"f": value} for value in ("b", 1, "a", True, None, "a", 1, NAN, "c")]
        assert alike(made("top_k", rows, field="f", k=3), [{
            "field": "f", "group_by": None, "group_value": None, "batch_size": 9, "count": 7, "missing_count": 1,
            "non_finite_count": 1, "distinct_count": 5, "k": 3,
            "top_values": [
                {"value": 1, "count": 2, "rate": 2 / 7}, {"value": "a", "count": 2, "rate": 2 / 7},
                {"value": "b", "count": 1, "rate": 1 / 7},
            ],
        }])  # fmt: skip

    def test_ties_come_in_the_order_of_first_appearance(self) -> None:
        (row,) = made("top_k", [{"f": value} for value in "zyxyzx"], field="f")
        assert [each["value"] for each in row["top_values"]] == ["z", "y", "x"]

    def test_there_is_a_row_for_each_group_and_one_without_a_value_has_an_empty_list(self) -> None:
        rows = [{"f": 1, "g": None}, {"f": None, "g": "x"}, {"f": 2.5, "g": None}, {"f": NAN, "g": "x"}]
        first, second = made("top_k", rows, field="f", group_by="g")
        assert (first["group_by"], first["group_value"], first["batch_size"], first["count"]) == ("g", None, 2, 2)
        assert second["group_value"] == "x"
        assert [second[name] for name in ("batch_size", "count", "missing_count", "non_finite_count")] == [2, 0, 1, 1]
        assert second["top_values"] == []

    def test_null_counts_if_it_is_included_and_is_still_counted_as_missing(self) -> None:
        (row,) = made("top_k", [{"f": None}, {"f": None}, {"f": 1}], field="f", include_missing=True)
        assert (row["count"], row["missing_count"], row["distinct_count"]) == (3, 2, 2)
        assert row["top_values"][0] == {"value": None, "count": 2, "rate": 2 / 3}

    @pytest.mark.parametrize("value", [[1], {"a": 1}])
    def test_lists_and_objects_fail_the_batch(self, value: Any) -> None:
        assert refused("top_k", [{"f": 1}, {"f": value}], field="f")["reason"] == "type_mismatch"

    def test_k_is_a_whole_number_above_0_and_10_if_left_out(self) -> None:
        assert made("top_k", [{"f": n} for n in range(12)], field="f")[0]["k"] == 10
        assert len(made("top_k", [{"f": n} for n in range(12)], field="f")[0]["top_values"]) == 10
        for wrong in (0, -1, 1.5, True, "many"):
            assert not_allowed("top_k", field="f", k=wrong).startswith("k: ")
