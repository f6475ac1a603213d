"""How far the scores of variants lie from those of a baseline, in standard deviations."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Label
from elspeth.plugins.aggregations.statistics.comparison import COMPARED, ComparisonOptions, Sample, VariantComparison
from elspeth.plugins.aggregations.statistics.errors import computed
from elspeth.plugins.contract import Row

_INDICES = {
    "baseline_missing_indices": "Places in the batch of the baseline's missing scores, from 0; only if there are any.",
    "baseline_non_finite_indices": "The same for NaN and infinities.",
    "variant_missing_indices": "Places in the batch of this variant's missing scores, from 0; only if there are any.",
    "variant_non_finite_indices": "The same for NaN and infinities.",
}


class BatchEffectSizeOptions(ComparisonOptions):
    """Which scores are compared, and with whose."""

    baseline_variant: Label = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )


class BatchEffectSize(VariantComparison):
    """Tells the effect size of each variant against a baseline: Cohen's d and Hedges' g; one row per other variant.

    d is the difference of the means over the pooled standard deviation (Cohen, Statistical Power Analysis for the
    Behavioral Sciences, 1988); g is d without its bias in small samples (Hedges, Journal of Educational Statistics 6,
    1981).
    """

    name: ClassVar[str] = "batch_effect_size"
    Options = BatchEffectSizeOptions
    options: BatchEffectSizeOptions
    result_fields = {
        **COMPARED,
        "pooled_stdev": "Pooled standard deviation (Cohen 1988): sqrt(((n1 - 1)s1^2 + (n2 - 1)s2^2)/(n1 + n2 - 2)).",
        "cohens_d": "Cohen's d (Cohen 1988): mean_delta/pooled_stdev; null where that is null or 0.",
        "hedges_g": "Hedges' g (Hedges 1981): d(1 - 3/(4(n1 + n2) - 9)); null where d is null.",
        **_INDICES,
    }
    sometimes = frozenset(_INDICES)

    def measures(self, baseline: Sample, variant: Sample, delta: float) -> Row:
        """What this comparison measures, in the order of its `result_fields`."""
        pooled = pooled_stdev(baseline, variant)
        d = None if pooled is None else moments.ratio(delta, pooled, "cohens_d")
        indices = {
            f"{side}_{name}_indices": list(where)
            for side, sample in (("baseline", baseline), ("variant", variant))
            for name, where in (("missing", sample.scores.missing), ("non_finite", sample.scores.non_finite))
            if where
        }
        return {
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
