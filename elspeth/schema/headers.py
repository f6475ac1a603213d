"""Identifiers for the header names of an input."""

from __future__ import annotations

import re
from collections.abc import Sequence

from elspeth.schema.spec import show


def normalise_headers(names: Sequence[str]) -> dict[str, str]:
    """Identifiers for header names: identifier to the name as found, in order.

    A name that is an identifier already stays exactly as it is, case included. Otherwise white space around it goes,
    every run of other characters becomes one underscore, and a leading digit gets an underscore in front. A name with
    nothing usable becomes `column_N`, its place counted from 1. Raises `ValueError` when two names become the same.
    """
    found: dict[str, str] = {}
    for place, original in enumerate(names, 1):
        name = original if original.isidentifier() else _identifier(original, place)
        if name in found:
            if found[name] == original:
                raise ValueError(f"header {show(original)} appears twice (the second time in column {place})")
            raise ValueError(f"headers {show(found[name])} and {show(original)} both become '{name}'")
        found[name] = original
    return found


def _identifier(original: str, place: int) -> str:
    name = re.sub(r"\W+", "_", original).strip("_")
    if name and not name.isidentifier():
        name = "_" + name
    return name if name.isidentifier() else f"column_{place}"
