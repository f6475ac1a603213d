"""The ten statistics once more, from their definitions alone: slow, short, and nothing of Elspeth in them.

Each function takes the batch and the options, and returns the rows or the word with which the batch is refused.
"""

from __future__ import annotations

import math
import operator
from itertools import product
from typing import Any

from tests.unit.statistics.plain_values import (
    distinct,
    finite,
    gone,
    index,
    label,
    mean,
    median,
    number,
    over,
    quantile,
    same,
    stdev,
)

Rows = list[dict[str, Any]]
OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
             "!=": operator.ne}  # fmt: skip


def classifier_metrics(rows: Rows, actual: str, predicted: str, positive: Any) -> Rows | str:
    if not all(label(row[name]) for row in rows for name in (actual, predicted)):
        return "type_mismatch"
    missing = [i for i, row in enumerate(rows) if row[actual] is None or row[predicted] is None]
    pairs = [(row[actual], row[predicted]) for i, row in enumerate(rows) if i not in missing]
    if not pairs:
        return "no_valid_label_pairs"
    labels = distinct([value for pair in pairs for value in pair] + ([] if positive is None else [positive]))

    def measured(tp: int, fp: int, fn: int) -> dict[str, Any]:
        p, r = over(tp, tp + fp), over(tp, tp + fn)
        f1 = None if p is None or r is None or p + r == 0 else 2 * p * r / (p + r)
        return {"precision": p, "recall": r, "f1": f1}

    per_label = []
    for one in labels:
        tp, fp, fn, tn = (
            sum((same(a, one), same(p, one)) == kind for a, p in pairs)
            for kind in ((True, True), (False, True), (True, False), (False, False))
        )
        per_label.append({"label": one, "tp": tp, "fp": fp, "fn": fn, "tn": tn, "support": tp + fn,
                          **measured(tp, fp, fn)})  # fmt: skip
    sums = [sum(each[name] for each in per_label) for name in ("tp", "fp", "fn")]
    macro = {}
    for name in ("precision", "recall", "f1"):
        known = [each[name] for each in per_label if each[name] is not None]
        macro[f"macro_{name}"] = mean(known) if known else None
    weighted = [each for each in per_label if each["f1"] is not None]
    correct = sum(same(a, p) for a, p in pairs)
    micro = {f"micro_{name}": value for name, value in measured(*sums).items()}
    matrix = [(a, p, sum(same(a, b) and same(p, q) for b, q in pairs)) for a, p in product(labels, labels)]
    words = ["undefined" if x is None else f"{x:.3f}" for x in (macro["macro_f1"], micro["micro_f1"])]
    row = {
        "actual_field": actual, "predicted_field": predicted, "batch_size": len(rows), "count": len(pairs),
        "missing_count": len(missing), "labels": labels,
        "confusion_matrix": [{"actual": a, "predicted": p, "count": n} for a, p, n in matrix if n],
        "per_label": per_label, "accuracy": correct / len(pairs), **macro,
        "weighted_f1": over(sum(e["f1"] * e["support"] for e in weighted), sum(e["support"] for e in weighted)),
        **micro,
        "summary": f"Classifier metrics for {actual} vs {predicted}: {len(rows)} rows, {len(pairs)} valid label pairs, "
        f"{correct} correct, accuracy {correct / len(pairs):.3f}, macro F1 {words[0]}, micro F1 {words[1]}.",
    }  # fmt: skip
    row |= {"missing_indices": missing} if missing else {}
    if positive is not None:
        own = per_label[index(labels, positive)]
        names = ("tp", "fp", "fn", "tn", "precision", "recall", "f1")
        row |= {"positive_label": positive, **{f"binary_{name}": own[name] for name in names}}
    return [row]


def data_quality_report(rows: Rows, fields: list[str]) -> Rows:
    result = []
    for name in fields:
        values = [row[name] for row in rows]
        seen = [value for value in values if value is not None]
        blank = [value for value in seen if isinstance(value, str) and value.strip() == ""]
        odd = [value for value in seen if isinstance(value, list | dict)]
        infinite = [value for value in seen if gone(value)]
        valid = [v for v in seen if not isinstance(v, list | dict) and not gone(v) and str(v).strip() != ""]
        types = [type(value).__name__ for value in seen]
        result.append({
            "field": name, "batch_size": len(rows), "missing_count": len(values) - len(seen),
            "missing_rate": (len(values) - len(seen)) / len(rows), "observed_count": len(seen),
            "blank_string_count": len(blank), "blank_string_rate": len(blank) / len(rows),
            "non_finite_count": len(infinite), "non_scalar_count": len(odd),
            "valid_count": len(valid), "valid_rate": len(valid) / len(rows),
            "distinct_count": len(distinct(valid)), "duplicate_count": len(valid) - len(distinct(valid)),
            "observed_type_counts": {kind: types.count(kind) for kind in types},
        })  # fmt: skip
    return result


def distribution_profile(rows: Rows, field: str, group_by: str | None) -> Rows | str:
    if not all(number(row[field]) for row in rows):
        return "type_mismatch"
    groups = [None] if group_by is None else [row[group_by] for row in rows]
    if any(map(gone, groups)):
        return "non_finite_group_key"
    result = []
    for group in distinct(groups):
        members = [(i, row[field]) for i, row in enumerate(rows) if group_by is None or same(row[group_by], group)]
        xs = finite([value for _, value in members])
        if not xs:
            return "no_finite_values"
        missing = [i for i, value in members if value is None]
        infinite = [i for i, value in members if gone(value)]
        whose = "" if group_by is None else f" grouped by {group_by}={group}"
        row = {
            "field": field, "count": len(xs), "batch_size": len(members), "missing_count": len(missing),
            "non_finite_count": len(infinite), "min": min(xs), "max": max(xs), "mean": mean(xs), "median": median(xs),
            "p25": quantile(xs, 0.25), "p75": quantile(xs, 0.75), "stdev": stdev(xs),
            "summary": f"Distribution profile for {field}{whose}: {len(members)} rows, {len(xs)} finite values, "
            f"{len(missing)} missing, {len(infinite)} non-finite, mean {mean(xs):.3f}, median {median(xs):.3f}, "
            f"range {min(xs):.3f} to {max(xs):.3f}.",
        }  # fmt: skip
        row |= {"missing_indices": missing} if missing else {}
        row |= {"non_finite_indices": infinite} if infinite else {}
        result.append(row if group_by is None else row | {group_by: group})
    return result


def drift_compare(rows: Rows, by: str, field: str, kind: str, baseline: Any) -> Rows | str:
    if not all((number if kind == "numeric" else label)(row[field]) for row in rows):
        return "type_mismatch"
    cohorts = distinct([row[by] for row in rows])
    if any(map(gone, cohorts)):
        return "non_finite_group_key"
    first = cohorts[0] if baseline is None else baseline
    if index(cohorts, first) < 0:
        return "baseline_cohort_missing"
    if len(cohorts) < 2:
        return "insufficient_cohorts"
    values = [[row[field] for row in rows if same(row[by], cohort)] for cohort in cohorts]
    if not all(map(finite, values)):
        return "no_valid_values"
    before = values[index(cohorts, first)]
    p = finite(before)
    result = []
    for cohort, after in zip(cohorts, values, strict=True):
        if same(cohort, first):
            continue
        q = finite(after)
        row = {"cohort_field": by, "value_field": field, "value_type": kind, "baseline_cohort": first,
               "cohort": cohort, "batch_size": len(rows)}  # fmt: skip
        for side, every in (("baseline", before), ("cohort", after)):
            row |= {f"{side}_total_count": len(every), f"{side}_count": len(finite(every)),
                    f"{side}_missing_count": sum(value is None for value in every),
                    f"{side}_non_finite_count": sum(map(gone, every))}  # fmt: skip
        if kind == "numeric":
            row |= {"baseline_mean": mean(p), "cohort_mean": mean(q), "mean_delta": mean(q) - mean(p)}
            steps = [mean([y <= x for y in p]) - mean([y <= x for y in q]) for x in p + q]
            result.append(row | {"ks_statistic": max(map(abs, steps))})
            continue
        shifts = []
        for value in distinct(p + q):
            m, n = sum(same(value, x) for x in p), sum(same(value, x) for x in q)
            shifts.append({"value": value, "baseline_count": m, "cohort_count": n, "baseline_proportion": m / len(p),
                           "cohort_proportion": n / len(q), "proportion_delta": n / len(q) - m / len(p)})  # fmt: skip
        expected = [(s["cohort_count"], s["baseline_proportion"] * len(q)) for s in shifts]
        new = [shift["value"] for shift in shifts if shift["baseline_count"] == 0]
        result.append(row | {
            "category_shifts": shifts, "total_variation": sum(abs(shift["proportion_delta"]) for shift in shifts) / 2,
            "chi_square_statistic": float(sum((n - e) ** 2 / e for n, e in expected if e > 0)),
            "new_category_count": len(new), "new_categories": new,
        })  # fmt: skip
    return result


def two_samples(
    rows: Rows, by: str, field: str, baseline: Any
) -> list[tuple[dict[str, Any], list[Any], list[Any]]] | str:
    if not all(number(row[field]) for row in rows):
        return "type_mismatch"
    variants = distinct([row[by] for row in rows])
    if any(map(gone, variants)):
        return "non_finite_variant"
    if len(variants) < 2:
        return "insufficient_variants"
    first = variants[0] if baseline is None else baseline
    if index(variants, first) < 0:
        return "baseline_variant_missing"
    scores = {index(variants, v): [(i, row[field]) for i, row in enumerate(rows) if same(row[by], v)] for v in variants}
    chosen = index(variants, first)
    if not finite([value for _, value in scores[chosen]]):
        return "baseline_has_no_finite_scores"
    if not all(finite([value for _, value in each]) for each in scores.values()):
        return "variant_has_no_finite_scores"
    result = []
    for place, variant in enumerate(variants):
        if place == chosen:
            continue
        row = {"variant_field": by, "score_field": field, "baseline_variant": first, "variant": variant,
               "batch_size": len(rows)}  # fmt: skip
        for side, every in (("baseline", scores[chosen]), ("variant", scores[place])):
            xs = finite([value for _, value in every])
            missing, infinite = [i for i, x in every if x is None], [i for i, x in every if gone(x)]
            row |= {f"{side}_count": len(xs), f"{side}_total_count": len(every), f"{side}_missing_count": len(missing),
                    f"{side}_non_finite_count": len(infinite), f"{side}_mean": mean(xs),
                    f"{side}_stdev": stdev(xs)}  # fmt: skip
            row |= {f"{side}_missing_indices": missing} if missing else {}
            row |= {f"{side}_non_finite_indices": infinite} if infinite else {}
        row["mean_delta"] = row["variant_mean"] - row["baseline_mean"]
        result.append((row, *(finite([x for _, x in scores[which]]) for which in (chosen, place))))
    return result


def effect_size(rows: Rows, by: str, field: str, baseline: Any) -> Rows | str:
    pairs = two_samples(rows, by, field, baseline)
    if isinstance(pairs, str):
        return pairs
    result = []
    for row, xs, ys in pairs:
        n = len(xs) + len(ys)
        squares = (len(xs) - 1) * (stdev(xs) or 0) ** 2 + (len(ys) - 1) * (stdev(ys) or 0) ** 2
        pooled = math.sqrt(squares / (n - 2)) if n > 2 else None
        d = over(row["mean_delta"], pooled)
        g = None if d is None or 4 * n - 9 <= 0 else d * (1 - 3 / (4 * n - 9))
        result.append(row | {"pooled_stdev": pooled, "cohens_d": d, "hedges_g": g})
    return result


def experiment_compare(rows: Rows, by: str, field: str, baseline: Any) -> Rows | str:
    pairs = two_samples(rows, by, field, baseline)
    if isinstance(pairs, str):
        return pairs
    result = []
    for row, xs, ys in pairs:
        row = {name: value for name, value in row.items() if not name.endswith("_indices")}
        delta, error = row["mean_delta"], None
        if len(xs) > 1 and len(ys) > 1:
            error = math.sqrt(stdev(xs) ** 2 / len(xs) + stdev(ys) ** 2 / len(ys))
        result.append(row | {
            "relative_lift": over(delta, abs(row["baseline_mean"])), "standard_error": error,
            "z_score": over(delta, error), "confidence_95_low": delta - 1.96 * error if error else None,
            "confidence_95_high": delta + 1.96 * error if error else None,
        })  # fmt: skip
    return result


def outlier_annotator(rows: Rows, field: str, prefix: str, z_limit: float, robust_limit: float) -> Rows | str:
    if not all(number(row[field]) for row in rows):
        return "type_mismatch"
    values = [row[field] for row in rows]
    xs = finite(values)
    if not xs:
        return "no_finite_values"
    missing, infinite = [i for i, x in enumerate(values) if x is None], [i for i, x in enumerate(values) if gone(x)]
    away = [abs(x - median(xs)) for x in xs]
    result = []
    for i, x in enumerate(values):
        if x is None or gone(x):
            continue
        z = over(x - mean(xs), stdev(xs))
        robust = over(0.6745 * (x - median(xs)), median(away))
        if median(away) == 0:
            robust = over(0.7979 * (x - median(xs)), mean(away))
        reasons = [name for name, score, limit in (("z_score", z, z_limit), ("robust_z_score", robust, robust_limit))
                   if score is not None and abs(score) >= limit]  # fmt: skip
        facts = {
            "value_field": field, "value": x, "row_index": i, "batch_size": len(rows), "valid_count": len(xs),
            "missing_count": len(missing), "non_finite_count": len(infinite),
            "skipped_count": len(missing) + len(infinite), "missing_indices": missing, "non_finite_indices": infinite,
            "mean": mean(xs), "median": median(xs), "stdev": stdev(xs) or 0.0, "mad": median(away),
            "z_threshold": z_limit, "robust_z_threshold": robust_limit, "z_score": z, "robust_z_score": robust,
            "is_outlier": reasons != [], "reason": ",".join(reasons),
        }  # fmt: skip
        result.append(rows[i] | {f"{prefix}_{name}": value for name, value in facts.items()})
    return result


def paired_preference(rows: Rows, pair: str, by: str, field: str, baseline: Any) -> Rows | str:
    if not all(number(row[field]) for row in rows):
        return "type_mismatch"
    variants, pairs = distinct([row[by] for row in rows]), distinct([row[pair] for row in rows])
    if any(map(gone, variants)):
        return "non_finite_variant"
    if any(map(gone, pairs)):
        return "non_finite_group_key"
    scores: dict[tuple[int, int], Any] = {}
    for row in rows:
        place = index(pairs, row[pair]), index(variants, row[by])
        if place in scores:
            return "duplicate_variant_in_pair"
        scores[place] = row[field]
    chosen = 0 if baseline is None else index(variants, baseline)
    if chosen < 0:
        return "baseline_variant_missing"
    if len(variants) < 2:
        return "insufficient_variants"
    result = []
    for other in set(range(len(variants))) - {chosen}:
        there = [p for p in range(len(pairs)) if (p, chosen) in scores and (p, other) in scores]
        both = {p: (scores[p, chosen], scores[p, other]) for p in there}
        full = {p: two for p, two in both.items() if len(finite(list(two))) == 2}
        if not full:
            return "no_complete_pairs"
        n, deltas = len(full), [b - a for a, b in full.values()]
        wins, losses, ties = sum(d > 0 for d in deltas), sum(d < 0 for d in deltas), deltas.count(0)
        error = stdev(deltas) / math.sqrt(n) if n > 1 else None
        row = {
            "pair_field": pair, "variant_field": by, "score_field": field, "baseline_variant": variants[chosen],
            "variant": variants[other], "batch_size": len(rows), "total_pair_count": len(pairs),
            "compared_pair_count": n, "incomplete_pair_count": len(pairs) - n,
            "missing_score_count": sum(two.count(None) for two in both.values()),
            "non_finite_score_count": sum(gone(score) for two in both.values() for score in two),
            "baseline_mean": mean([a for a, _ in full.values()]), "variant_mean": mean([b for _, b in full.values()]),
            "mean_paired_delta": mean(deltas), "wins": wins, "losses": losses, "ties": ties, "win_rate": wins / n,
            "loss_rate": losses / n, "tie_rate": ties / n, "preference_rate": over(wins, wins + losses),
            "standard_error_delta": error,
            "confidence_95_low": None if error is None else mean(deltas) - 1.96 * error,
            "confidence_95_high": None if error is None else mean(deltas) + 1.96 * error,
        }  # fmt: skip
        rest = [value for p, value in enumerate(pairs) if p not in full]
        result.append(row | ({"incomplete_pairs": rest} if rest else {}))
    return result


def threshold_summary(rows: Rows, field: str, thresholds: list[dict[str, Any]]) -> Rows | str:
    values = [row[field] for row in rows]
    if not all(map(number, values)):
        return "type_mismatch"
    xs = finite(values)
    if not xs:
        return "no_finite_values"
    result = []
    for threshold in thresholds:
        matches = len([x for x in xs if OPERATORS[threshold["operator"]](x, threshold["value"])])
        result.append({
            "value_field": field, "threshold_name": threshold["name"], "operator": threshold["operator"],
            "threshold": float(threshold["value"]), "batch_size": len(rows), "valid_count": len(xs),
            "missing_count": values.count(None), "non_finite_count": sum(map(gone, values)), "match_count": matches,
            "non_match_count": len(xs) - matches, "match_rate": matches / len(xs),
        })  # fmt: skip
    return result


def top_k(rows: Rows, field: str, k: int, group_by: str | None, include_missing: bool) -> Rows | str:
    if any(isinstance(row[field], list | dict) for row in rows):
        return "type_mismatch"
    groups = [None] if group_by is None else [row[group_by] for row in rows]
    if any(map(gone, groups)):
        return "non_finite_group_key"
    result = []
    for group in distinct(groups):
        values = [row[field] for row in rows if group_by is None or same(row[group_by], group)]
        counted = [value for value in values if not gone(value) and (include_missing or value is not None)]
        counts = [(value, sum(same(value, other) for other in counted)) for value in distinct(counted)]
        best = sorted(counts, key=lambda item: -item[1])[:k]
        result.append({
            "field": field, "group_by": group_by, "group_value": group, "batch_size": len(values),
            "count": len(counted), "missing_count": sum(value is None for value in values),
            "non_finite_count": sum(map(gone, values)), "distinct_count": len(counts), "k": k,
            "top_values": [{"value": value, "count": n, "rate": n / len(counted)} for value, n in best],
        })  # fmt: skip
    return result
