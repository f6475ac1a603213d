"""Canonical JSON: both encoders agree, equal data has equal bytes, and what JSON cannot hold is refused."""

from __future__ import annotations

import enum
import json
import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elspeth import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DOUBLES = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), DOUBLES.filter(math.isfinite), st.floats(-1e4, 1e4)
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), FLOATS, TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=12,
)


@given(VALUES)
@example({"\ufb33": 1, "\U0001f600": 2})
@example([1e-5, 1e-4, 0.0001234, 1e15, 123456789012345.6, 1e16, 1e21, 1e22, 5e-324, -0.0, 2.0**53, 1.5])
@example({"n": 2**64, "m": -(2**63) - 1})
def test_the_fast_encoder_and_the_plain_one_give_the_same_bytes(value: Any) -> None:
    assert canonical.dumps(value) == canonical.reference(value)


@given(VALUES)
@example({"n": 2**64, "m": -(2**63) - 1})
@example({"\ufb33": 1, "\U0001f600": 2})
@example({"m": 1e-5, "n": 10**30})
def test_stored_text_gives_the_same_hash_when_it_is_read_back(value: Any) -> None:
    text = canonical.to_text(value)
    assert canonical.sha256(canonical.from_text(text)) == canonical.sha256(value)
    assert canonical.sha256_of_text(text) == canonical.sha256(value)


@given(st.dictionaries(TEXT, SCALARS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter_to_the_hash_and_is_kept_in_the_text(
    row: dict[str, Any], random: Any
) -> None:
    keys = list(row)
    random.shuffle(keys)
    shuffled = {key: row[key] for key in keys}
    assert canonical.dumps(shuffled) == canonical.dumps(row)
    assert list(canonical.from_text(canonical.to_text(shuffled))) == keys


# The sample of RFC 8785, section 3.2.2 and 3.2.3, and its table of numbers (appendix B).
def test_the_sample_object_of_the_rfc() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical.dumps(value).decode() == expected


def test_keys_sort_as_utf16() -> None:
    keys = ["€", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "ö"]
    ordered = ["\r", "1", "\u0080", "ö", "€", "\U0001f600", "\ufb33"]
    assert list(orjson.loads(canonical.dumps(dict.fromkeys(keys, 0)))) == ordered


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0x444B1AE4D6E2EF50, "1e+21"),
        (0x444B1AE4D6E2EF4F, "999999999999999900000"),
        (0x3EB0C6F7A0B5ED8D, "0.000001"),
        (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
        (0x41B3DE4355555553, "333333333.3333332"),
    ],
)
def test_numbers_are_written_as_the_rfc_lists_them(bits: int, text: str) -> None:
    number = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    assert canonical.dumps(number).decode() == text
    assert canonical.dumps({"n": number}).decode() == f'{{"n":{text}}}'


def test_big_integers_keep_all_their_digits() -> None:
    assert canonical.dumps({"n": 2**53 + 1}) == b'{"n":9007199254740993}'
    assert canonical.dumps([10**30 + 1]) == b"[1000000000000000000000000000001]"
    assert canonical.from_text(canonical.to_text({"n": 10**30 + 1})) == {"n": 10**30 + 1}


@given(VALUES)
@example({"n": 2**64, "m": -(2**63) - 1})
@example({"n": 10**400})
@example({"n": 10**18, "m": 0.5})
@example({"n": [10**30], "m": {"o": -(10**30)}})
def test_a_stored_text_is_read_as_the_plain_reader_reads_it(value: Any) -> None:
    text = canonical.to_text(value)
    found = canonical.from_text(text)
    assert repr(found) == repr(json.loads(text))  # 1 and 1.0 are equal, and are not the same


class Colour(enum.Enum):
    RED = "red"


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, "\ud800", {"\udfff": 1}, {1: "a"}, {None: 1}, {True: 1}, b"bytes", {1, 2},
        Colour.RED, datetime(2020, 1, 1), object(), 1j, deep(100_000),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"a": v}, lambda v: [{"b": [1.5, v]}]])
@pytest.mark.parametrize("encode", [canonical.dumps, canonical.reference, canonical.to_text])
def test_what_json_cannot_hold_is_refused(value: Any, wrap: Any, encode: Any) -> None:
    with pytest.raises(ValueError):
        encode(wrap(value))


@pytest.mark.parametrize("read", [canonical.from_text, canonical.sha256_of_text])
def test_a_text_that_is_not_json_is_refused(read: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError):
        read("{")
