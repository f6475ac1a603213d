"""Which of two variants is preferred, where both were scored on the same things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Label, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.comparison import baseline_of, need_two
from elspeth.plugins.aggregations.statistics.errors import RowProblem, batch_error
from elspeth.plugins.aggregations.statistics.values import (
    Group,
    Key,
    Number,
    check_numbers,
    grouped,
    is_non_finite,
    same_value,
)
from elspeth.plugins.contract import Row


class BatchPairedPreferenceOptions(StatisticOptions):
    """What makes a pair, and which scores are compared."""

    pair_field: Text = Field(description="The field whose value is the same in the rows that are compared.")
    variant_field: Text = Field(description="The field that says to which variant a row belongs; once in each pair.")
    score_field: Text = Field(description="The field with the numbers that are compared; higher is preferred.")
    baseline_variant: Label = Field(
        default=None, description="The variant that the others are compared with; left out, the first of the batch."
    )

    @model_validator(mode="after")
    def _three_fields(self) -> BatchPairedPreferenceOptions:
        self.differ("pair_field", "variant_field", "score_field")
        return self


@dataclass(slots=True)
class _Pairs:
    """The pairs of the baseline with one variant."""

    scores: list[tuple[Number, Number]] = field(default_factory=list)  # of the baseline, of the variant
    incomplete: list[Any] = field(default_factory=list)
    missing: int = 0
    non_finite: int = 0
    problems: list[RowProblem] = field(default_factory=list)


class BatchPairedPreference(Statistic):
    """Compares the scores of variants pair by pair with a baseline's: wins, losses and ties; one row per variant.

    Wins and losses are those of the sign test (Dixon and Mood, Journal of the American Statistical Association 41,
    1946), which leaves ties out of the preference; the interval is that of the mean paired difference (Student,
    Biometrika 6, 1908) with the normal distribution in place of t.
    """

    name: ClassVar[str] = "batch_paired_preference"
    Options = BatchPairedPreferenceOptions
    options: BatchPairedPreferenceOptions
    result_fields = {
        "pair_field": "Name of the field with the pair.",
        "variant_field": "Name of the field with the variant.",
        "score_field": "Name of the field with the score.",
        "baseline_variant": "The variant that is compared with.",
        "variant": "The variant that is compared.",
        "batch_size": "Rows of the whole batch.",
        "total_pair_count": "Different pairs of the batch.",
        "compared_pair_count": "Complete pairs (n): both variants are there, both scores finite.",
        "incomplete_pair_count": "All other pairs.",
        "missing_score_count": "Null scores in pairs where both variants are there.",
        "non_finite_score_count": "NaN and infinite scores in pairs where both variants are there.",
        "baseline_mean": "Arithmetic mean of the baseline's scores over the complete pairs.",
        "variant_mean": "Arithmetic mean of this variant's scores over the complete pairs.",
        "mean_paired_delta": "Mean paired difference (Student 1908): the mean of variant - baseline.",
        "wins": "Sign test (Dixon and Mood 1946): pairs in which the variant's score is higher.",
        "losses": "Sign test: pairs in which the baseline's score is higher.",
        "ties": "Pairs in which they are equal.",
        "win_rate": "wins/compared_pair_count.",
        "loss_rate": "losses/compared_pair_count.",
        "tie_rate": "ties/compared_pair_count.",
        "preference_rate": "Sign test: wins/(wins + losses), ties left out; null if all are ties.",
        "standard_error_delta": "Standard error of that mean (Student 1908): stdev/sqrt(n); null for one pair.",
        "confidence_95_low": "Lower end of the normal (Wald) 95 % interval: mean_paired_delta - 1.96 standard errors.",
        "confidence_95_high": "Upper end of that interval; both are null where the standard error is.",
        "incomplete_pairs": "The pairs that are not complete; only if there are any.",
    }
    sometimes = frozenset({"incomplete_pairs"})

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per variant that is not the baseline, in order of first appearance."""
        options = self.options
        check_numbers(rows, options.score_field)
        variants = grouped(rows, options.variant_field, "non_finite_variant")
        pairs = grouped(rows, options.pair_field)
        sides = [(pair.value, self._by_variant(pair)) for pair in pairs.values()]
        chosen = baseline_of(variants, options.baseline_variant, "variant")
        need_two(variants, "variant")
        found = {key: _paired(sides, chosen, key) for key in variants if key != chosen}
        for key, compared in found.items():
            if not compared.scores:
                raise batch_error(
                    "no_complete_pairs",
                    f"no pair has finite scores of both {variants[chosen].value!r} and {variants[key].value!r}",
                    compared.problems,
                    variant=variants[key].value,
                )
        return [self._compared(variants[chosen], variants[key], found[key], len(rows)) for key in found]

    def named_fields(self) -> frozenset[str]:
        """The fields with pair, variant and score."""
        return frozenset({self.options.pair_field, self.options.variant_field, self.options.score_field})

    def _by_variant(self, pair: Group) -> dict[Key, tuple[int, Any]]:
        options = self.options
        scores: dict[Key, tuple[int, Any]] = {}
        for index, row in pair.rows:
            key = same_value(row[options.variant_field])
            if key in scores:
                raise batch_error(
                    "duplicate_variant_in_pair",
                    f"pair {pair.value!r} has the variant {row[options.variant_field]!r} twice",
                    [(other, "duplicate_variant_in_pair") for other in (scores[key][0], index)],
                    pair=pair.value,
                    variant=row[options.variant_field],
                )
            scores[key] = index, row[options.score_field]
        return scores

    def _compared(self, baseline: Group, variant: Group, pairs: _Pairs, batch_size: int) -> Row:
        options, count = self.options, len(pairs.scores)
        deltas = [moments.difference(ours, theirs, "mean_paired_delta") for theirs, ours in pairs.scores]
        wins, losses = sum(delta > 0 for delta in deltas), sum(delta < 0 for delta in deltas)
        delta, spread = moments.mean(deltas, "mean_paired_delta"), moments.stdev(deltas, "standard_error_delta")
        error = None if spread is None else moments.standard_error((spread, count))
        low, high = (None, None) if error is None else moments.interval(delta, error)
        row: Row = {
            "pair_field": options.pair_field,
            "variant_field": options.variant_field,
            "score_field": options.score_field,
            "baseline_variant": baseline.value,
            "variant": variant.value,
            "batch_size": batch_size,
            "total_pair_count": count + len(pairs.incomplete),
            "compared_pair_count": count,
            "incomplete_pair_count": len(pairs.incomplete),
            "missing_score_count": pairs.missing,
            "non_finite_score_count": pairs.non_finite,
            "baseline_mean": moments.mean([theirs for theirs, _ in pairs.scores], "baseline_mean"),
            "variant_mean": moments.mean([ours for _, ours in pairs.scores], "variant_mean"),
            "mean_paired_delta": delta,
            "wins": wins,
            "losses": losses,
            "ties": count - wins - losses,
            "win_rate": wins / count,
            "loss_rate": losses / count,
            "tie_rate": (count - wins - losses) / count,
            "preference_rate": moments.ratio(wins, wins + losses, "preference_rate"),
            "standard_error_delta": error,
            "confidence_95_low": low,
            "confidence_95_high": high,
        }
        if pairs.incomplete:
            row["incomplete_pairs"] = pairs.incomplete
        return row


def _paired(sides: list[tuple[Any, dict[Key, tuple[int, Any]]]], baseline: Key, variant: Key) -> _Pairs:
    pairs = _Pairs()
    for value, scores in sides:
        both = [scores[key] for key in (baseline, variant) if key in scores]
        missing = [(index, "missing_value") for index, score in both if score is None]
        non_finite = [(index, "non_finite_value") for index, score in both if is_non_finite(score)]
        if len(both) == 2:
            pairs.missing += len(missing)
            pairs.non_finite += len(non_finite)
        if len(both) == 2 and not missing and not non_finite:
            pairs.scores.append((both[0][1], both[1][1]))
        else:
            pairs.incomplete.append(value)
            pairs.problems += missing + non_finite
    return pairs
