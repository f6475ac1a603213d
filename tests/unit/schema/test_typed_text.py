"""Dates, times and decimals as text: one form, nothing lost, and a reason for what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.schema import RowSchema, SchemaError, compile_checker, compile_reader
from elspeth.schema.typed_text import CANONICAL, MAX_DIGITS, READ, identity, to_text

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
OFFSETS = st.none() | st.just(UTC) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
DATETIMES = st.builds(lambda time, zone: time.replace(tzinfo=zone), st.datetimes(), OFFSETS)
VALUES = st.tuples(st.just("decimal"), DECIMALS) | st.tuples(st.just("date"), st.dates()) | st.tuples(
    st.just("datetime"), DATETIMES
)  # fmt: skip


@given(VALUES)
def test_a_value_has_one_text_which_stands_for_it(given_value: tuple[str, Any]) -> None:
    kind, value = given_value
    text = to_text(value)
    assert CANONICAL[kind](text) == text
    assert CANONICAL[kind](f" {text}\t") == text
    found = READ[kind](text)
    assert found == value
    if isinstance(found, Decimal):
        assert found.as_tuple().exponent == min(value.as_tuple().exponent, 0)
    elif isinstance(found, datetime):
        assert found.utcoffset() == value.utcoffset()


@given(VALUES, VALUES)
def test_two_texts_have_one_identity_exactly_where_their_values_are_equal(
    one: tuple[str, Any], other: tuple[str, Any]
) -> None:
    if one[0] == other[0]:
        same = identity(one[0], to_text(one[1])) == identity(other[0], to_text(other[1]))
        assert same == (one[1] == other[1])


@given(DECIMALS, st.integers(0, 5), OFFSETS, st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1)))
def test_places_and_offsets_do_not_change_the_identity(
    number: Decimal, places: int, zone: timezone | None, time: datetime
) -> None:
    text = to_text(number)
    longer = (text if "." in text else text + ".0") + "0" * places
    assert identity("decimal", longer) == identity("decimal", text)
    moved = time.replace(tzinfo=UTC)
    assert identity("datetime", to_text(moved.astimezone(zone or UTC))) == identity("datetime", to_text(moved))


@pytest.mark.parametrize(
    ("kind", "text", "canonical"),
    [
        ("decimal", "0.10", "0.10"),
        ("decimal", "-12.50", "-12.50"),
        ("decimal", "+1", "1"),
        ("decimal", "007", "7"),
        ("decimal", ".5", "0.5"),
        ("decimal", "5.", "5"),
        ("decimal", "-0", "0"),
        ("decimal", "-0.00", "0.00"),
        ("decimal", "1e3", "1000"),
        ("decimal", "1.5E-3", "0.0015"),
        ("decimal", "9" * MAX_DIGITS, "9" * MAX_DIGITS),
        ("date", "2024-02-29", "2024-02-29"),
        ("datetime", "2024-03-01T09:30", "2024-03-01T09:30:00"),
        ("datetime", "2024-03-01 09:30:00.5Z", "2024-03-01T09:30:00.500000Z"),
        ("datetime", "2024-03-01T09:30:00+0100", "2024-03-01T09:30:00+01:00"),
        ("datetime", "2024-03-01T09:30:00 -00:00", "2024-03-01T09:30:00Z"),
        ("datetime", "2024-03-01T09:30:00.123456000", "2024-03-01T09:30:00.123456"),
    ],
)
def test_text_is_brought_into_the_one_form(kind: str, text: str, canonical: str) -> None:
    assert CANONICAL[kind](text) == canonical


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("decimal", "1,5", "it is no decimal number"),
        ("decimal", "1_000", "it is no decimal number"),
        ("decimal", "nan", "it is no decimal number"),
        ("decimal", "٣", "it is no decimal number"),
        ("decimal", "", "it is no decimal number"),
        ("decimal", "9" * (MAX_DIGITS + 1), "it has 10,001 digits; a decimal has at most 10,000"),
        ("decimal", "1e10000", "it has 10,001 digits; a decimal has at most 10,000"),
        ("decimal", "1e-10000", "it has 10,001 digits; a decimal has at most 10,000"),
        ("decimal", "1e999999999", "it has too many digits; a decimal has at most 10,000"),
        ("date", "2024-02-30", "there is no such day"),
        ("date", "01.03.2024", "it is no date such as 2024-03-01"),
        ("date", "2024-03-01T00:00:00", "it is no date such as 2024-03-01"),
        ("date", "24-03-01", "it is no date such as 2024-03-01"),
        ("datetime", "2024-03-01", "it is no time such as 2024-03-01T09:30:00"),
        ("datetime", "2023-02-29T10:00", "there is no such day"),
        ("datetime", "2024-03-01T24:00", "there is no such time of day"),
        ("datetime", "2024-03-01T23:59:60", "there is no such time of day"),
        ("datetime", "2024-03-01T10:00+24:00", "no such offset"),
        ("datetime", "2024-03-01T10:00:00.1234567", "more than six digits of a second"),
    ],
)
def test_what_is_no_such_value_is_refused_with_the_reason(kind: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"it|there") as caught:
        CANONICAL[kind](text)
    assert words in str(caught.value)


def one(kind: str, value: Any) -> Any:
    return compile_reader(RowSchema.parse({"mode": "fixed", "fields": {"f": kind}}))({"f": value})["f"]


def test_a_schema_makes_canonical_text_of_text_and_of_whole_numbers() -> None:
    assert one("decimal", " 1.50 ") == "1.50"
    assert one("decimal", 12) == "12"
    assert one("decimal?", " ") is None
    assert one("date?", None) is None
    assert one("datetime", "2024-03-01 09:30") == "2024-03-01T09:30:00"


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("decimal", 0.1, "field 'f': expected decimal, found 0.1: a float is not exact"),
        ("decimal", True, "field 'f': expected decimal, found True"),
        ("decimal", "x", "field 'f': expected decimal, found 'x': it is no decimal number"),
        pytest.param("decimal", 10**20_000, "a decimal has at most 10,000", id="a whole number of 20,001 digits"),
        ("date", 20240301, "field 'f': expected date, found 20240301"),
        ("date", "2024-02-30", "field 'f': expected date, found '2024-02-30': there is no such day"),
        ("datetime?", "x", "field 'f': expected datetime or nothing, found 'x': it is no time"),
    ],
)
def test_a_row_is_refused_with_the_value_and_the_reason(kind: str, value: Any, words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        one(kind, value)
    assert words in str(caught.value)


def test_a_row_within_the_pipeline_must_hold_the_canonical_text() -> None:
    check = compile_checker(RowSchema.parse({"mode": "free", "fields": ["p: decimal", "d: date?", "t: datetime?"]}))
    check({"p": "1.50", "d": None, "t": "2024-03-01T09:30:00Z"})
    check({"p": 7, "d": "2024-03-01", "t": None})
    for bad, words in (
        ({"p": "1e3"}, "in a row it is written '1000'"),
        ({"p": 0.5}, "a float is not exact"),
        ({"p": "1", "d": "2024-02-30"}, "there is no such day"),
        ({"p": "1", "t": "2024-03-01 09:30"}, "in a row it is written '2024-03-01T09:30:00'"),
        ({"p": Decimal(1)}, "expected decimal"),
        ({"p": "1", "d": date(2024, 3, 1)}, "expected date"),
    ):
        with pytest.raises(SchemaError) as caught:
            check(bad)
        assert words in str(caught.value)


@pytest.mark.parametrize("text", ["+%s", "+%s.%s", "+%se0", "+0%s"])
def test_a_decimal_may_have_so_many_digits_and_no_more(text: str) -> None:
    def given(digits: int) -> str:
        parts = text.count("%s")
        return text % tuple("7" * (digits // parts + digits % parts * (not at)) for at in range(parts))

    assert len(CANONICAL["decimal"](given(MAX_DIGITS)).replace(".", "").lstrip("0")) == MAX_DIGITS
    with pytest.raises(ValueError, match=f"{MAX_DIGITS + 1:,} digits|{MAX_DIGITS + 1} digits"):
        CANONICAL["decimal"](given(MAX_DIGITS + 1))
