"""`batch_stats` and `batch_replicate`: what they share with the ten statistics, and random batches of them."""

from __future__ import annotations

import operator
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from elspeth.plugins.contract import Made, RowError, Unfit
from tests.unit.statistics.batches import CTX, INFINITY, NAN, alike, built, not_allowed
from tests.unit.statistics.plain_values import finite, gone, number, same
from tests.unit.statistics.random_batches import OTHER, group, rows_of
from tests.unit.statistics.random_batches import number as some_number

BATCHES = 1000
Rows = list[dict[str, Any]]


# The definitions once more: slow, short, and nothing of Elspeth in them.


def stats(rows: Rows, field: str | None, by: list[str], mean: bool) -> Rows | str:
    if any(name not in row for row in rows for name in [*by, *([field] if field else [])]):
        return "missing_field"
    if field and not all(number(row[field]) for row in rows):
        return "type_mismatch"
    if any(gone(row[name]) for row in rows for name in by):
        return "non_finite_group_key"
    groups: list[list[int]] = []
    for i, row in enumerate(rows):
        mine = [places for places in groups if all(same(rows[places[0]][name], row[name]) for name in by)]
        mine[0].append(i) if mine else groups.append([i])
    result = []
    for places in groups:
        named = {name: rows[places[0]][name] for name in by}
        if field is None:
            result.append({"count": len(places), "batch_size": len(places), **named})
            continue
        xs = finite([rows[i][field] for i in places])
        missing, wild = [i for i in places if rows[i][field] is None], [i for i in places if gone(rows[i][field])]
        if not xs:
            return "no_finite_values"
        total = sum(map(Fraction, xs))
        try:
            found = {"count": len(xs), "batch_size": len(places)}
            found["sum"] = int(total) if all(type(x) is int for x in xs) else float(total)
            found |= {"mean": operator.truediv(found["sum"], len(xs))} if mean else {}
        except OverflowError:
            return "float_overflow"
        found |= {"skipped_missing": len(missing), "skipped_missing_indices": missing} if missing else {}
        found |= {"skipped_non_finite": len(wild), "skipped_non_finite_indices": wild} if wild else {}
        result.append({**found, **named})
    return result


def copies(rows: Rows, field: str, default: int, most: int, numbered: bool) -> list[Any]:
    result: list[Any] = []
    for i, row in enumerate(rows):
        asked = row.get(field, default)
        if field in row and (type(asked) is not int or asked < 1 or asked > most):
            result.append(i)
            continue
        result += [(i, {**row, "copy_index": copy} if numbered else row) for copy in range(asked)]
    return result


# Held against what is built


LARGE = [1e308, -1e308, 0.1, 2**80, -(2**80) + 1, 2**53 + 1, 10**400, 5e-324]


def value(r: random.Random, rarely: float) -> Any:
    return r.choice(LARGE) if r.random() < rarely * 3 else some_number(r, rarely / 3)


def lacking(r: random.Random, rows: Rows, *names: str) -> Rows:
    """The rows; of one batch in twenty, one row lacks a field."""
    if r.random() < 0.05:
        r.choice(rows).pop(r.choice(names))
    return rows


def answer(rows: Rows, **options: Any) -> Any:
    try:
        made = built("stats", **options).process(rows, CTX)
    except RowError as error:
        return error.reason
    return [each.row if isinstance(each, Made) else each for each in made]


def in_any_order(answer: Any) -> Any:
    """The fields of a row may stand in any order, the rows may not."""
    return answer if isinstance(answer, str) else [dict(sorted(row.items())) for row in answer]


def test_stats_say_what_their_definition_says_over_a_thousand_random_batches() -> None:
    r = random.Random("batch_stats")
    kinds: Counter[Any] = Counter()
    for _ in range(BATCHES):
        rows = lacking(r, rows_of(r, v=value, g=group, h=group), "v", "g", "h")
        by, mean = r.choice(([], ["g"], ["g"], ["g", "h"])), r.random() < 0.8
        field = "v" if not by or r.random() < 0.9 else None
        expected = stats(rows, field, by, mean)
        spelt = by[0] if len(by) == 1 else by or None
        found = answer(rows, value_field=field, group_by=spelt, compute_mean=mean)
        assert alike(in_any_order(found), in_any_order(expected)), f"{field} {by}\n{rows}\n{found}\n{expected}"
        kinds[expected if isinstance(expected, str) else "rows"] += 1
    assert kinds["rows"] > BATCHES / 4, kinds
    refusals = {"missing_field", "type_mismatch", "non_finite_group_key", "no_finite_values", "float_overflow"}
    assert kinds.keys() == refusals | {"rows"}, kinds


def count(r: random.Random, rarely: float) -> Any:
    if r.random() < 0.2:
        return r.choice([0, -1, 6, 10**30, 1.0, 2.5, None, NAN, INFINITY, *OTHER, False, ""])
    return r.choice((1, 1, 2, 3, 5))


def test_copies_are_what_their_definition_says_over_a_thousand_random_batches() -> None:
    r = random.Random("batch_replicate")
    kinds: Counter[str] = Counter()
    for _ in range(BATCHES):
        rows = rows_of(r, n=count, v=value)
        for row in rows:
            if r.random() < 0.1:
                del row["n"]
        default, most, numbered = r.choice((0, 1, 2)), r.choice((2, 3, 5)), r.random() < 0.5
        options = {"copies_field": "n", "default_copies": default, "max_copies": most, "include_copy_index": numbered}
        found = [
            each.index if isinstance(each, Unfit) else (*each.of, each.row)
            for each in built("replicate", **options).process(rows, CTX)
        ]
        expected = copies(rows, "n", default, most, numbered)
        assert alike(found, expected), f"{options}\n{rows}\n{found}\n{expected}"
        kinds.update("refused" if isinstance(each, int) else "copied" for each in expected)
    assert min(kinds["refused"], kinds["copied"]) > BATCHES, kinds


# What `batch_stats` has in common with the ten


def refused(rows: Rows, **options: Any) -> dict[str, Any]:
    with pytest.raises(RowError) as caught:
        built("stats", **options).process(rows, CTX)
    return {"reason": caught.value.reason, **caught.value.details}


GROUPED = {"value_field": "v", "group_by": "g"}


def test_an_empty_batch_is_an_error() -> None:
    assert refused([], **GROUPED) == {"reason": "empty_batch", "cause": "the batch has no row", "row_errors": []}


@pytest.mark.parametrize("field", ["v", "g"])
def test_a_field_that_an_option_names_must_be_in_every_row(field: str) -> None:
    rows: Rows = [{"v": 1, "g": 1}, {"v": 1, "g": 1}]
    assert field in built("stats", **GROUPED).fields_in()
    del rows[1][field]
    error = refused(rows, **GROUPED)
    assert (error["reason"], error["field"]) == ("missing_field", field)
    assert error["row_errors"] == [{"row_index": 1, "reason": "missing_field"}]


@pytest.mark.parametrize("by", ["g", ["h", "g"]])
@pytest.mark.parametrize("key", [NAN, INFINITY, -INFINITY])
def test_a_group_that_is_not_finite_fails_the_batch_with_its_rows(by: Any, key: float) -> None:
    error = refused([{"v": 1, "g": 1, "h": 1}, {"v": 1, "g": key, "h": 1}], value_field="v", group_by=by)
    assert error["reason"] == "non_finite_group_key"
    assert error["row_errors"] == [{"row_index": 1, "reason": "non_finite_value"}]


@pytest.mark.parametrize("wrong", OTHER)
def test_what_is_no_number_fails_the_batch_and_a_bool_is_none(wrong: Any) -> None:
    error = refused([{"v": 1}, {"v": wrong}], value_field="v")
    assert (error["reason"], error["field"]) == ("type_mismatch", "v")
    assert error["row_errors"] == [{"row_index": 1, "reason": "type_mismatch"}]


def test_true_and_1_and_1_0_are_three_groups_and_null_is_one() -> None:
    rows = [{"v": 1, "g": g} for g in (1.0, True, None, 1, "1", True, None)]
    assert alike([row["g"] for row in answer(rows, **GROUPED)], [1.0, True, None, 1, "1"])


@pytest.mark.parametrize(
    ("values", "operation"), [([1e308, 1e308], "sum"), ([10**400, 0.5], "sum"), ([10**400, 1], "mean")]
)
def test_a_result_that_no_float_can_hold_fails_the_batch_and_is_named(values: list[float], operation: str) -> None:
    error = refused([{"v": value} for value in values], value_field="v")
    assert (error["reason"], error["operation"]) == ("float_overflow", operation)


def test_a_sum_that_a_float_holds_is_no_overflow_on_the_way_there() -> None:
    (row,) = answer([{"v": value} for value in (1e308, 1e308, -1e308)], value_field="v", compute_mean=False)
    assert row["sum"] == 1e308


@pytest.mark.parametrize("blank", ["", " \t"])
@pytest.mark.parametrize("option", ["value_field", "group_by"])
def test_texts_must_not_be_blank(option: str, blank: str) -> None:
    assert f"found {blank!r}, which is blank" in not_allowed("stats", **{**GROUPED, option: blank})
