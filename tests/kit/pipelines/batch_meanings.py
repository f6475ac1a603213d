"""What the plugins that make rows of a batch, or several of one row, mean: in the plainest words there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.kit.oracle.expressions import Refused
from tests.kit.oracle.reading import Row


def explode(options: dict[str, Any], row: Row) -> list[Row]:
    """A row for each item of a list."""
    name, output = options["array_field"], options.get("output_field", "item")
    if not isinstance(row.get(name), list) or output in row or "item_index" in row:
        raise Refused("no list, or a name is taken")
    rest = {key: value for key, value in row.items() if key != name}
    return [{**rest, output: item, "item_index": index} for index, item in enumerate(row[name])]


def stats(options: dict[str, Any], rows: list[Row]) -> list[Row]:
    """Count, sum, batch size and mean, by group."""
    groups: dict[str, tuple[Any, list[Any]]] = {}
    for place, row in enumerate(rows):
        group = row[options["group_by"]] if options.get("group_by") in row else _missing(options.get("group_by"))
        if options["value_field"] not in row:
            raise Refused("no value")
        value = row[options["value_field"]]
        if value is not None and type(value) not in (int, float):
            raise Refused("no number")
        groups.setdefault(json.dumps(group), (group, []))[1].append((place, value))
    results = []
    for group, values in groups.values():
        numbers = [value for _, value in values if value is not None]
        if not numbers:
            raise Refused("no number at all")
        total = sum(map(Fraction, numbers))
        whole = all(type(value) is int for value in numbers)
        row = {"count": len(numbers), "sum": int(total) if whole else float(total), "batch_size": len(values)}
        row["mean"] = row["sum"] / len(numbers)
        if options.get("group_by"):
            row[options["group_by"]] = group
        if skipped := [place for place, value in values if value is None]:
            row |= {"skipped_missing": len(skipped), "skipped_missing_indices": skipped}
        results.append(row)
    return results


def _missing(group_by: str | None) -> None:
    if group_by is not None:
        raise Refused("no group")


def replicate(options: dict[str, Any], rows: list[Row]) -> list[Row]:
    """Each row as often as it says."""
    result = []
    for row in rows:
        for copy in range(_copies(options, row)):
            result.append({**row, "copy_index": copy} if options.get("include_copy_index", True) else row)
    return result


def _copies(options: dict[str, Any], row: Row) -> Any:
    return row.get(options.get("copies_field", "copies"), options.get("default_copies", 1))


def uncopied(options: dict[str, Any], rows: list[Row]) -> list[int]:
    """The places of the rows that `replicate` refuses alone."""
    asked = [_copies(options, row) for row in rows]
    most = options.get("max_copies", 10_000)
    return [place for place, copies in enumerate(asked) if type(copies) is not int or not 1 <= copies <= most]


def of_groups(options: dict[str, Any], rows: list[Row]) -> list[list[int]] | None:
    """For each result of `stats`, the places of the rows it sums up; None: it is about all of them."""
    if not options.get("group_by"):
        return None
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(json.dumps(row[options["group_by"]]), []).append(place)
    return list(groups.values())


def of_copies(options: dict[str, Any], rows: list[Row]) -> list[list[int]]:
    """For each result of `replicate`, the one row of which it is a copy."""
    return [[place] for place, row in enumerate(rows) for _ in range(_copies(options, row))]


UNFIT: dict[str, Callable[[dict[str, Any], list[Row]], list[int]]] = {"batch_replicate": uncopied}
MADE_OF: dict[str, Callable[[dict[str, Any], list[Row]], list[list[int]] | None]] = {
    "batch_stats": of_groups,
    "batch_replicate": of_copies,
}
AGGREGATIONS: dict[str, Callable[[dict[str, Any], list[Row]], list[Row]]] = {
    "batch_stats": stats,
    "batch_replicate": replicate,
}
