"""Identifiers for the header names of an input."""

from __future__ import annotations

from collections.abc import Sequence

from elspeth.schema.spec import show


def normalise_headers(names: Sequence[str]) -> dict[str, str]:
    """Identifiers for header names: identifier to the name as found, in order.

    A name that is an identifier already stays exactly as it is, case included. Otherwise every run of characters that
    no identifier has becomes one underscore, none are left at its ends, and a leading digit gets one in front. A name
    with nothing usable becomes `column_N`, its place counted from 1. Raises `ValueError`, which tells of all names that
    become the same, not of the first alone.
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    for place, original in enumerate(names, 1):
        name = original if original.isidentifier() else _identifier(original, place)
        if name not in found:
            found[name] = original
        elif found[name] == original:
            wrong.append(f"header {show(original)} appears twice (the second time in column {place})")
        else:
            wrong.append(f"headers {show(found[name])} and {show(original)} both become '{name}'")
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def _identifier(original: str, place: int) -> str:
    # Not `\W`: that lets through what Python's identifiers refuse, such as the superscript of "m²".
    words = "".join(char if ("_" + char).isidentifier() else " " for char in original).split()
    name = "_".join(words).strip("_")
    if name and not name.isidentifier():
        name = "_" + name
    return name if name.isidentifier() else f"column_{place}"
