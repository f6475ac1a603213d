"""Decimals for the interpreter of expressions: a fraction and a number of places, with no use of `decimal`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Exact:
    """A decimal number with its places."""

    value: Fraction
    places: int

    def __bool__(self) -> bool:
        return self.value != 0

    def __neg__(self) -> Exact:
        return Exact(-self.value, self.places)

    def __pos__(self) -> Exact:
        return self

    def text(self) -> str:
        """As a row holds it."""
        digits = str(abs(int(self.value * 10**self.places))).rjust(self.places + 1, "0")
        whole, behind = digits[: len(digits) - self.places], digits[len(digits) - self.places :]
        return ("-" if self.value < 0 else "") + (f"{whole}.{behind}" if behind else whole)


def exact_of(given: Any) -> Exact:
    """The number that a text, whole number or decimal is."""
    if isinstance(given, Exact):
        return given
    if type(given) is int:
        return Exact(Fraction(given), 0)
    found = re.fullmatch(r"\s*([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?\s*", given, re.ASCII)
    if type(given) is not str or not found or not (found[2] or found[3]):
        raise TypeError(f"{given!r}")
    places = len(found[3]) - int(found[4] or 0)
    value = Fraction(int(found[1] + found[2] + found[3])) / Fraction(10) ** places
    return Exact(value, max(places, 0))


def rounded(value: Fraction, places: int) -> Exact:
    """So many places, halves to the even neighbour."""
    return Exact(Fraction(round(value * Fraction(10) ** places)) / Fraction(10) ** places, max(places, 0))


def quotient(left: Exact, right: Exact) -> Exact:
    """A quotient: exact, with as few places as it needs, or rounded to 34 digits (or those of the longer number)."""
    value = left.value / right.value
    if not value:
        return Exact(value, max(0, left.places - right.places))
    digits = max(34, *(len(str(abs(int(each.value * 10**each.places)))) for each in (left, right)))
    magnitude = 0
    while abs(value) >= Fraction(10) ** (magnitude + 1):
        magnitude += 1
    while abs(value) < Fraction(10) ** magnitude:
        magnitude -= 1
    places = digits - 1 - magnitude
    result = rounded(value, places)
    if result.value != value:
        return result
    least = max(0, left.places - right.places)
    while (value * 10**least).denominator != 1:
        least += 1
    return Exact(value, least)


def calculate(symbol: str, left: Exact, right: Exact) -> Exact:
    """Sum, difference, product, quotient, quotient rounded down, and rest."""
    one, other = left.value, right.value
    match symbol:
        case "Add":
            return Exact(one + other, max(left.places, right.places))
        case "Sub":
            return Exact(one - other, max(left.places, right.places))
        case "Mult":
            return Exact(one * other, left.places + right.places)
        case "Div":
            return quotient(left, right)
        case "FloorDiv":
            return Exact(Fraction(one // other), 0)
        case "Mod":
            return Exact(one % other, max(left.places, right.places))
    raise TypeError(symbol)
