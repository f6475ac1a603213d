"""Dates, times and decimals as text: what is read, and the one form in which rows, records and hashes hold them.

    decimal     -12.50, 0, 1000: digits with a point if any; no exponent, no plus, no needless zero in front. The places
                behind the point stay as they were read: 12.50 is not cut to 12.5. At most `MAX_DIGITS` digits.
    date        2024-03-01
    datetime    2024-03-01T09:30:00, with six digits of a second if there are any, and with the offset from UTC if one
                is known: `+01:00`, or `Z` for none. The offset stays as it was read.

A value has one text, up to the places of a decimal and the offset of a time. Which of them are equal, and which comes
first, only the values know that the texts stand for: `identity` says it for whoever compares texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Literal

TypedKind = Literal["decimal", "date", "datetime"]
Typed = Decimal | date | datetime

TYPED_KINDS: tuple[TypedKind, ...] = ("decimal", "date", "datetime")

MIXED = "mixed"
"""The type of a field that is one of these by one way through the graph, and another by another way."""

MAX_DIGITS = 10_000
"""Most digits of a decimal, before and behind the point together."""

_CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_is_canonical = _CANONICAL.fullmatch
_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,9}))?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.([0-9]+))?)?) ?"
    r"(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII,
)
_UNBOUNDED = Context(prec=2 * MAX_DIGITS + 10, Emin=-3 * MAX_DIGITS, Emax=3 * MAX_DIGITS)


def decimal_text(text: str) -> str:
    """The canonical text of the decimal that `text` spells, exponents included. Raises `ValueError` with a reason."""
    if len(text) <= MAX_DIGITS and _CANONICAL.fullmatch(text) and not text.startswith("-0"):
        return text
    text = text.strip()
    found = _DECIMAL.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise ValueError("it is no decimal number")
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
    if max(len(whole), len(fraction)) + abs(exponent) > 2 * MAX_DIGITS:
        raise ValueError(too_long(None))
    digits, places = whole + fraction, len(fraction) - exponent
    digits = digits + "0" * -places if places < 0 else digits.rjust(places + 1, "0")
    places = max(places, 0)
    whole, fraction = digits[: len(digits) - places].lstrip("0") or "0", digits[len(digits) - places :]
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise ValueError(too_long(len(whole) + len(fraction)))
    plain = f"{whole}.{fraction}" if fraction else whole
    return f"-{plain}" if sign == "-" and (whole + fraction).strip("0") else plain


def too_long(digits: int | None) -> str:
    """Why a number of so many digits (None: of very many) is no decimal."""
    has = f"it has {digits:,} digits" if digits is not None else "it has too many digits"
    return f"{has}; a decimal has at most {MAX_DIGITS:,}"


def date_text(text: str) -> str:
    """The canonical text of a date in ISO 8601 (`2024-03-01`). Raises `ValueError` with a reason."""
    return read_date(text).isoformat()


def datetime_text(text: str) -> str:
    """The canonical text of a date with a time in ISO 8601. Raises `ValueError` with a reason."""
    return datetime_to_text(read_datetime(text))


def read_datetime(text: str) -> datetime:
    """The time that `text` spells in ISO 8601; a blank in place of the `T` is fine. Raises `ValueError`."""
    found = _DATETIME.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is no time such as 2024-03-01T09:30:00")
    if len((found[3] or "").rstrip("0")) > 6:
        raise ValueError("it has more than six digits of a second")
    day, clock, offset = found[1], found[2], found[4] or ""
    _existing_date(day)
    if found[3]:
        clock = f"{clock[:8]}.{found[3][:6]:0<6}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{offset.upper()}")
    except ValueError:
        raise ValueError("there is no such time of day, or no such offset") from None


def _existing_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("there is no such day") from None


def read_decimal(text: str) -> Decimal:
    """The decimal that `text` spells. Raises `ValueError` with a reason."""
    if len(text) <= MAX_DIGITS:
        try:
            value = Decimal(text)
        except InvalidOperation:
            pass
        else:
            if str(value) == text and _is_plain(text):  # half of what a pattern takes to see it
                return value
    return Decimal(decimal_text(text))


def _is_plain(text: str) -> bool:
    """Whether the text of a decimal, as Python writes it, has neither an exponent nor a word such as NaN."""
    return "E" not in text and text[-1:].isdigit()


def read_date(text: str) -> date:
    """The date that `text` spells in ISO 8601. Raises `ValueError` with a reason."""
    text = text.strip()
    if not _DATE.fullmatch(text):
        raise ValueError("it is no date such as 2024-03-01")
    return _existing_date(text)


def decimal_to_text(value: Decimal) -> str:
    """The canonical text of a finite decimal. Raises `ValueError` for one of too many digits."""
    text = str(value)
    return text if len(text) <= MAX_DIGITS and _is_plain(text) and text[:2] != "-0" else decimal_text(text)


def datetime_to_text(value: datetime) -> str:
    """The canonical text of a time, the offset that it has included."""
    text = value.isoformat()
    offset = value.utcoffset()
    if offset is None:
        return text
    if not offset:
        return text[: text.rindex("+")] + "Z"
    if offset % timedelta(minutes=1):
        raise ValueError("its offset from UTC has seconds, which ISO 8601 does not write")
    return text


def to_text(value: Typed) -> str:
    """The canonical text of a typed value. Raises `ValueError` for a decimal of too many digits."""
    if isinstance(value, Decimal):
        return decimal_to_text(value)
    return datetime_to_text(value) if isinstance(value, datetime) else value.isoformat()


CANONICAL: dict[str, Callable[[str], str]] = {
    "decimal": decimal_text, "date": date_text, "datetime": datetime_text,
}  # fmt: skip
"""By type, the function from text as it is read to canonical text."""

READ: dict[str, Callable[[str], Typed]] = {
    "decimal": read_decimal, "date": read_date, "datetime": read_datetime,
}  # fmt: skip
"""By type, the function from text to the value that it stands for."""


def identity(kind: str, text: str) -> str:
    """A text that two texts of this type share if they stand for the same value: 1.50 and 1.5, 09:00Z and 10:00+01:00.

    Raises `ValueError` with a reason for text of another type.
    """
    if kind == "decimal":
        plain = decimal_text(text)
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if kind == "date":
        return date_text(text)
    time = read_datetime(text)
    try:
        return datetime_to_text(time.astimezone(UTC) if time.tzinfo else time)
    except OverflowError:  # at the ends of the calendar another day does not exist
        return datetime_to_text(time)
