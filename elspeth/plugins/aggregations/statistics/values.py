"""The values of a batch: which are the same, which are numbers, and where in the batch they stand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from elspeth.plugins.aggregations.statistics.errors import RowProblem, batch_error
from elspeth.plugins.contract import Row

Number = int | float
Place = tuple[int, Any]  # place in the batch (from 0), value of a field there
Key = tuple[str, Any]

_SHOWN = 5  # rows named in a sentence


@dataclass(slots=True)
class Observed:
    """The values of a field that count, and where in the batch (from 0) they and the others were."""

    values: list[Any] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    non_finite: list[int] = field(default_factory=list)

    def problems(self) -> list[RowProblem]:
        """What is wrong with the rows whose value does not count, in the order of the batch."""
        words = [(index, "missing_value") for index in self.missing]
        words += [(index, "non_finite_value") for index in self.non_finite]
        return sorted(words)


@dataclass(slots=True)
class Group:
    """The rows that have the same value in a field, in the order of the batch, each with its place."""

    value: Any
    rows: list[tuple[int, Row]] = field(default_factory=list)

    def column(self, name: str) -> list[Place]:
        """The values of another field, each with its place in the batch."""
        return [(index, row[name]) for index, row in self.rows]


def same_value(value: Any) -> Key:
    """A key that two values share if they are the same: of one type, and equal.

    `True`, `1` and `1.0` are equal in Python and three values in a row. Lists and objects are compared in depth.
    """
    if isinstance(value, list):
        return "list", tuple(map(same_value, value))
    if isinstance(value, dict):
        return "dict", frozenset((name, same_value(inner)) for name, inner in value.items())
    if type(value) is float and math.isnan(value):
        return "float", "nan"  # not equal to itself, and still one value
    return type(value).__name__, value


def is_non_finite(value: Any) -> bool:
    """Whether it is NaN or an infinity."""
    return type(value) is float and not math.isfinite(value)


def column(rows: Iterable[Row], name: str) -> list[Place]:
    """The values of a field, each with its place in the batch."""
    return [(index, row[name]) for index, row in enumerate(rows)]


def observed(places: Iterable[Place]) -> Observed:
    """The values of a field, null and what is not finite apart."""
    found = Observed()
    for index, value in places:
        if value is None:
            found.missing.append(index)
        elif is_non_finite(value):
            found.non_finite.append(index)
        else:
            found.values.append(value)
            found.indices.append(index)
    return found


def check_present(rows: list[Row], names: Iterable[str]) -> None:
    """Raise the batch error `missing_field` for the first of these fields that a row of the batch lacks."""
    for name in sorted(names):
        lacking = [index for index, row in enumerate(rows) if name not in row]
        if lacking:
            raise batch_error(
                "missing_field",
                f"there is no field {name!r} in {at(lacking)}",
                [(index, "missing_field") for index in lacking],
                field=name,
            )


def check_keys(rows: Iterable[Row], name: str, reason: str = "non_finite_group_key") -> None:
    """Raise the batch error `reason` where a field by which rows are told apart is NaN or an infinity.

    Nobody can be sure what it stands for.
    """
    wrong = [index for index, value in column(rows, name) if is_non_finite(value)]
    if wrong:
        raise batch_error(
            reason,
            f"field {name!r}, by which rows are told apart, is not finite in {at(wrong)}",
            [(index, "non_finite_value") for index in wrong],
            field=name,
        )


def check_numbers(rows: Iterable[Row], name: str) -> None:
    """Raise the batch error `type_mismatch` for a value that is neither null nor a number; a bool is none."""
    _check_types(rows, name, (int, float), "no number")


def check_labels(rows: Iterable[Row], name: str) -> None:
    """Raise the batch error `type_mismatch` for a value that is neither null nor text, whole number or bool."""
    _check_types(rows, name, (str, int, bool), "neither text, nor a whole number, nor true or false")


def check_scalars(rows: Iterable[Row], name: str) -> None:
    """Raise the batch error `type_mismatch` for a list or an object."""
    _check_types(rows, name, (str, int, float, bool), "neither text, nor a number, nor true or false")


def grouped(rows: Iterable[Row], name: str, reason: str = "non_finite_group_key") -> dict[Key, Group]:
    """The rows by the value of a field, in order of first appearance; null is a value of its own.

    Raises the batch error `reason` as `check_keys` does.
    """
    rows = list(rows)
    check_keys(rows, name, reason)
    groups: dict[Key, Group] = {}
    for index, row in enumerate(rows):
        key = same_value(row[name])
        if key not in groups:
            groups[key] = Group(row[name])
        groups[key].rows.append((index, row))
    return groups


def at(indices: list[int]) -> str:
    """Where in the batch, for a sentence; long lists are cut."""
    shown = ", ".join(map(str, indices[:_SHOWN])) + (", ..." if len(indices) > _SHOWN else "")
    return f"row{'s' if len(indices) > 1 else ''} {shown} of the batch (from 0)"


def _check_types(rows: Iterable[Row], name: str, allowed: tuple[type, ...], words: str) -> None:
    wrong = [(index, value) for index, value in column(rows, name) if value is not None and type(value) not in allowed]
    if wrong:
        kinds = ", ".join(dict.fromkeys(type(value).__name__ for _, value in wrong))
        raise batch_error(
            "type_mismatch",
            f"field {name!r} holds {words} but {kinds} in {at([index for index, _ in wrong])}",
            [(index, "type_mismatch") for index, _ in wrong],
            field=name,
        )
