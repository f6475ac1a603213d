"""Whether the scores of variants differ from those of a baseline by more than chance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.comparison import Sample, described_sides, samples
from elspeth.plugins.contract import Row


class BatchExperimentCompareOptions(StatisticOptions):
    """Which scores are compared, and with whose."""

    variant_field: Text = Field(description="The field that says to which variant a row belongs.")
    score_field: Text = Field(description="The field with the numbers that are compared; null does not count.")
    baseline_variant: Text | None = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> BatchExperimentCompareOptions:
        self.differ("variant_field", "score_field")
        return self


class BatchExperimentCompare(Statistic):
    """Compares the mean score of each variant with a baseline's: lift, z score and interval; one row per other variant.

    The standard error is that of two samples of unequal variance (Welch, Biometrika 34, 1947); the interval and the z
    score take the normal distribution, so they are for samples of some size, not for a handful of rows.
    """

    name: ClassVar[str] = "batch_experiment_compare"
    Options = BatchExperimentCompareOptions
    options: BatchExperimentCompareOptions
    result_fields = {
        "variant_field": "Name of the field with the variant.",
        "score_field": "Name of the field with the score.",
        "baseline_variant": "The variant that is compared with.",
        "variant": "The variant that is compared.",
        "batch_size": "Rows of the whole batch.",
        **described_sides("baseline", "variant"),
        "mean_delta": "Difference of the means, variant - baseline.",
        "relative_lift": "Relative change of the mean (lift): mean_delta/|baseline_mean|; null where that mean is 0.",
        "standard_error": "Standard error of the difference (Welch 1947): sqrt(s1^2/n1 + s2^2/n2); null if an n is 1.",
        "z_score": "Wald statistic (z test of two means): mean_delta/standard_error; null where that is null or 0.",
        "confidence_95_low": "Lower end of the normal (Wald) 95 % interval: mean_delta - 1.96 standard errors.",
        "confidence_95_high": "Upper end of that interval; both are null where z_score is.",
    }

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per variant that is not the baseline, in order of first appearance."""
        options = self.options
        baseline, others = samples(rows, options.variant_field, options.score_field, options.baseline_variant)
        return [self._compared(baseline, other, len(rows)) for other in others]

    def named_fields(self) -> frozenset[str]:
        """The fields with variant and score."""
        return frozenset({self.options.variant_field, self.options.score_field})

    def _compared(self, baseline: Sample, variant: Sample, batch_size: int) -> Row:
        delta = moments.difference(variant.mean, baseline.mean, "mean_delta")
        error = None
        if baseline.stdev is not None and variant.stdev is not None:
            error = moments.standard_error((baseline.stdev, baseline.count), (variant.stdev, variant.count))
        low, high = moments.interval(delta, error) if error else (None, None)
        return {
            "variant_field": self.options.variant_field,
            "score_field": self.options.score_field,
            "baseline_variant": baseline.variant,
            "variant": variant.variant,
            "batch_size": batch_size,
            **baseline.described("baseline"),
            **variant.described("variant"),
            "mean_delta": delta,
            "relative_lift": moments.ratio(delta, abs(baseline.mean), "relative_lift"),
            "standard_error": error,
            "z_score": None if error is None else moments.ratio(delta, error, "z_score"),
            "confidence_95_low": low,
            "confidence_95_high": high,
        }
