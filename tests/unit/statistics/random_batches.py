"""Values and rows at random: null, NaN, bools among ints, ties, few and many rows, and now and then a wrong type."""

from __future__ import annotations

import math
import random
from typing import Any

# Quarters: sums of them are exact, so that both sides agree on what is 0 and what is a tie.
NUMBERS = [*range(-3, 4), *(x / 4 for x in range(-10, 11)), 1.0, 2.0, 10**6, 2.0**40]
GROUPS = ["a", "b", "", 1, 1.0, True, 0, False, None, -0.0, 0.0, 2.5]
GONE = [math.nan, math.inf, -math.inf]
OTHER = [True, "1", [1], {"a": 1}]


def number(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice(OTHER)
    if r.random() < 0.15:
        return r.choice([None, *GONE])
    return r.choice(NUMBERS[: r.choice((3, 12, len(NUMBERS)))])


def label(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice([1.0, math.nan, [1], {"a": 1}])
    return None if r.random() < 0.15 else r.choice(["a", "b", 1, True, 0, False, ""])


def anything(r: random.Random, rarely: float) -> Any:
    if r.random() < rarely:
        return r.choice([[1], {"a": 1}, []])
    return r.choice(["a", " \t", "", 1, 1.0, True, 0, False, None, *GONE, -0.0, 2.5, [1], [1.0], {"a": True}])


def scalar(r: random.Random, rarely: float) -> Any:
    value = anything(r, rarely)
    return value if r.random() < rarely or not isinstance(value, list | dict) else "z"


def group(r: random.Random, rarely: float) -> Any:
    return r.choice(GONE) if r.random() < rarely else r.choice(GROUPS[: r.choice((2, 3, len(GROUPS)))])


def variant(r: random.Random, rarely: float) -> Any:
    return group(r, rarely) if r.random() < rarely else r.choice(("a", 1, True, None)[: r.choice((2, 2, 2, 4))])


def pair(r: random.Random, rarely: float) -> Any:
    return group(r, rarely) if r.random() < rarely else r.choice(("a", 1, True, None, 2.5)[: r.choice((2, 5))])


def rows_of(r: random.Random, **fields: Any) -> list[dict[str, Any]]:
    rarely = r.choice((0, 0, 0, 0.05))
    count = r.choice((1, 2, 4, 8, 12, 20))
    return [{name: draw(r, rarely) for name, draw in fields.items()} for _ in range(count)]


def wanted(r: random.Random) -> Any:
    return r.choice((*[None] * 6, "a", "a", 1, True, "nobody"))
