"""How the tests of statistics ask for one, and when two answers are the same."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, RowError
from elspeth.plugins.options import OptionProblems

NAN, INFINITY = math.nan, math.inf
CTX = Context(run_id="mf3k2a9x", node_id="batch")

# Options with which each of the ten can be built, and a batch that it takes.
EXAMPLES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "classifier_metrics": (
        {"actual_field": "a", "predicted_field": "p", "positive_label": "yes"},
        [{"a": "yes", "p": "yes"}, {"a": "no", "p": "yes"}, {"a": None, "p": "no"}],
    ),
    "data_quality_report": ({"inspect_fields": ["a", "b"]}, [{"a": 1, "b": " "}, {"a": None, "b": [1]}]),
    "distribution_profile": (
        {"value_field": "v", "group_by": "g"},
        [{"v": 1, "g": "x"}, {"v": 2.5, "g": "x"}, {"v": None, "g": "x"}, {"v": 4, "g": "y"}],
    ),
    "drift_compare": (
        {"cohort_field": "c", "value_field": "v"},
        [{"c": 1, "v": 1}, {"c": 2, "v": 2}, {"c": 1, "v": 3}, {"c": 2, "v": None}],
    ),
    "effect_size": (
        {"variant_field": "c", "score_field": "s"},
        [{"c": "x", "s": 1}, {"c": "y", "s": 2}, {"c": "x", "s": 3}, {"c": "y", "s": None}],
    ),
    "experiment_compare": (
        {"variant_field": "c", "score_field": "s"},
        [{"c": "x", "s": 1}, {"c": "y", "s": 2}, {"c": "x", "s": 3}, {"c": "y", "s": 5}],
    ),
    "outlier_annotator": ({"value_field": "v"}, [{"v": 1, "id": 7}, {"v": None, "id": 8}, {"v": 3, "id": 9}]),
    "paired_preference": (
        {"pair_field": "q", "variant_field": "c", "score_field": "s"},
        [
            {"q": 1, "c": "x", "s": 1},
            {"q": 1, "c": "y", "s": 2},
            {"q": 2, "c": "x", "s": 3},
            {"q": 2, "c": "y", "s": None},
        ],
    ),
    "threshold_summary": (
        {"value_field": "v", "thresholds": [{"name": "high", "operator": ">=", "value": 2}]},
        [{"v": 1}, {"v": 2.0}, {"v": None}],
    ),
    "top_k": ({"field": "f", "group_by": "g", "k": 2}, [{"f": 1, "g": 1}, {"f": True, "g": 1}, {"f": 1, "g": 2}]),
}  # fmt: skip
NAMES = list(EXAMPLES)


def built(name: str, **options: Any) -> Any:
    return registry.build(registry.find("aggregation", f"batch_{name}"), options, "aggregations[0]")


def made(name: str, rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """The result rows of `batch_NAME`, which must leave the batch as it is."""
    before = copy.deepcopy(rows)
    try:
        result: list[dict[str, Any]] = built(name, **options).process(rows, CTX)
        return result
    finally:
        assert alike(rows, before)


def refused(name: str, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """The reason object with which the batch is refused."""
    with pytest.raises(RowError) as caught:
        made(name, rows, **options)
    return {"reason": caught.value.reason, **caught.value.details}


def not_allowed(name: str, **options: Any) -> str:
    """What is wrong with the options."""
    with pytest.raises(OptionProblems) as caught:
        built(name, **options)
    return "\n".join(caught.value.details)


def alike(one: Any, other: Any) -> bool:
    """Whether two results are the same: types too, the order of lists, and floats to 12 digits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)
