"""How an input spells its numbers, dates and words for true and false, where that is not the usual way."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal

from elspeth.schema.date_format import DateFormat, compile_format
from elspeth.schema.typed_text import date_text, datetime_to_text, read_datetime

Ambiguous = Literal["refuse", "earlier", "later"]
Nonexistent = Literal["refuse", "earlier", "later"]
_NUMBERS = frozenset({"int", "float", "decimal"})
_BLANKS = " \u00a0\u202f"  # what stands between thousands where a blank does


@dataclass(frozen=True, slots=True)
class DateForm:
    """How one field spells its date or time.

    `format` in the directives of strftime (None: ISO 8601), `timezone` an IANA name for times without an offset.
    `ambiguous` says which time is meant in the hour that clocks show twice, `nonexistent` what becomes of one in the
    hour that they leave out: later or earlier by as much as is left out.
    """

    format: str | None = None
    timezone: str | None = None
    ambiguous: Ambiguous = "refuse"
    nonexistent: Nonexistent = "refuse"
    years_from: int | None = None


@dataclass(frozen=True, slots=True)
class TextForms:
    """How an input spells its values; what is not given is as everywhere."""

    dates: dict[str, DateForm] = field(default_factory=dict)
    decimal_comma: bool = False
    thousands_separator: str | None = None
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()

    @property
    def decimal_mark(self) -> str:
        """What stands before the places of a number."""
        return "," if self.decimal_comma else "."

    def converters(self, fields: dict[str, str]) -> dict[str, Callable[[str], Any]]:
        """By field, what makes its text one in the usual form (a bool: the value itself), given each field's type.

        A field is left out whose texts are in the usual form. The functions raise `ValueError` with a reason, and so
        does this one, with a sentence, where a form cannot be meant.
        """
        made: dict[str, Callable[[str], Any]] = {}
        for name, form in self.dates.items():
            kind = fields.get(name)
            if kind not in ("date", "datetime"):
                raise ValueError(_no_date(name, fields))
            try:
                made[name] = _date(form) if kind == "date" else _datetime(form)
            except ValueError as error:
                raise ValueError(f"dates.{name}: {error}") from None
        self._check_words()
        marks = self._numbers()
        kinds = set(fields.values())
        if marks is not None and kinds.isdisjoint(_NUMBERS):
            name = "decimal_comma" if self.decimal_comma else "thousands_separator"
            raise ValueError(f"{name} is for fields that the schema calls int, float or decimal, and it has none")
        if self.true_values and "bool" not in kinds:
            raise ValueError("true_values and false_values are for fields that the schema calls bool, and it has none")
        for name, kind in fields.items():
            if marks is not None and kind in _NUMBERS:
                made[name] = marks
            elif self.true_values and kind == "bool":
                made[name] = self._bool
        return made

    def _check_words(self) -> None:
        if bool(self.true_values) != bool(self.false_values):
            lacking = "false_values" if self.true_values else "true_values"
            raise ValueError(f"true_values and false_values belong together: {lacking} is missing")
        both = {_word(text) for text in self.true_values} & {_word(text) for text in self.false_values}
        if both:
            raise ValueError(f"true_values and false_values both have {sorted(both)[0]!r}: a word means one of them")

    def _bool(self, text: str) -> bool:
        word = _word(text)
        if word in {_word(known) for known in self.true_values}:
            return True
        if word in {_word(known) for known in self.false_values}:
            return False
        raise ValueError(f"true are {', '.join(self.true_values)}, and false {', '.join(self.false_values)}")

    def _numbers(self) -> Callable[[str], str] | None:
        mark, separator = self.decimal_mark, self.thousands_separator
        if separator is not None and separator in "0123456789+-eE":
            raise ValueError(f"thousands_separator is {separator!r}, which is part of a number")
        if separator is None and not self.decimal_comma:
            return None
        if separator == mark:
            raise ValueError(
                f"thousands_separator is {separator!r}, and so is the decimal mark: set decimal_comma, or another"
            )
        return _number_reader(mark, separator)


def _number_reader(mark: str, separator: str | None) -> Callable[[str], str]:
    between = f"[{_BLANKS}]" if separator == " " else re.escape(separator or "")
    whole = rf"[0-9]{{1,3}}(?:{between}[0-9]{{3}})+|[0-9]*" if separator else "[0-9]*"
    number = re.compile(rf"([+-]?)({whole})(?:{re.escape(mark)}([0-9]*))?([eE][+-]?[0-9]+)?", re.ASCII)
    apart = re.compile(between) if separator else None

    def usual(text: str) -> str:
        found = number.fullmatch(text.strip())
        if found is None:
            groups = f", and thousands are set apart by {separator!r}" if separator else ""
            raise ValueError(f"the decimal mark is {mark!r}{groups}")
        digits = apart.sub("", found[2]) if apart else found[2]
        places = f".{found[3]}" if found[3] is not None else ""
        return f"{found[1]}{digits}{places}{found[4] or ''}"

    return usual


def _word(text: str) -> str:
    return text.strip().casefold()


def _no_date(name: str, fields: dict[str, str]) -> str:
    dates = [field for field, kind in fields.items() if kind in ("date", "datetime")]
    close = difflib.get_close_matches(name, dates, 1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"dates: {name!r} is no field that the schema calls date or datetime{meant}"


def _date(form: DateForm) -> Callable[[str], str]:
    if form.timezone is not None:
        raise ValueError("a date has no time, so it has no timezone")
    if form.format is None:
        return date_text
    read = _format(form, "date").read
    return lambda text: read(text).date().isoformat()


def _datetime(form: DateForm) -> Callable[[str], str]:
    read = read_datetime if form.format is None else _format(form, "datetime").read
    if form.timezone is None:
        return lambda text: datetime_to_text(read(text))
    zone = timezone_of(form.timezone)
    return lambda text: datetime_to_text(_placed(read(text), zone, form))


def _format(form: DateForm, kind: Literal["date", "datetime"]) -> DateFormat:
    assert form.format is not None
    return compile_format(form.format, kind, form.years_from)


def timezone_of(name: str) -> tzinfo:
    """The time zone of an IANA name, by the rules of the package tzdata: they are the same on every machine.

    Raises `ValueError` with the nearest name.
    """
    import zoneinfo  # only where an input has one: it costs time to import
    from importlib.resources import files

    rules = files("tzdata")
    names = rules.joinpath("zones").read_text().split()
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"timezone: {name!r} is no IANA time zone such as Europe/Berlin{meant}")
    with rules.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def _placed(time: datetime, zone: tzinfo, form: DateForm) -> datetime:
    """The time in its zone; one that came with an offset has its own."""
    if time.tzinfo is not None:
        return time
    first, second = time.replace(tzinfo=zone), time.replace(tzinfo=zone, fold=1)
    before, after = _offset(first), _offset(second)
    if before == after:
        return first
    if before > after:  # clocks were put back: both exist, and the earlier one has the greater offset
        if form.ambiguous == "refuse":
            raise ValueError(f"in {form.timezone} clocks showed that time twice: set `ambiguous` to earlier or later")
        return first if form.ambiguous == "earlier" else second
    if form.nonexistent == "refuse":
        raise ValueError(f"in {form.timezone} clocks never showed that time: set `nonexistent` to earlier or later")
    gap = after - before
    moved = time + gap if form.nonexistent == "later" else time - gap
    return moved.replace(tzinfo=zone)


def _offset(time: datetime) -> timedelta:
    return time.utcoffset() or timedelta()
