"""Checks transforms and aggregations: they leave their input alone, remember nothing, and are as sure as they say."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from elspeth.plugins.contract import Aggregation, Changes, Made, Plugin, Row, RowError, SideOutput, Transform, Unfit
from elspeth.testing.claims import check_basics, context_of, fail, fresh, shown, through_json

_Outcome = tuple[str, Any]


def check_transform(transform: Transform, rows: Sequence[Row]) -> None:
    """Raise `AssertionError` unless the transform keeps its contract on these rows.

    Give rows it changes, rows it leaves alone and rows it refuses, at least two in all.
    """
    check_basics(transform)
    if len(rows) < 2:
        fail(transform, "needs two rows to be checked", f"{len(rows)} were given")
    first = _each(fresh(transform), rows, range(len(rows)))
    for index, outcome in first.items():
        if isinstance(outcome[1], SideOutput):
            _check_side_output(transform, outcome[1])
            continue
        _check_result(transform, outcome, lists=transform.creates_rows)
        _check_fields(transform, [rows[index]], outcome)
    if transform.determinism == "deterministic":
        again = _each(fresh(transform), rows, range(len(rows)))
        _compare(transform, first, again, "says it is deterministic, so it must decide alike in another process")
        backwards = _each(fresh(transform), rows, range(len(rows) - 1, -1, -1))
        _compare(transform, first, backwards, "must not carry anything from one row to the next")


def check_aggregation(aggregation: Aggregation, rows: Sequence[Row], *, passthrough: bool = False) -> None:
    """Raise `AssertionError` unless the aggregation keeps its contract on these rows, taken as several batches.

    At least two rows. `passthrough` says that it is meant for `output_mode: passthrough`: a row out for each row in.
    """
    check_basics(aggregation)
    if len(rows) < 2:
        fail(aggregation, "needs two rows to be checked", f"{len(rows)} were given")
    half = len(rows) // 2
    batches = [list(rows), list(rows[:half]), list(rows[half:]), list(rows[:1])]
    first = _each(fresh(aggregation), batches, range(4))
    for index, raw in first.items():
        outcome = _rows_of(aggregation, raw, len(batches[index]))
        _check_result(aggregation, outcome, lists=True, only_lists=True)
        _check_fields(aggregation, batches[index], outcome)
        unfit = sum(isinstance(each, Unfit) for each in raw[1]) if raw[0] == "gave" else 0
        if passthrough and outcome[0] == "gave" and len(outcome[1]) != len(batches[index]) - unfit:
            fail(
                aggregation,
                "must give a row for each row of its batch",
                f"{len(batches[index])} rows became {len(outcome[1])}",
            )
    if aggregation.determinism == "deterministic":
        again = _each(fresh(aggregation), batches, range(4))
        _compare(aggregation, first, again, "says it is deterministic, so it must decide alike in another process")
        backwards = _each(fresh(aggregation), batches, range(3, -1, -1))
        _compare(aggregation, first, backwards, "must not carry anything from one batch to the next")


def _each(plugin: Any, inputs: Sequence[Any], order: Sequence[int]) -> dict[int, _Outcome]:
    outcomes = {index: _outcome(plugin, plugin.process, inputs[index], index) for index in order}
    plugin.teardown()
    return outcomes


def _outcome(plugin: Plugin, process: Callable[..., Any], given: Any, index: int) -> _Outcome:
    mine = copy.deepcopy(given)
    before = json.dumps(given)
    outcome: _Outcome
    try:
        outcome = ("gave", process(mine, context_of(plugin, index)))
    except RowError as error:
        outcome = ("refused", (type(error).__name__, error.reason, error.details))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        fail(
            plugin,
            "must raise RowError for a row it cannot handle",
            f"{shown(given)} raised {type(error).__name__}: {error}",
        )
    if json.dumps(mine) != before:
        fail(plugin, "must not change what it is given", f"{shown(given)} became {shown(mine)}")
    return copy.deepcopy(outcome)


def _rows_of(plugin: Plugin, outcome: _Outcome, size: int) -> _Outcome:
    """The outcome with plain rows, once what each says it was made of is found to be in the batch."""
    kind, value = outcome
    if kind == "refused" or not isinstance(value, list):
        return outcome
    for made in value:
        if isinstance(made, Made) and (
            not set(made.of) <= set(range(size)) or len(set(made.of)) != len(made.of) or not made.of
        ):
            fail(
                plugin,
                f"must name in `Made.of` places from 0 to {size - 1}, each once",
                f"found {shown(list(made.of))}",
            )
    unfit = [each.index for each in value if isinstance(each, Unfit)]
    if not set(unfit) <= set(range(size)) or len(set(unfit)) != len(unfit):
        fail(plugin, f"must name in `Unfit.index` places from 0 to {size - 1}, each once", f"found {shown(unfit)}")
    return kind, [made.row if isinstance(made, Made) else made for made in value if not isinstance(made, Unfit)]


def _check_result(plugin: Plugin, outcome: _Outcome, *, lists: bool, only_lists: bool = False) -> None:
    kind, value = outcome
    if kind == "refused":
        _, reason, details = value
        if not reason.strip():
            fail(plugin, "must give a reason with RowError", "it is empty")
        through_json(plugin, details, "RowError detail")
        return
    if isinstance(value, list):
        if not lists:
            fail(plugin, "must set `creates_rows` to return a list", f"found {shown(value)}")
    elif only_lists:
        fail(plugin, "must return a list of rows", f"found {shown(value)}")
    for row in value if isinstance(value, list) else [value]:
        if not isinstance(row, dict):
            fail(plugin, "must return rows, which are dicts", f"found {shown(row)}")
        through_json(plugin, row, "row")


def _check_side_output(plugin: Transform, output: SideOutput) -> None:
    if output.name not in plugin.side_outputs(plugin.options.model_dump(by_alias=True)):
        fail(plugin, "must name its side outputs in `side_outputs`", f"it answered {output.name!r}")
    if not output.reason.strip():
        fail(plugin, "must give a reason with a side output", "it is empty")
    through_json(plugin, dict(output.details), "side output detail")


def _check_fields(plugin: Changes, given: list[Row], outcome: _Outcome) -> None:
    """What the plugin announces about fields, `validate` believes: it must hold for every row that was not refused."""
    kind, value = outcome
    if kind == "refused":
        return
    certain = frozenset.intersection(*map(frozenset, given))
    possible = frozenset[str]().union(*given)
    lacking = plugin.fields_in() - possible
    if lacking:
        fail(plugin, "says in `fields_in` what it cannot do without", f"it took a row that lacks {sorted(lacking)}")
    promised, allowed = plugin.fields_out(certain), plugin.fields_possible(possible)
    orders = {tuple(row) for row in given}
    order = plugin.fields_order(orders.pop()) if len(orders) == 1 else None
    for row in value if isinstance(value, list) else [value]:
        if order is not None and tuple(row) != order:
            fail(
                plugin,
                "must give the fields in the order that `fields_order` tells",
                f"{shown(row)} has not {', '.join(order)}",
            )
        if promised is not None and promised - row.keys():
            fail(
                plugin,
                "must give the fields `fields_out` promises",
                f"{shown(row)} lacks {sorted(promised - row.keys())}",
            )
        if allowed is not None and row.keys() - allowed:
            fail(
                plugin,
                "must give no field but those of `fields_possible`",
                f"{shown(row)} has {sorted(row.keys() - allowed)}",
            )


def _compare(plugin: Plugin, expected: dict[int, _Outcome], found: dict[int, _Outcome], claim: str) -> None:
    for index, outcome in expected.items():
        if json.dumps(outcome, default=_made) != json.dumps(found[index], default=_made):
            fail(plugin, claim, f"input {index + 1} {_said(found[index])} and before {_said(outcome)}")


def _made(made: Made | SideOutput | Unfit) -> list[Any]:
    if isinstance(made, SideOutput):
        return [made.name, made.reason, dict(made.details)]
    return [made.index, str(made.error)] if isinstance(made, Unfit) else [made.row, list(made.of)]


def _said(outcome: _Outcome) -> str:
    return f"{outcome[0]} {shown(outcome[1])}"
