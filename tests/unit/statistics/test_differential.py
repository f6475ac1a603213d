"""The ten statistics against `plain.py` over random batches, with null, NaN, bools among ints, ties and single rows."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from elspeth.plugins.contract import RowError
from tests.unit.statistics import plain
from tests.unit.statistics.batches import CTX, NAMES, alike, built
from tests.unit.statistics.random_batches import (
    NUMBERS,
    anything,
    group,
    label,
    number,
    pair,
    rows_of,
    scalar,
    variant,
    wanted,
)

BATCHES = 1000


def case(name: str, r: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]], Any]:
    """Options, a batch, and what must come of it."""
    match name:
        case "classifier_metrics":
            rows, options = rows_of(r, a=label, p=label), {"positive_label": wanted(r)}
            options |= {"actual_field": "a", "predicted_field": "p"}
            return options, rows, plain.classifier_metrics(rows, "a", "p", options["positive_label"])
        case "data_quality_report":
            rows = rows_of(r, a=anything, b=number)
            return {"inspect_fields": ["b", "a"]}, rows, plain.data_quality_report(rows, ["b", "a"])
        case "distribution_profile":
            rows, by = rows_of(r, v=number, g=group), r.choice((None, "g"))
            return {"value_field": "v", "group_by": by}, rows, plain.distribution_profile(rows, "v", by)
        case "drift_compare":
            kind, first = r.choice((("numeric", number), ("categorical", label))), wanted(r)
            rows = rows_of(r, c=group, v=kind[1])
            options = {"cohort_field": "c", "value_field": "v", "value_type": kind[0], "baseline_cohort": first}
            return options, rows, plain.drift_compare(rows, "c", "v", kind[0], first)
        case "effect_size" | "experiment_compare":
            rows, first = rows_of(r, c=variant, s=number), wanted(r)
            if name == "experiment_compare" and not isinstance(first, str):
                first = None
            options = {"variant_field": "c", "score_field": "s", "baseline_variant": first}
            return options, rows, getattr(plain, name)(rows, "c", "s", first)
        case "outlier_annotator":
            rows, limits = rows_of(r, v=number, id=scalar), (r.choice((0.5, 1.0, 3.0)), r.choice((0.6745, 1.0, 3.5)))
            options = {"value_field": "v", "output_prefix": "o", "z_threshold": limits[0],
                       "robust_z_threshold": limits[1]}  # fmt: skip
            return options, rows, plain.outlier_annotator(rows, "v", "o", *limits)
        case "paired_preference":
            rows, first = rows_of(r, q=pair, c=variant, s=number), wanted(r)
            if r.random() < 0.9:  # else a variant is nearly always twice in a pair
                rows = list({(repr(row["q"]), repr(row["c"])): row for row in rows}.values())
            options = {"pair_field": "q", "variant_field": "c", "score_field": "s", "baseline_variant": first}
            return options, rows, plain.paired_preference(rows, "q", "c", "s", first)
        case "threshold_summary":
            rows = rows_of(r, v=number)
            thresholds = [{"name": sign, "operator": sign, "value": r.choice(NUMBERS)} for sign in plain.OPERATORS]
            return {"value_field": "v", "thresholds": thresholds}, rows, plain.threshold_summary(rows, "v", thresholds)
    rows, by, k, missing = rows_of(r, f=scalar, g=group), r.choice((None, "g")), r.choice((1, 2, 9)), r.random() < 0.5
    options = {"field": "f", "group_by": by, "k": k, "include_missing": missing}
    return options, rows, plain.top_k(rows, "f", k, by, missing)


def answer(name: str, options: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    try:
        return built(name, **options).process(rows, CTX)
    except RowError as error:
        return error.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_statistic_says_what_its_definition_says_over_a_thousand_random_batches(name: str) -> None:
    r = random.Random(f"batch_{name}")
    kinds: Counter[Any] = Counter()
    for _ in range(BATCHES):
        options, rows, expected = case(name, r)
        found = answer(name, options, rows)
        assert alike(found, expected), f"{options}\n{rows}\n{found}\n{expected}"
        kinds[expected if isinstance(expected, str) else "rows"] += 1
    assert kinds["rows"] > BATCHES / 4, kinds
    assert kinds.keys() >= REFUSALS[name], kinds


# What the random batches of a statistic must have brought about, so that its agreement means something.
SCORES = {"type_mismatch", "non_finite_variant", "insufficient_variants", "baseline_variant_missing",
          "baseline_has_no_finite_scores", "variant_has_no_finite_scores"}  # fmt: skip
REFUSALS = {
    "classifier_metrics": {"type_mismatch", "no_valid_label_pairs"},
    "data_quality_report": set(),
    "distribution_profile": {"type_mismatch", "non_finite_group_key", "no_finite_values"},
    "drift_compare": {"type_mismatch", "non_finite_group_key", "baseline_cohort_missing", "insufficient_cohorts",
                      "no_valid_values"},
    "effect_size": SCORES,
    "experiment_compare": SCORES,
    "outlier_annotator": {"type_mismatch", "no_finite_values"},
    "paired_preference": {"type_mismatch", "non_finite_variant", "non_finite_group_key", "baseline_variant_missing",
                          "insufficient_variants", "duplicate_variant_in_pair", "no_complete_pairs"},
    "threshold_summary": {"type_mismatch", "no_finite_values"},
    "top_k": {"type_mismatch", "non_finite_group_key"},
}  # fmt: skip
