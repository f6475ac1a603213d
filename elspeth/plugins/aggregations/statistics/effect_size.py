"""How far the scores of variants lie from those of a baseline, in standard deviations."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Label, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.comparison import Sample, described_sides, samples
from elspeth.plugins.aggregations.statistics.errors import computed
from elspeth.plugins.contract import Row

_INDICES = {
    "baseline_missing_indices": "Places in the batch of the baseline's missing scores, from 0; only if there are any.",
    "baseline_non_finite_indices": "The same for NaN and infinities.",
    "variant_missing_indices": "Places in the batch of this variant's missing scores, from 0; only if there are any.",
    "variant_non_finite_indices": "The same for NaN and infinities.",
}


class BatchEffectSizeOptions(StatisticOptions):
    """Which scores are compared, and with whose."""

    variant_field: Text = Field(description="The field that says to which variant a row belongs.")
    score_field: Text = Field(description="The field with the numbers that are compared; null does not count.")
    baseline_variant: Label = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> BatchEffectSizeOptions:
        self.differ("variant_field", "score_field")
        return self


class BatchEffectSize(Statistic):
    """Tells the effect size of each variant against a baseline: Cohen's d and Hedges' g; one row per other variant.

    d is the difference of the means over the pooled standard deviation (Cohen, Statistical Power Analysis for the
    Behavioral Sciences, 1988); g is d without its bias in small samples (Hedges, Journal of Educational Statistics 6,
    1981).
    """

    name: ClassVar[str] = "batch_effect_size"
    Options = BatchEffectSizeOptions
    options: BatchEffectSizeOptions
    result_fields = {
        "variant_field": "Name of the field with the variant.",
        "score_field": "Name of the field with the score.",
        "baseline_variant": "The variant that is compared with.",
        "variant": "The variant that is compared.",
        "batch_size": "Rows of the whole batch.",
        **described_sides("baseline", "variant"),
        "mean_delta": "Difference of the means, variant - baseline.",
        "pooled_stdev": "Pooled standard deviation (Cohen 1988): sqrt(((n1 - 1)s1^2 + (n2 - 1)s2^2)/(n1 + n2 - 2)).",
        "cohens_d": "Cohen's d (Cohen 1988): mean_delta/pooled_stdev; null where that is null or 0.",
        "hedges_g": "Hedges' g (Hedges 1981): d(1 - 3/(4(n1 + n2) - 9)); null where d is null.",
        **_INDICES,
    }
    sometimes = frozenset(_INDICES)

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
        pooled = pooled_stdev(baseline, variant)
        d = None if pooled is None else moments.ratio(delta, pooled, "cohens_d")
        indices = {
            f"{side}_{name}_indices": list(where)
            for side, sample in (("baseline", baseline), ("variant", variant))
            for name, where in (("missing", sample.scores.missing), ("non_finite", sample.scores.non_finite))
            if where
        }
        return {
            "variant_field": self.options.variant_field,
            "score_field": self.options.score_field,
            "baseline_variant": baseline.variant,
            "variant": variant.variant,
            "batch_size": batch_size,
            **baseline.described("baseline"),
            **variant.described("variant"),
            "mean_delta": delta,
            "pooled_stdev": pooled,
            "cohens_d": d,
            "hedges_g": None if d is None else hedges_g(d, baseline.count + variant.count),
            **indices,
        }


def pooled_stdev(first: Sample, second: Sample) -> float | None:
    """The pooled standard deviation of two samples; None where each has one value. A single value has a spread of 0."""
    freedom = first.count + second.count - 2
    if freedom <= 0:
        return None
    # As a hypotenuse, so that the squares of large numbers do not overflow in between.
    parts = [(one.stdev or 0.0) * math.sqrt((one.count - 1) / freedom) for one in (first, second)]
    return computed("pooled_stdev", math.hypot, *parts)


def hedges_g(d: float, size: int) -> float | None:
    """Cohen's d of two samples with `size` values in all, corrected for small samples."""
    return None if 4 * size - 9 <= 0 else computed("hedges_g", lambda: d * (1 - 3 / (4 * size - 9)))
