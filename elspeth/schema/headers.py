"""Identifiers for the header names of an input."""

from __future__ import annotations

import keyword
import unicodedata
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


def lower_headers(names: Sequence[str]) -> dict[str, str]:
    """Identifiers in lower case for header names: identifier to the name as found, in order.

    A name is brought to NFC and lower case; each run of characters that no identifier has becomes one underscore, and
    none are left at its ends. One goes in front of what cannot begin an identifier, one behind a word of Python. A name
    with nothing usable becomes `column_N`. Raises `ValueError` for names that become the same, with their columns.
    """
    found: dict[str, tuple[str, int]] = {}
    wrong: list[str] = []
    for place, original in enumerate(names, 1):
        name = _lower(original, place)
        if name in found:
            first, column = found[name]
            wrong.append(f"headers {show(first)} (column {column}) and {show(original)} (column {place}) both become "
                         f"'{name}'")  # fmt: skip
        else:
            found[name] = original, place
    if wrong:
        raise ValueError("; ".join(wrong))
    return {name: original for name, (original, _) in found.items()}


def _lower(original: str, place: int) -> str:
    text = unicodedata.normalize("NFC", original).strip().lower()
    words = "".join(char if ("_" + char).isidentifier() else "_" for char in text).split("_")
    name = "_".join(word for word in words if word)
    if name and not name.isidentifier():
        name = "_" + name
    if keyword.iskeyword(name):
        name += "_"
    return name if name.isidentifier() else f"column_{place}"


def _identifier(original: str, place: int) -> str:
    # Not `\W`: that lets through what Python's identifiers refuse, such as the superscript of "m²".
    words = "".join(char if ("_" + char).isidentifier() else " " for char in original).split()
    name = "_".join(words).strip("_")
    if name and not name.isidentifier():
        name = "_" + name
    return name if name.isidentifier() else f"column_{place}"
