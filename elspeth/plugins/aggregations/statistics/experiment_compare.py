"""Whether the scores of variants differ from those of a baseline by more than chance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Text
from elspeth.plugins.aggregations.statistics.comparison import COMPARED, ComparisonOptions, Sample, VariantComparison
from elspeth.plugins.contract import Row


class BatchExperimentCompareOptions(ComparisonOptions):
    """Which scores are compared, and with whose."""

    baseline_variant: Text | None = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )


class BatchExperimentCompare(VariantComparison):
    """Compares the mean score of each variant with a baseline's: lift, z score and interval; one row per other variant.

    The standard error is that of two samples of unequal variance (Welch, Biometrika 34, 1947); the interval and the z
    score take the normal distribution, so they are for samples of some size, not for a handful of rows.
    """

    name: ClassVar[str] = "batch_experiment_compare"
    Options = BatchExperimentCompareOptions
    options: BatchExperimentCompareOptions
    result_fields = {
        **COMPARED,
        "relative_lift": "Relative change of the mean (lift): mean_delta/|baseline_mean|; null where that mean is 0.",
        "standard_error": "Standard error of the difference (Welch 1947): sqrt(s1^2/n1 + s2^2/n2); null if an n is 1.",
        "z_score": "Wald statistic (z test of two means): mean_delta/standard_error; null where that is null or 0.",
        "confidence_95_low": "Lower end of the normal (Wald) 95 % interval: mean_delta - 1.96 standard errors.",
        "confidence_95_high": "Upper end of that interval; both are null where z_score is.",
    }

    def measures(self, baseline: Sample, variant: Sample, delta: float) -> Row:
        """What this comparison measures, in the order of its `result_fields`."""
        error = None
        if baseline.stdev is not None and variant.stdev is not None:
            error = moments.standard_error((baseline.stdev, baseline.count), (variant.stdev, variant.count))
        low, high = moments.interval(delta, error) if error else (None, None)
        return {
            "relative_lift": moments.ratio(delta, abs(baseline.mean), "relative_lift"),
            "standard_error": error,
            "z_score": None if error is None else moments.ratio(delta, error, "z_score"),
            "confidence_95_low": low,
            "confidence_95_high": high,
        }
