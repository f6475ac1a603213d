"""Two samples side by side: which of several is the baseline, and what is said of each of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.errors import RowProblem, batch_error
from elspeth.plugins.aggregations.statistics.values import (
    Group,
    Key,
    Observed,
    check_numbers,
    grouped,
    observed,
    same_value,
)
from elspeth.plugins.contract import Row, RowError


@dataclass(frozen=True, slots=True)
class Sample:
    """The scores of one variant; `mean` and `stdev` are those of its finite scores."""

    variant: Any
    total: int
    scores: Observed
    mean: float
    stdev: float | None

    @property
    def count(self) -> int:
        """How many finite scores there are."""
        return len(self.scores.values)

    def described(self, side: str) -> Row:
        """What every comparison says of one of its two sides; the key of each fact begins with `side`."""
        return {
            f"{side}_count": self.count,
            f"{side}_total_count": self.total,
            f"{side}_missing_count": len(self.scores.missing),
            f"{side}_non_finite_count": len(self.scores.non_finite),
            f"{side}_mean": self.mean,
            f"{side}_stdev": self.stdev,
        }


def described_sides(baseline: str, other: str) -> dict[str, str]:
    """What the facts of `Sample.described` mean, for both sides."""
    return {
        f"{side}_{name}": meaning.format(who=who)
        for side, who in ((baseline, f"the {baseline}"), (other, f"this {other}"))
        for name, meaning in {
            "count": "Sample size n of {who}: its finite scores.",
            "total_count": "Rows of {who}.",
            "missing_count": "Rows of {who} whose score is null.",
            "non_finite_count": "Rows of {who} whose score is NaN or infinite.",
            "mean": "Arithmetic mean of the scores of {who}, sum/n.",
            "stdev": "Sample standard deviation of the scores of {who}, over n - 1 (Bessel); null for one score.",
        }.items()
    }


COMPARED = {
    "variant_field": "Name of the field with the variant.",
    "score_field": "Name of the field with the score.",
    "baseline_variant": "The variant that is compared with.",
    "variant": "The variant that is compared.",
    "batch_size": "Rows of the whole batch.",
    **described_sides("baseline", "variant"),
    "mean_delta": "Difference of the means, variant - baseline.",
}
"""What every row of a `VariantComparison` begins with."""


class ComparisonOptions(StatisticOptions):
    """Which scores are compared. A comparison adds `baseline_variant`: with whose."""

    variant_field: Text = Field(description="The field that says to which variant a row belongs.")
    score_field: Text = Field(description="The field with the numbers that are compared; null does not count.")
    baseline_variant: Any = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> Self:
        self.differ("variant_field", "score_field")
        return self


class VariantComparison(Statistic):
    """Base of what compares each variant of a batch with a baseline: one row per variant that is not the baseline."""

    options: ComparisonOptions

    def measures(self, baseline: Sample, variant: Sample, delta: float) -> Row:
        """What is said of two samples beside `COMPARED`; `delta` is the difference of their means."""
        raise NotImplementedError

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
        return {
            "variant_field": self.options.variant_field,
            "score_field": self.options.score_field,
            "baseline_variant": baseline.variant,
            "variant": variant.variant,
            "batch_size": batch_size,
            **baseline.described("baseline"),
            **variant.described("variant"),
            "mean_delta": delta,
            **self.measures(baseline, variant, delta),
        }


def baseline_of(groups: dict[Key, Group], wanted: Any, noun: str) -> Key:
    """The key of the group that the others are compared with: the first one, unless a value is wanted.

    Raises the batch error `baseline_NOUN_missing`.
    """
    if wanted is None:
        return next(iter(groups))
    key = same_value(wanted)
    if key not in groups:
        raise batch_error(
            f"baseline_{noun}_missing",
            f"no row of the batch is of the baseline {noun} {wanted!r}",
            **_found(groups, noun),
        )
    return key


def need_two(groups: dict[Key, Group], noun: str) -> None:
    """Raise the batch error `insufficient_NOUNs` unless there is something to compare."""
    if len(groups) < 2:
        raise batch_error(
            f"insufficient_{noun}s", f"a comparison needs two {noun}s; the batch has one", **_found(groups, noun)
        )


def samples(rows: list[Row], variant_field: str, score_field: str, wanted: Any) -> tuple[Sample, list[Sample]]:
    """The baseline's sample and those of the other variants, in order of appearance.

    Raises the batch errors `type_mismatch`, `non_finite_variant`, `insufficient_variants`, `baseline_variant_missing`,
    `baseline_has_no_finite_scores` and `variant_has_no_finite_scores`.
    """
    check_numbers(rows, score_field)
    groups = grouped(rows, variant_field, "non_finite_variant")
    need_two(groups, "variant")
    chosen = baseline_of(groups, wanted, "variant")
    baseline = _sample("baseline", groups[chosen], score_field)
    return baseline, [_sample("variant", group, score_field) for key, group in groups.items() if key != chosen]


def _sample(side: str, group: Group, score_field: str) -> Sample:
    scores = observed(group.column(score_field))
    if not scores.values:
        raise _no_finite_scores(side, group, score_field, scores.problems())
    mean = moments.mean(scores.values, f"{side}_mean")
    return Sample(group.value, len(group.rows), scores, mean, moments.stdev(scores.values, f"{side}_stdev"))


def _no_finite_scores(side: str, group: Group, score_field: str, problems: list[RowProblem]) -> RowError:
    who = "the baseline" if side == "baseline" else "the variant"
    cause = f"field {score_field!r} holds no finite number in any row of {who} {group.value!r}"
    return batch_error(f"{side}_has_no_finite_scores", cause, problems, variant=group.value)


def _found(groups: dict[Key, Group], noun: str) -> dict[str, Any]:
    return {f"{noun}s": [group.value for group in groups.values()][:128]}
