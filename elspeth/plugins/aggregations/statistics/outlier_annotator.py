"""Which values of a field lie far from the others, said on the row itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Finite, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.errors import LISTED, batch_error
from elspeth.plugins.aggregations.statistics.values import Number, Observed, at, check_numbers, column, observed
from elspeth.plugins.contract import Context, Row


class BatchOutlierAnnotatorOptions(StatisticOptions):
    """Which values are judged, and from where on they lie far out."""

    value_field: Text = Field(description="The field that holds the numbers; rows without a finite one do not go on.")
    output_prefix: str = Field(default="outlier", description="What the names of the added fields begin with.")
    z_threshold: Finite = Field(default=3.0, gt=0, description="The z score, on either side, from which on it is one.")
    robust_z_threshold: Finite = Field(
        default=3.5, gt=0, description="The robust z score, on either side, from which on it is one."
    )

    @field_validator("output_prefix")
    @classmethod
    def _is_identifier(cls, prefix: str) -> str:
        if not prefix.isidentifier():
            raise ValueError(f"found {prefix!r}; letters, digits and _ are allowed, and no digit in front")
        return prefix

    @model_validator(mode="after")
    def _value_stays(self) -> BatchOutlierAnnotatorOptions:
        if self.value_field in {f"{self.output_prefix}_{name}" for name in BatchOutlierAnnotator.result_fields}:
            raise ValueError(f"value_field: {self.value_field!r} is the name of an added field; choose another prefix")
        return self


@dataclass(frozen=True, slots=True)
class _Spread:
    """What a value is compared with."""

    mean: float
    median: float
    stdev: float
    mad: float
    mean_deviation: float


class BatchOutlierAnnotator(Statistic):
    """Marks outliers by z score and by modified z score; each row with a finite value goes on with its marks.

    The z score measures the distance from the mean in standard deviations (Grubbs, Technometrics 11, 1969), the
    modified one that from the median in median absolute deviations (Iglewicz and Hoaglin, How to Detect and Handle
    Outliers, 1993), which outliers cannot stretch. The names of the added fields begin with `output_prefix` and `_`.
    """

    name: ClassVar[str] = "batch_outlier_annotator"
    Options = BatchOutlierAnnotatorOptions
    options: BatchOutlierAnnotatorOptions
    result_fields = {
        "value_field": "Name of the field.",
        "value": "The row's value in it.",
        "row_index": "The row's place in the batch, from 0.",
        "batch_size": "Rows of the batch.",
        "valid_count": "Finite values (n).",
        "missing_count": "Rows whose value is null; they do not go on.",
        "non_finite_count": "Rows whose value is NaN or infinite; they do not go on.",
        "skipped_count": "Rows that do not go on: both together.",
        "missing_indices": f"Places in the batch of the first {LISTED} missing values.",
        "non_finite_indices": f"Places in the batch of the first {LISTED} NaN and infinities.",
        "mean": "Arithmetic mean of the batch, sum/n.",
        "median": "Median of the batch.",
        "stdev": "Sample standard deviation of the batch, over n - 1 (Bessel); 0 for one value.",
        "mad": "Median absolute deviation (Hampel 1974): the median of |x - median|.",
        "z_threshold": "The option `z_threshold`.",
        "robust_z_threshold": "The option `robust_z_threshold`.",
        "z_score": "Standard score (Grubbs 1969): (x - mean)/stdev; null where stdev is 0.",
        "robust_z_score": "Modified z score (Iglewicz and Hoaglin 1993): 0.6745(x - median)/mad; where mad is 0, "
        "0.7979(x - median)/(mean of |x - median|); null where that is 0 too.",
        "is_outlier": "Whether a score reaches its threshold, on either side.",
        "reason": "Which ones do: empty, `z_score`, `robust_z_score` or `z_score,robust_z_score`.",
    }

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The rows as they were, with their marks. Raises `RowError` as every statistic does."""
        results = super().process(rows, ctx)
        field, place = self.options.value_field, f"{self.options.output_prefix}_row_index"
        return [{**result, field: rows[result[place]][field]} for result in results]

    def compute(self, rows: list[Row]) -> list[Row]:
        """The rows with a finite value, in order, with their marks. Raises `RowError` for a taken name, or no value."""
        field = self.options.value_field
        self._check_free(rows)
        check_numbers(rows, field)
        values = observed(column(rows, field))
        if not values.values:
            cause = f"field {field!r} holds no finite number"
            raise batch_error("no_finite_values", cause, values.problems(), field=field)
        spread = _spread(values.values)
        shared = self._shared(values, spread, len(rows))
        results = []
        for index, value in zip(values.indices, values.values, strict=True):
            facts = {**shared, "value": value, "row_index": index, **self._marks(value, spread)}
            results.append({**rows[index], **self._prefixed(facts)})
        return results

    def named_fields(self) -> frozenset[str]:
        """The field with the numbers."""
        return frozenset({self.options.value_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The row's own fields, and the marks."""
        return fields | self._added()

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before."""
        return types

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The row's own fields, and the marks."""
        return fields | self._added()

    def _added(self) -> frozenset[str]:
        return frozenset(self._prefixed(dict(self.result_fields)))

    def _prefixed(self, facts: Row) -> Row:
        return {f"{self.options.output_prefix}_{name}": facts[name] for name in self.result_fields}

    def _check_free(self, rows: list[Row]) -> None:
        added = self._added()
        taken = [(index, sorted(added & row.keys())) for index, row in enumerate(rows)]
        taken = [(index, names) for index, names in taken if names]
        if taken:
            raise batch_error(
                "output_field_taken",
                f"there is a field {taken[0][1][0]!r} already in {at([index for index, _ in taken])}",
                [(index, "output_field_taken") for index, _ in taken],
                fields=sorted({name for _, names in taken for name in names}),
            )

    def _shared(self, values: Observed, spread: _Spread, batch_size: int) -> Row:
        return {
            "value_field": self.options.value_field,
            "batch_size": batch_size,
            "valid_count": len(values.values),
            "missing_count": len(values.missing),
            "non_finite_count": len(values.non_finite),
            "skipped_count": len(values.missing) + len(values.non_finite),
            "missing_indices": values.missing[:LISTED],
            "non_finite_indices": values.non_finite[:LISTED],
            "mean": spread.mean,
            "median": spread.median,
            "stdev": spread.stdev,
            "mad": spread.mad,
            "z_threshold": self.options.z_threshold,
            "robust_z_threshold": self.options.robust_z_threshold,
        }

    def _marks(self, value: Number, spread: _Spread) -> dict[str, Any]:
        scores = {"z_score": _z_score(value, spread), "robust_z_score": _robust_z_score(value, spread)}
        limits = {"z_score": self.options.z_threshold, "robust_z_score": self.options.robust_z_threshold}
        reached = [name for name, score in scores.items() if score is not None and abs(score) >= limits[name]]
        return {**scores, "is_outlier": bool(reached), "reason": ",".join(reached)}


def _spread(values: list[Number]) -> _Spread:
    median = moments.median(values)
    away = [abs(moments.difference(value, median, "mad")) for value in values]
    return _Spread(
        mean=moments.mean(values),
        median=median,
        stdev=moments.stdev(values) or 0.0,
        mad=moments.median(away, "mad"),
        mean_deviation=moments.mean(away, "robust_z_score"),
    )


def _z_score(value: Number, spread: _Spread) -> float | None:
    away = moments.difference(value, spread.mean, "z_score")
    return moments.ratio(away, spread.stdev, "z_score")


def _robust_z_score(value: Number, spread: _Spread) -> float | None:
    factor, unit = (0.7979, spread.mean_deviation) if spread.mad == 0 else (0.6745, spread.mad)
    away = moments.difference(value, spread.median, "robust_z_score")
    return moments.ratio(factor * away, unit, "robust_z_score")
