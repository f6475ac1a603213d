"""How well predicted labels agree with the actual ones."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics.base import Label, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.errors import batch_error
from elspeth.plugins.aggregations.statistics.values import Key, check_labels, same_value
from elspeth.plugins.contract import Row

_MISSING = {"missing_indices": "Places in the batch of the rows that lack a label, from 0; only if there are any."}
_BINARY = {
    "positive_label": "The option `positive_label`; only if it is given, like the fields from here on.",
    **{
        f"binary_{name}": f"`{name}` of the positive label."
        for name in ("tp", "fp", "fn", "tn", "precision", "recall", "f1")
    },
}
_FIELDS = {
    "actual_field": "Name of the field with the actual label.",
    "predicted_field": "Name of the field with the predicted label.",
    "batch_size": "Rows of the batch.",
    "count": "Complete pairs of labels (n).",
    "missing_count": "Rows in which one of the labels is null, or both.",
    "labels": "All labels in order of first appearance, a row's actual one before its predicted one; the positive "
    "label last, if it did not appear. true, 1 and 1.0 are different labels.",
    "confusion_matrix": "Confusion matrix (Kohavi and Provost 1998): `{actual, predicted, count}` where there are any, "
    "both in the order of `labels`.",
    "per_label": "For each label, against all others, `{label, tp, fp, fn, tn, support, precision, recall, f1}`: true "
    "and false positives and negatives, support tp + fn, precision tp/(tp + fp) and recall tp/(tp + fn) (Kent et al. "
    "1955), F1 2PR/(P + R) (van Rijsbergen 1979); null where a denominator is 0.",
    "accuracy": "Accuracy: the share of pairs that agree.",
    "macro_precision": "Macro average (Yang 1999): the plain mean over the labels where precision is defined.",
    "macro_recall": "Macro average: the plain mean over the labels where recall is defined.",
    "macro_f1": "Macro average: the plain mean over the labels where F1 is defined.",
    "weighted_f1": "The mean of the defined F1, weighted by support; null if the weights sum to 0.",
    "micro_precision": "Micro average (Yang 1999): precision of the sums of tp and fp over all labels.",
    "micro_recall": "Micro average: recall of the sums of tp and fn.",
    "micro_f1": "Micro average: F1 of these two.",
    "summary": "The result as a sentence.",
}


class BatchClassifierMetricsOptions(StatisticOptions):
    """Where the labels are."""

    actual_field: Text = Field(description="The field with the label that is right.")
    predicted_field: Text = Field(description="The field with the label that was predicted.")
    positive_label: Label = Field(
        default=None, description="The label for which results are told apart, in fields that begin with `binary_`."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> BatchClassifierMetricsOptions:
        self.differ("actual_field", "predicted_field")
        return self


class BatchClassifierMetrics(Statistic):
    """Measures a classifier: confusion matrix, precision, recall, F1 and accuracy; one row for the batch.

    Precision and recall are those of Kent and others (American Documentation 6, 1955), F1 is van Rijsbergen's
    (Information Retrieval, 1979), macro and micro averages are Yang's (Information Retrieval 1, 1999). Labels are text,
    whole numbers, true or false. What has no value, such as the precision of a label nobody predicted, is null and is
    left out of macro averages.
    """

    name: ClassVar[str] = "batch_classifier_metrics"
    Options = BatchClassifierMetricsOptions
    options: BatchClassifierMetricsOptions
    result_fields = {**_FIELDS, **_MISSING, **_BINARY}
    sometimes = frozenset({*_MISSING, *_BINARY})

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row. Raises `RowError` if a label is none, or no row has both."""
        actual, predicted = self.options.actual_field, self.options.predicted_field
        for name in (actual, predicted):
            check_labels(rows, name)
        missing = [index for index, row in enumerate(rows) if row[actual] is None or row[predicted] is None]
        if len(missing) == len(rows):
            raise batch_error(
                "no_valid_label_pairs",
                f"no row of the batch has both {actual!r} and {predicted!r}",
                [(index, "missing_value") for index in missing],
            )
        lacking = set(missing)
        pairs = [(row[actual], row[predicted]) for index, row in enumerate(rows) if index not in lacking]
        return [self._measured(len(rows), pairs, missing)]

    def named_fields(self) -> frozenset[str]:
        """The fields with the labels."""
        return frozenset({self.options.actual_field, self.options.predicted_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """What is always told, and what is told of the positive label."""
        return frozenset(_FIELDS) | (frozenset() if self.options.positive_label is None else frozenset(_BINARY))

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same, and the rows that lack a label."""
        return (self.fields_out(fields) or frozenset()) | frozenset(_MISSING)

    def _measured(self, batch_size: int, pairs: list[tuple[Any, Any]], missing: list[int]) -> Row:
        positive = self.options.positive_label
        labels: dict[Key, Any] = {}
        for label in (label for pair in pairs for label in pair):
            labels.setdefault(same_value(label), label)
        if positive is not None:
            labels.setdefault(same_value(positive), positive)
        counts = Counter((same_value(actual), same_value(predicted)) for actual, predicted in pairs)
        measured = {key: _one_vs_rest(key, label, counts, len(pairs)) for key, label in labels.items()}
        correct = sum(counts[key, key] for key in labels)
        row: Row = {
            "actual_field": self.options.actual_field,
            "predicted_field": self.options.predicted_field,
            "batch_size": batch_size,
            "count": len(pairs),
            "missing_count": len(missing),
            "labels": list(labels.values()),
            "confusion_matrix": [
                {"actual": labels[actual], "predicted": labels[predicted], "count": counts[actual, predicted]}
                for actual in labels
                for predicted in labels
                if counts[actual, predicted]
            ],
            "per_label": list(measured.values()),
            "accuracy": correct / len(pairs),
            **_averages(list(measured.values())),
        }
        row["summary"] = self._summary(row, correct)
        if missing:
            row["missing_indices"] = missing
        if positive is not None:
            row["positive_label"] = positive
            of_positive = measured[same_value(positive)]
            row |= {name: of_positive[name.removeprefix("binary_")] for name in _BINARY if name != "positive_label"}
        return row

    def _summary(self, row: Row, correct: int) -> str:
        return (
            f"Classifier metrics for {row['actual_field']} vs {row['predicted_field']}: {row['batch_size']} rows, "
            f"{row['count']} valid label pairs, {correct} correct, accuracy {_shown(row['accuracy'])}, "
            f"macro F1 {_shown(row['macro_f1'])}, micro F1 {_shown(row['micro_f1'])}."
        )


def _one_vs_rest(key: Key, label: Any, counts: Counter[tuple[Key, Key]], total: int) -> Row:
    tp = counts[key, key]
    fp = sum(count for (_, predicted), count in counts.items() if predicted == key) - tp
    fn = sum(count for (actual, _), count in counts.items() if actual == key) - tp
    facts = {"label": label, "tp": tp, "fp": fp, "fn": fn, "tn": total - tp - fp - fn, "support": tp + fn}
    return facts | _precision_recall_f1(tp, fp, fn)


def _precision_recall_f1(tp: int, fp: int, fn: int) -> dict[str, float | None]:
    precision, recall = _share(tp, tp + fp), _share(tp, tp + fn)
    f1 = 2 * precision * recall / (precision + recall) if precision and recall else None
    return {"precision": precision, "recall": recall, "f1": f1}


def _averages(measured: list[Row]) -> Row:
    macro = {}
    for name in ("precision", "recall", "f1"):
        defined = [facts[name] for facts in measured if facts[name] is not None]
        macro[f"macro_{name}"] = _share(math.fsum(defined), len(defined))
    weights = [(facts["f1"], facts["support"]) for facts in measured if facts["f1"] is not None]
    sums = (sum(facts[name] for facts in measured) for name in ("tp", "fp", "fn"))
    micro = {f"micro_{name}": value for name, value in _precision_recall_f1(*sums).items()}
    weighted = _share(math.fsum(f1 * support for f1, support in weights), sum(support for _, support in weights))
    return {**macro, "weighted_f1": weighted, **micro}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
