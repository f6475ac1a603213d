"""The statistics against the standard library and, where installed, against numpy, scipy and scikit-learn."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.statistics.batches import made

# Far enough from the ends that no library overflows, and no subnormals, of which each has its own opinion.
FLOATS = st.floats(-1e100, 1e100, allow_subnormal=False) | st.integers(-(2**70), 2**70)
SAMPLE = st.lists(FLOATS, min_size=2, max_size=30)
TIED = st.lists(st.integers(-5, 5) | st.sampled_from([-2.5, 0.5, 1.0]), min_size=2, max_size=30)
QUICK = settings(max_examples=60, deadline=None)


def profile(values: list[float]) -> dict[str, Any]:
    return made("distribution_profile", [{"v": value} for value in values], value_field="v")[0]


def compared(name: str, first: list[Any], second: list[Any], **options: Any) -> dict[str, Any]:
    rows = [{"c": "a", "v": value} for value in first] + [{"c": "b", "v": value} for value in second]
    return made(name, rows, **options)[0]


def scores(name: str, first: list[Any], second: list[Any]) -> dict[str, Any]:
    return compared(name, first, second, variant_field="c", score_field="v")


def near(one: float, other: float, values: list[float]) -> bool:
    """Equal to 12 digits of the largest value: what is left when large numbers cancel is nobody's promise."""
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12 * max(map(abs, values)))


@QUICK
@given(SAMPLE | TIED)
def test_a_profile_agrees_with_the_standard_library(values: list[float]) -> None:
    row = profile(values)
    p25, p50, p75 = statistics.quantiles(values, method="inclusive")
    assert near(row["mean"], statistics.fmean(values), values)
    assert row["median"] == float(statistics.median(values))
    assert row["stdev"] == statistics.stdev(values)
    assert all(near(row[name], q, values) for name, q in (("p25", p25), ("median", p50), ("p75", p75)))
    assert float(row["min"]) <= row["p25"] <= row["median"] <= row["p75"] <= float(row["max"])


@QUICK
@given(SAMPLE | TIED)
def test_a_profile_agrees_with_numpy(values: list[float]) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is an extra for tests")
    row, array = profile(values), numpy.array([float(value) for value in values])
    for name, share in (("p25", 25), ("median", 50), ("p75", 75)):
        assert near(row[name], numpy.percentile(array, share), values)
    assert near(row["mean"], array.mean(), values)
    assert near(row["stdev"], array.std(ddof=1), values)


@QUICK
@given(TIED, TIED)
def test_drift_of_numbers_agrees_with_scipy(first: list[float], second: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an extra for tests")
    row = compared("drift_compare", first, second, cohort_field="c", value_field="v")
    assert math.isclose(row["ks_statistic"], stats.ks_2samp(first, second, method="asymp").statistic, abs_tol=1e-12)


@QUICK
@given(st.lists(st.sampled_from("xyz"), min_size=3), st.lists(st.sampled_from("xyz"), min_size=1))
def test_drift_of_categories_agrees_with_scipy(first: list[str], second: list[str]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an extra for tests")
    second = [value for value in second if value in first] or first[:1]
    row = compared("drift_compare", first, second, cohort_field="c", value_field="v", value_type="categorical")
    seen = dict.fromkeys(first)
    expected = [first.count(value) / len(first) * len(second) for value in seen]
    found = stats.chisquare([second.count(value) for value in seen], expected).statistic
    assert math.isclose(row["chi_square_statistic"], found, abs_tol=1e-9)
    assert 0 <= row["total_variation"] <= 1


@QUICK
@given(SAMPLE | TIED, SAMPLE | TIED)
def test_samples_agree_with_the_standard_library(first: list[float], second: list[float]) -> None:
    effect, experiment = (scores(name, first, second) for name in ("effect_size", "experiment_compare"))
    n1, n2, v1, v2 = len(first), len(second), statistics.variance(first), statistics.variance(second)
    assert (effect["baseline_stdev"], effect["variant_stdev"]) == (statistics.stdev(first), statistics.stdev(second))
    pooled = math.sqrt(((n1 - 1) * v1 + (n2 - 1) * v2) / (n1 + n2 - 2))
    assert math.isclose(effect["pooled_stdev"], pooled, rel_tol=1e-12)
    assert math.isclose(experiment["standard_error"], math.sqrt(v1 / n1 + v2 / n2), rel_tol=1e-12)
    assert experiment["baseline_mean"] == effect["baseline_mean"]
    if effect["cohens_d"] is not None:
        assert math.copysign(1, effect["hedges_g"]) == math.copysign(1, effect["cohens_d"])
        assert abs(effect["hedges_g"]) <= abs(effect["cohens_d"])


@QUICK
@given(TIED, TIED)
def test_the_z_score_of_an_experiment_is_welchs_t_in_scipy(first: list[float], second: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an extra for tests")
    row = scores("experiment_compare", first, second)
    if statistics.pvariance(first) and statistics.pvariance(second):  # scipy warns of a sample without any spread
        welch = stats.ttest_ind(second, first, equal_var=False).statistic
        assert math.isclose(row["z_score"], welch, rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(row["confidence_95_high"] - row["confidence_95_low"], 3.92 * row["standard_error"])


@QUICK
@given(TIED)
def test_outliers_agree_with_scipy(values: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an extra for tests")
    found = made("outlier_annotator", [{"v": value} for value in values], value_field="v")
    assert math.isclose(found[0]["outlier_mad"], stats.median_abs_deviation(values), abs_tol=1e-12)
    if found[0]["outlier_stdev"]:
        for row, z in zip(found, stats.zscore(values, ddof=1), strict=True):
            assert math.isclose(row["outlier_z_score"], z, rel_tol=1e-9, abs_tol=1e-9)


@QUICK
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=20))
def test_pairs_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an extra for tests")
    rows = [{"q": q, "c": c, "s": s} for q, pair in enumerate(pairs) for c, s in zip("ab", pair, strict=True)]
    (row,) = made("paired_preference", rows, pair_field="q", variant_field="c", score_field="s")
    deltas = [b - a for a, b in pairs]
    assert math.isclose(row["standard_error_delta"], stats.sem(deltas), abs_tol=1e-12)
    assert math.isclose(row["mean_paired_delta"], row["variant_mean"] - row["baseline_mean"], abs_tol=1e-12)
    assert row["wins"] + row["losses"] + row["ties"] == len(pairs)


# Two labels at least: scikit-learn warns where there is but one.
@QUICK
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=1, max_size=20))
def test_a_classifiers_metrics_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is an extra for tests")
    pairs = [*pairs, ("x", "x"), ("y", "z")]
    rows = [{"a": actual, "p": predicted} for actual, predicted in pairs]
    (row,) = made("classifier_metrics", rows, actual_field="a", predicted_field="p")
    actual, predicted = zip(*pairs, strict=True)
    matrix = metrics.confusion_matrix(actual, predicted, labels=row["labels"])
    counted = {(each["actual"], each["predicted"]): each["count"] for each in row["confusion_matrix"]}
    assert [[counted.get((a, p), 0) for p in row["labels"]] for a in row["labels"]] == matrix.tolist()
    of_labels = metrics.precision_recall_fscore_support(
        actual, predicted, labels=row["labels"], average=None, zero_division=math.nan
    )
    for each, p, r, f, support in zip(row["per_label"], *of_labels, strict=True):
        assert each["support"] == support
        assert (each["precision"], each["recall"]) == (known(p), known(r))
        # scikit-learn gives an F1 of 0 where precision or recall is 0 or has no value; here it has none either.
        assert math.isclose(each["f1"] or 0.0, known(f) or 0.0, abs_tol=1e-12)
    assert row["accuracy"] == metrics.accuracy_score(actual, predicted) == row["micro_precision"] == row["micro_recall"]


def known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
