"""What holds for all ten statistics: their options, the fields they need, and how a batch is refused."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.describe import describe
from tests.unit.statistics.batches import EXAMPLES, INFINITY, NAMES, NAN, alike, built, made, not_allowed, refused

FIELD_OPTIONS = [
    (name, option) for name, (options, _) in EXAMPLES.items() for option in options if option.endswith("field")
] + [("distribution_profile", "group_by"), ("top_k", "group_by")]
GROUPED = [
    ("distribution_profile", "g", "non_finite_group_key"),
    ("drift_compare", "c", "non_finite_group_key"),
    ("effect_size", "c", "non_finite_variant"),
    ("experiment_compare", "c", "non_finite_variant"),
    ("paired_preference", "c", "non_finite_variant"),
    ("paired_preference", "q", "non_finite_group_key"),
    ("top_k", "g", "non_finite_group_key"),
]
NUMERIC = [
    ("distribution_profile", "v"), ("drift_compare", "v"), ("effect_size", "s"), ("experiment_compare", "s"),
    ("outlier_annotator", "v"), ("paired_preference", "s"), ("threshold_summary", "v"),
]  # fmt: skip


def example(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    options, rows = EXAMPLES[name]
    return dict(options), [dict(row) for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_rows_hold_only_the_fields_that_are_announced(name: str) -> None:
    options, rows = example(name)
    plugin = built(name, **options)
    fields = frozenset(rows[0])
    for row in made(name, rows, **options):
        assert plugin.fields_out(fields) <= row.keys() <= plugin.fields_possible(fields)


@pytest.mark.parametrize("name", NAMES)
def test_input_rows_are_consumed_and_only_the_outlier_annotator_keeps_their_fields(name: str) -> None:
    options, rows = example(name)
    rows = [{**row, "of_the_input": 1} for row in rows]
    assert all(("of_the_input" in row) == (name == "outlier_annotator") for row in made(name, rows, **options))


@pytest.mark.parametrize("name", NAMES)
def test_schema_and_required_input_fields_are_options_and_come_last(name: str) -> None:
    options, rows = example(name)
    described = describe(registry.find("aggregation", f"batch_{name}"))
    assert [option.name for option in described.options[-2:]] == ["required_input_fields", "schema"]
    plugin = built(name, **options, schema={"mode": "observed"}, required_input_fields=["also"])
    assert plugin.fields_in() == built(name, **options).fields_in() | {"also"}
    error = refused(name, rows, **options, required_input_fields=["also"])
    assert (error["reason"], error["field"]) == ("missing_field", "also")
    assert not_allowed(name, **options, required_input_fields=["a", " "]).startswith("required_input_fields[1]: ")


@pytest.mark.parametrize(("name", "option"), FIELD_OPTIONS)
def test_a_field_that_an_option_names_must_be_in_every_row(name: str, option: str) -> None:
    options, rows = example(name)
    field = options[option]
    assert field in built(name, **options).fields_in()
    del rows[1][field]
    error = refused(name, rows, **options)
    assert error["reason"] == "missing_field"
    assert error["cause"] == f"there is no field {field!r} in row 1 of the batch (from 0)"
    assert error["row_errors"] == [{"row_index": 1, "reason": "missing_field"}]


def test_the_fields_of_a_quality_report_are_needed_before_the_run_and_no_error_in_it() -> None:
    plugin = built("data_quality_report", inspect_fields=["a", "b"])
    assert plugin.fields_in() == {"a", "b"}
    assert made("data_quality_report", [{}], inspect_fields=["a"])[0]["missing_count"] == 1


@pytest.mark.parametrize(("name", "field", "reason"), GROUPED)
@pytest.mark.parametrize("key", [NAN, INFINITY, -INFINITY])
def test_a_key_that_is_not_finite_fails_the_batch_with_its_rows(name: str, field: str, reason: str, key: float) -> None:
    options, rows = example(name)
    rows[1][field] = key
    error = refused(name, rows, **options)
    assert error["reason"] == reason
    assert error["row_errors"] == [{"row_index": 1, "reason": "non_finite_value"}]
    assert "row 1 of the batch" in error["cause"]


@pytest.mark.parametrize(("name", "field"), NUMERIC)
@pytest.mark.parametrize("value", [True, "2", [1], {"a": 1}])
def test_what_is_no_number_fails_the_batch_and_a_bool_is_none(name: str, field: str, value: Any) -> None:
    options, rows = example(name)
    rows[1][field] = value
    error = refused(name, rows, **options)
    assert error["reason"] == "type_mismatch"
    assert error["field"] == field
    assert error["row_errors"] == [{"row_index": 1, "reason": "type_mismatch"}]
    assert f"no number but {type(value).__name__} in row 1" in error["cause"]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_is_an_error(name: str) -> None:
    assert refused(name, [], **EXAMPLES[name][0]) == {
        "reason": "empty_batch",
        "cause": "the batch has no row",
        "row_errors": [],
    }


def test_an_error_names_at_most_128_rows_and_then_says_how_many_there_are() -> None:
    options = EXAMPLES["threshold_summary"][0]
    assert "row_error_count" not in refused("threshold_summary", [{"v": None}] * 128, **options)
    error = refused("threshold_summary", [{"v": None}] * 129, **options)
    assert [problem["row_index"] for problem in error["row_errors"]] == list(range(128))
    assert error["row_error_count"] == 129


def test_true_and_1_and_1_0_are_three_groups_and_null_is_one() -> None:
    rows = [{"v": 1, "g": g} for g in (1.0, True, None, 1, "1", True, None, [1], [True], {"a": 1}, {"a": 1.0})]
    groups = [row["g"] for row in made("distribution_profile", rows, value_field="v", group_by="g")]
    assert alike(groups, [1.0, True, None, 1, "1", [1], [True], {"a": 1}, {"a": 1.0}])


@pytest.mark.parametrize(
    ("name", "values", "operation"),
    [
        ("distribution_profile", [1e308, 1e308], "mean"),
        ("distribution_profile", [10**400], "mean"),
        ("outlier_annotator", [1e308, -1e308, -1e308], "mad"),
        ("drift_compare", [1e308, -1e308], "mean_delta"),
        ("effect_size", [1e308, -1e308], "mean_delta"),
        ("effect_size", [10**400, 1], "baseline_mean"),
        ("experiment_compare", [5e-324, 1e300], "relative_lift"),
        ("paired_preference", [1e308, -1e308], "mean_paired_delta"),
    ],
)
def test_a_result_that_no_float_can_hold_fails_the_batch_and_is_named(
    name: str, values: list[float], operation: str
) -> None:
    options = dict(EXAMPLES[name][0])
    options.pop("group_by", None)
    rows = [{"v": value, "s": value, "c": place, "q": 1} for place, value in enumerate(values)]
    error = refused(name, rows, **options)
    assert (error["reason"], error["operation"]) == ("float_overflow", operation)


@pytest.mark.parametrize(("name", "option"), FIELD_OPTIONS)
@pytest.mark.parametrize("blank", ["", " \t"])
def test_texts_must_not_be_blank(name: str, option: str, blank: str) -> None:
    assert f"{option}: found {blank!r}, which is blank" in not_allowed(name, **{**EXAMPLES[name][0], option: blank})


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("classifier_metrics", "actual_field", "predicted_field"),
        ("drift_compare", "cohort_field", "value_field"),
        ("effect_size", "variant_field", "score_field"),
        ("experiment_compare", "variant_field", "score_field"),
        ("paired_preference", "pair_field", "variant_field"),
        ("paired_preference", "variant_field", "score_field"),
        ("paired_preference", "pair_field", "score_field"),
        ("top_k", "field", "group_by"),
    ],
)
def test_options_that_must_name_different_fields_are_settings_errors_otherwise(name: str, one: str, other: str) -> None:
    options = dict(EXAMPLES[name][0])
    assert "these must be different fields" in not_allowed(name, **{**options, one: options[other]})


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("classifier_metrics", "positive_label"),
        ("drift_compare", "baseline_cohort"),
        ("effect_size", "baseline_variant"),
        ("paired_preference", "baseline_variant"),
    ],
)
def test_a_label_in_the_options_is_text_a_whole_number_or_a_bool(name: str, option: str) -> None:
    options = EXAMPLES[name][0]
    for label in ("1", 1, True, None):
        found = getattr(built(name, **{**options, option: label}).options, option)
        assert type(found) is type(label)
        assert found == label
    for wrong in (1.0, [1], {}, ""):
        assert not_allowed(name, **{**options, option: wrong}).startswith(f"{option}: found {wrong!r}")


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_result_is_explained_and_sources_are_given(name: str) -> None:
    plugin = registry.find("aggregation", f"batch_{name}")
    described = describe(plugin)
    assert described.text.count(" 19") + described.text.count(" 20") >= 1, "no source is given"
    assert all(meaning.endswith(".") for meaning in described.result_fields.values())
    options = EXAMPLES[name][0]
    group = frozenset(filter(None, (options.get("group_by"),)))
    shown = {field.removeprefix("outlier_") for field in built(name, **options).fields_possible(frozenset())}
    assert shown - group <= described.result_fields.keys()
