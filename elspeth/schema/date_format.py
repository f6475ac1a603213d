"""Formats of dates and times, in the directives of strftime (C99), read the same whatever the machine's language is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})", re.ASCII)

_PARTS: dict[str, tuple[str, str]] = {
    "d": ("day", r"[0-9]{1,2}"),
    "m": ("month", r"[0-9]{1,2}"),
    "b": ("month", "|".join(name[:3] for name in MONTHS)),
    "B": ("month", "|".join(MONTHS)),
    "Y": ("year", r"[0-9]{4}"),
    "y": ("year", r"[0-9]{2}"),
    "H": ("hour", r"[0-9]{1,2}"),
    "I": ("hour", r"[0-9]{1,2}"),
    "p": ("half", r"[AaPp]\.?[Mm]\.?"),
    "M": ("minute", r"[0-9]{1,2}"),
    "S": ("second", r"[0-9]{1,2}"),
    "f": ("fraction", r"[0-9]{1,6}"),
    "z": ("offset", r"[Zz]|[+-][0-9]{2}:?[0-9]{2}"),
    "a": ("weekday", "|".join(name[:3] for name in DAYS)),
    "A": ("weekday", "|".join(DAYS)),
}
_LIKE = {"D": "d", "h": "b", "j": "d", "T": "H:%M:%S", "F": "Y-%m-%d", "s": "S", "P": "p", "Z": "z"}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A compiled format. `parts` are those that it names: day, month, year, hour, ..., offset."""

    text: str
    parts: frozenset[str]
    read: Callable[[str], datetime]
    """The time that a text spells, naive unless the format has `%z`; what the format does not name is zero. Raises
    `ValueError` with a reason."""


def compile_format(text: str, kind: Literal["date", "datetime"], years_from: int | None = None) -> DateFormat:
    """The format that `text` writes, for values of a type.

    `years_from` is the year in which the hundred years begin that `%y` means. Raises `ValueError` with a sentence for
    an unknown directive, and for a format that leaves open which day or time is meant, or says something twice.
    """
    pattern, directives = _pattern(text)
    parts = [_PARTS[directive][0] for directive in directives]
    for part in parts:
        if parts.count(part) > 1:
            raise ValueError(f"the format {text!r} has the {part} twice")
    missing = [part for part in ("year", "month", "day") if part not in parts]
    if missing:
        raise ValueError(f"the format {text!r} has no {missing[0]}, so it names no day")
    clock = [directive for directive in directives if directive in "HIpMSfz"]
    if kind == "date" and clock:
        raise ValueError(f"the format {text!r} has %{clock[0]}, and a date has no time: call the field datetime")
    if kind == "datetime" and "hour" not in parts:
        raise ValueError(f"the format {text!r} has no hour: call the field date, or add %H")
    if ("I" in directives) != ("p" in directives):
        raise ValueError(f"the format {text!r} needs %I with %p: an hour up to 12, and which half of the day")
    if ("f" in directives and "S" not in directives) or ("S" in directives and "M" not in directives):
        raise ValueError(f"the format {text!r} leaves out what stands between its parts, of %H:%M:%S.%f")
    if "y" in directives and years_from is None:
        raise ValueError(
            f"the format {text!r} has years of two digits: say with years_from in which year their hundred years begin"
        )
    if years_from is not None and "y" not in directives:
        raise ValueError(f"years_from is for years of two digits, and the format {text!r} has no %y")
    return DateFormat(text, frozenset(parts), _reader(text, re.compile(pattern, re.IGNORECASE | re.ASCII), years_from))


def _pattern(text: str) -> tuple[str, list[str]]:
    pattern = ""
    directives: list[str] = []
    pieces = re.split(r"%(.?)", text, flags=re.DOTALL)
    for place, piece in enumerate(pieces):
        if not place % 2:
            pattern += re.escape(piece)
        elif piece == "%":
            pattern += "%"
        elif piece in _PARTS:
            name, form = _PARTS[piece]
            # Digits that follow one another at once have all their places: 01032024.
            touching = piece in "dmHIMS" and _touches(pieces, place)
            again = name in (_PARTS[directive][0] for directive in directives)  # is refused by who called
            pattern += "" if again else f"(?P<{name}>{'[0-9]{2}' if touching else form})"
            directives.append(piece)
        else:
            close = _LIKE.get(piece) or next(iter(difflib.get_close_matches(piece.swapcase(), _PARTS, 1)), "")
            meant = f" (did you mean %{close}?)" if close else ""
            raise ValueError(
                f"the format {text!r} has the unknown directive %{piece}{meant}; known are "
                f"{', '.join('%' + name for name in _PARTS)} and %%"
            )
    return pattern, directives


def _touches(pieces: list[str], place: int) -> bool:
    digits = "dmYyHIMSf"
    before = place >= 2 and not pieces[place - 1] and pieces[place - 2] in digits
    after = place + 2 < len(pieces) and not pieces[place + 1] and pieces[place + 2] in digits
    return before or after


def _reader(text: str, pattern: re.Pattern[str], years_from: int | None) -> Callable[[str], datetime]:
    months = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}
    weekdays = {name[:3].lower(): number for number, name in enumerate(DAYS)}

    def read(value: str) -> datetime:
        found = pattern.fullmatch(value.strip())
        if found is None:
            raise ValueError(f"it is not written as {text!r} says")
        part = found.groupdict()
        year, month = int(part["year"]), part["month"]
        if years_from is not None:
            year += years_from // 100 * 100
            year += 100 if year < years_from else 0
        try:
            time = datetime(
                year, int(month) if month.isdigit() else months[month[:3].lower()], int(part["day"]), *_clock(part),
                tzinfo=_offset(part),
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"there is no such {_missing(str(error))}") from None
        weekday = part.get("weekday")
        if weekday and weekdays[weekday[:3].lower()] != time.weekday():
            raise ValueError(f"that day is a {DAYS[time.weekday()]}")
        return time

    return read


def _clock(part: Mapping[str, str]) -> tuple[int, int, int, int]:
    hour, half = int(part.get("hour") or 0), part.get("half")
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("hour")
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    fraction = part.get("fraction") or "0"
    return hour, int(part.get("minute") or 0), int(part.get("second") or 0), int(f"{fraction:0<6}")


def _offset(part: Mapping[str, str]) -> timezone | None:
    text = part.get("offset")
    if not text:
        return None
    found = _OFFSET.fullmatch(text)
    if found is None:
        return UTC
    minutes = int(found[2]) * 60 + int(found[3])
    if int(found[3]) > 59:
        raise ValueError("offset")
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def _missing(error: str) -> str:
    """The part of a date that does not exist, by what Python says of it."""
    for words, part in (("day", "day"), ("month", "month"), ("hour", "hour"), ("minute", "minute"),
                        ("second", "second"), ("year", "year")):  # fmt: skip
        if error.startswith(words):
            return part
    return "offset from UTC"
