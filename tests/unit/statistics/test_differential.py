"""The ten statistics against `plain.py` over random batches, with null, NaN, bools among ints, ties and single rows."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest

from elspeth.plugins.contract import RowError
from tests.unit.statistics import plain
from tests.unit.statistics.batches import CTX, NAMES, alike, built

BATCHES = 1000

# Quarters: sums of them are exact, so that both sides agree on what is 0 and what is a tie.
NUMBERS = [*range(-3, 4), *(x / 4 for x in range(-10, 11)), 1.0, 2.0, 10**6, 2.0**40]
GROUPS = ["a", "b", "", 1, 1.0, True, 0, False, None, -0.0, 0.0, 2.5]
GONE = [math.nan, math.inf, -math.inf]
OTHER = [True, "1", [1], {"a": 1}]


def number(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice(OTHER)
    if r.random() < 0.15:
        return r.choice([None, *GONE])
    return r.choice(NUMBERS[: r.choice((3, 12, len(NUMBERS)))])


def label(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice([1.0, math.nan, [1], {"a": 1}])
    return None if r.random() < 0.15 else r.choice(["a", "b", 1, True, 0, False, ""])


def anything(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice([[1], {"a": 1}, []])
    return r.choice(["a", " \t", "", 1, 1.0, True, 0, False, None, *GONE, -0.0, 2.5, [1], [1.0], {"a": True}])


def scalar(r: random.Random, rarely: float) -> Any:
    value = anything(r, rarely)
    return value if r.random() < rarely or not isinstance(value, list | dict) else "z"


def group(r: random.Random, rarely: float) -> Any:
    return r.choice(GONE) if r.random() < rarely else r.choice(GROUPS[: r.choice((2, 3, len(GROUPS)))])


def variant(r: random.Random, rarely: float) -> Any:
    return group(r, rarely) if r.random() < rarely else r.choice(("a", 1, True, None)[: r.choice((2, 2, 2, 4))])


def pair(r: random.Random, rarely: float) -> Any:
    return group(r, rarely) if r.random() < rarely else r.choice(("a", 1, True, None, 2.5)[: r.choice((2, 5))])


def rows_of(r: random.Random, **fields: Any) -> list[dict[str, Any]]:
    rarely = r.choice((0, 0, 0, 0.05))
    count = r.choice((1, 2, 4, 8, 12, 20))
    return [{name: draw(r, rarely) for name, draw in fields.items()} for _ in range(count)]


def wanted(r: random.Random) -> Any:
    return r.choice((*[None] * 6, "a", "a", 1, True, "nobody"))


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
