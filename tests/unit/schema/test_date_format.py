"""Formats of dates: what they read, on any machine, and what they leave open."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.schema.date_format import DAYS, MONTHS, compile_format

AT = "%d.%m.%Y %H:%M"


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (AT, "01.03.2024 09:30", datetime(2024, 3, 1, 9, 30)),
        (AT, " 1.3.2024 9:05 ", datetime(2024, 3, 1, 9, 5)),
        ("%d%m%Y%H%M%S", "01032024093015", datetime(2024, 3, 1, 9, 30, 15)),
        ("%d %b %Y %I:%M %p", "3 mar 2024 12:05 am", datetime(2024, 3, 3, 0, 5)),
        ("%d %B %Y, %I %p", "3 May 2024, 12 P.M.", datetime(2024, 5, 3, 12)),
        ("%A, %d. %B %Y %H Uhr", "Friday, 1. March 2024 7 Uhr", datetime(2024, 3, 1, 7)),
        ("%Y-%m-%dT%H:%M:%S.%f", "2024-03-01T09:30:15.25", datetime(2024, 3, 1, 9, 30, 15, 250000)),
        ("%Y %m %d %H%%", "2024 3 1 5%", datetime(2024, 3, 1, 5)),
    ],
)
def test_a_format_reads_what_it_says(text: str, value: str, expected: datetime) -> None:
    assert compile_format(text, "datetime").read(value) == expected


def test_an_offset_comes_with_the_time() -> None:
    read = compile_format("%d.%m.%Y %H:%M %z", "datetime").read
    assert read("01.03.2024 09:30 -0330").utcoffset() == -timedelta(hours=3, minutes=30)
    assert read("01.03.2024 09:30 Z").utcoffset() == timedelta()


@given(st.datetimes(datetime(1000, 1, 1)))
def test_what_strftime_writes_is_read_as_strptime_reads_it(time: datetime) -> None:
    for text in ("%Y-%m-%d %H:%M:%S.%f", "%d/%m/%Y %I:%M:%S.%f %p", "%H%M%S.%f %d%m%Y"):
        written = time.strftime(text)
        assert compile_format(text, "datetime").read(written) == time == datetime.strptime(written, text)
    written = f"{DAYS[time.weekday()]} {time.day} {MONTHS[time.month - 1][:3]} {time.year}"
    assert compile_format("%A %d %b %Y", "date").read(written).date() == time.date()


@pytest.mark.parametrize(
    ("first", "years"), [(1970, {"70": 1970, "99": 1999, "00": 2000, "69": 2069}), (1950, {"49": 2049, "50": 1950}),
                         (2000, {"00": 2000, "99": 2099})]
)  # fmt: skip
def test_years_of_two_digits_are_those_of_the_hundred_years_that_are_said(first: int, years: dict[str, int]) -> None:
    read = compile_format("%d.%m.%y", "date", first).read
    assert {text: read(f"01.03.{text}").year for text in years} == years


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (AT, "31.02.2024 10:00", "there is no such day"),
        (AT, "01.13.2024 10:00", "there is no such month"),
        (AT, "01.03.2024 24:00", "there is no such hour"),
        (AT, "01.03.2024 10:60", "there is no such minute"),
        (AT, "2024-03-01 10:00", f"it is not written as {AT!r} says"),
        (AT, "01.03.2024 10:00 x", "it is not written as"),
        (AT, "٠١.03.2024 10:00", "it is not written as"),
        ("%d.%m.%Y %I %p", "01.03.2024 13 pm", "there is no such hour"),
        ("%a %d.%m.%Y %H", "Mon 01.03.2024 1", "that day is a Friday"),
        ("%d.%m.%Y %H %z", "01.03.2024 1 +01:99", "there is no such offset from UTC"),
        ("%d.%m.%Y %H", "01.03.0000 1", "there is no such year"),
    ],
)
def test_a_text_that_names_no_time_is_refused_with_the_reason(text: str, value: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        compile_format(text, "datetime").read(value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "more", "words"),
    [
        ("%d.%m.%y", "date", {}, "has years of two digits: say with years_from"),
        ("%d.%m.%Y", "date", {"years_from": 1970}, "years_from is for years of two digits"),
        ("%D", "date", {}, "the unknown directive %D (did you mean %d?); known are %d, %m,"),
        ("%T", "datetime", {}, "did you mean %H:%M:%S?"),
        ("%q", "date", {}, "the unknown directive %q; known are"),
        ("%d.%m.%Y %", "date", {}, "the unknown directive %;"),
        ("%d.%m.%Y %m", "date", {}, "has the month twice"),
        ("%d.%m.%Y %b", "date", {}, "has the month twice"),
        ("%m.%Y", "date", {}, "has no day, so it names no day"),
        ("%d.%m.%Y %H", "date", {}, "has %H, and a date has no time: call the field datetime"),
        ("%d.%m.%Y", "datetime", {}, "has no hour: call the field date, or add %H"),
        ("%d.%m.%Y %I", "datetime", {}, "needs %I with %p"),
        ("%d.%m.%Y %H %p", "datetime", {}, "needs %I with %p"),
        ("%d.%m.%Y %H %S", "datetime", {}, "leaves out what stands between"),
    ],
)
def test_a_format_that_leaves_something_open_is_refused(
    text: str, kind: Literal["date", "datetime"], more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        compile_format(text, kind, **more)
    assert words in str(caught.value)


def test_the_offset_is_a_fixed_one() -> None:
    read = compile_format("%d.%m.%Y %H %z", "datetime").read
    assert read("01.03.2024 1 +01:30").tzinfo == timezone(timedelta(hours=1, minutes=30))
