"""Decimals, dates and times are counted, grouped and labelled by value, not by the text that stands for it."""

from __future__ import annotations

from typing import Any

from elspeth.plugins.contract import Context
from tests.unit.statistics.batches import built

TYPES = {"d": "decimal", "e": "decimal", "t": "datetime"}
BERLIN, LONDON = "2026-06-01T09:30:00+02:00", "2026-06-01T08:30:00+01:00"


def computed(name: str, rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    plugin = built(name, **options)
    context = Context("r", "step", types=TYPES)
    plugin.setup(context)
    return list(plugin.process(rows, context))


def column(field: str, *values: Any) -> list[dict[str, Any]]:
    return [{field: value} for value in values]


def test_top_k_counts_one_value_of_several_texts_once_under_its_first_text() -> None:
    (row,) = computed("top_k", column("d", "1.50", "2", "1.5", None, "1.500"), field="d")
    assert [(each["value"], each["count"]) for each in row["top_values"]] == [("1.50", 3), ("2", 1)]
    assert (row["distinct_count"], row["missing_count"]) == (2, 1)


def test_times_are_the_same_in_berlin_and_in_london() -> None:
    (row,) = computed("top_k", column("t", BERLIN, LONDON), field="t")
    assert row["top_values"] == [{"value": BERLIN, "count": 2, "rate": 1.0}]


def test_groups_of_a_decimal_are_those_of_its_value() -> None:
    rows = [{"d": "1.0", "f": "x"}, {"d": "1", "f": "x"}, {"d": "2", "f": "x"}]
    found = computed("top_k", rows, field="f", group_by="d")
    assert [(row["group_value"], row["batch_size"]) for row in found] == [("1.0", 2), ("2", 1)]
    measured = computed(
        "distribution_profile", [{"d": each["d"], "v": 1} for each in rows], value_field="v", group_by="d"
    )
    assert [row["batch_size"] for row in measured] == [2, 1]


def test_the_quality_report_finds_duplicates_by_value_and_takes_whatever_there_is() -> None:
    (row,) = computed(
        "data_quality_report", [*column("d", "1.0", "1", " ", [1], "no decimal"), {}], inspect_fields=["d"]
    )
    assert (row["valid_count"], row["distinct_count"], row["duplicate_count"]) == (3, 2, 1)
    assert (row["blank_string_count"], row["non_scalar_count"], row["missing_count"]) == (1, 1, 1)


def test_labels_of_two_fields_agree_by_value_and_a_label_in_the_options_is_meant_by_value() -> None:
    rows = [{"d": "1.0", "e": "1.00"}, {"d": "2", "e": "2.0"}]
    (row,) = computed("classifier_metrics", rows, actual_field="d", predicted_field="e", positive_label="1")
    assert (row["accuracy"], row["binary_tp"], row["labels"]) == (1.0, 1, ["1", "2"])


def test_cohorts_and_variants_are_told_apart_by_value() -> None:
    rows = [{"d": d, "v": v} for d, v in (("1", 1), ("1.0", 3), ("2", 2), ("2.00", 5))]
    (row,) = computed("drift_compare", rows, cohort_field="d", value_field="v", baseline_cohort="1.00")
    assert (row["baseline_count"], row["cohort_count"]) == (2, 2)
    (row,) = computed("effect_size", rows, variant_field="d", score_field="v")
    assert (row["baseline_count"], row["variant_count"]) == (2, 2)


def test_without_a_type_texts_are_texts() -> None:
    (row,) = computed("top_k", column("f", "1.50", "1.5"), field="f")
    assert row["distinct_count"] == 2
