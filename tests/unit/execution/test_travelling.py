"""What travels between roles arrives as it was: rows, items, large integers; and what cannot travel is no row."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from elspeth.execution import codec
from elspeth.execution.codec import RAW_LIMIT, BadRow, RowBatch, SinkItems, StageItem
from elspeth.execution.executor import FACTS_CHARACTERS, REASON_CHARACTERS, Refused, facts_text
from elspeth.plugins.contract import RowError


def batch(*rows: Any, lines: list[int] | None = None, bad: dict[int, BadRow] | None = None) -> RowBatch:
    return RowBatch("source", 7, "now", list(rows), bad or {}, lines)


@pytest.mark.parametrize(
    "number", [2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**400, 0, True, 1.5, None, "1"]
)  # fmt: skip
def test_a_number_of_any_size_arrives_wherever_it_stands(number: Any) -> None:
    row = {"a": number, "b": [number, {"c": number}], "d": {"e": [number]}}
    back = codec.decode_rows(codec.encode_rows(batch(row)))
    assert back.rows == [row]
    assert type(back.rows[0]["a"]) is type(number)  # type: ignore[index]
    items = {"out": SinkItems([0], ["t"], ["completed"], [None], [row])}
    assert codec.decode_sinks(codec.encode_sinks(items)) == items
    item = StageItem("node", "t", "r", 3, (("p", "b"),), 2, row, read_at="now")
    assert codec.decode_items(codec.encode_items([item])) == [item]


def test_an_extension_that_is_none_of_ours_is_refused() -> None:
    body = msgspec.msgpack.encode(
        [*msgspec.to_builtins(batch({}))[:3], [{"a": msgspec.msgpack.Ext(2, b"1")}], {}, None]
    )
    with pytest.raises(ValueError, match="extension 2 is none of ours"):
        codec.decode_rows(body)


def test_only_the_row_that_cannot_travel_becomes_a_bad_one_with_its_line() -> None:
    odd = {"x": object()}
    back = codec.decode_rows(codec.encode_rows(batch({"n": 0}, odd, {"n": 2}, lines=[1, 4, 9])))
    assert back.rows == [{"n": 0}, None, {"n": 2}]
    assert list(back.bad) == [1]
    assert back.bad[1].line == 4
    assert back.bad[1].raw.startswith("{'x': <object")
    assert back.bad[1].error.startswith("not data that JSON can hold: ")
    assert codec.decode_rows(codec.encode_rows(batch({"x": "\ud800" * 5000}))).bad[0].line is None


def test_of_a_row_that_cannot_travel_so_much_is_kept_and_no_more() -> None:
    back = codec.decode_rows(codec.encode_rows(batch({"x": "\ud800" * 5000})))
    assert len(back.bad[0].raw) == RAW_LIMIT == 4096


def test_a_bad_row_whose_evidence_cannot_travel_keeps_what_of_it_can() -> None:
    bad = {0: BadRow("\ud800" * 5000, "no \ud800", 3, {"a": object()}), 1: BadRow("x", "fine", 4, None)}
    back = codec.decode_rows(codec.encode_rows(batch(None, None, bad=bad)))
    assert len(back.bad[0].raw) == RAW_LIMIT
    assert (back.bad[0].error, back.bad[0].line, back.bad[0].fields) == (r"'no \ud800'", 3, None)
    assert back.bad[1] == BadRow("x", "fine", 4, None)


def test_facts_are_stored_as_they_are_as_long_as_they_are_short() -> None:
    assert json.loads(facts_text({"a": "x", "big": 2**70})) == {"a": "x", "big": 2**70}
    whole = "x" * (FACTS_CHARACTERS - len('{"a":""}'))
    assert json.loads(facts_text({"a": whole})) == {"a": whole}
    cut = json.loads(facts_text({"a": whole + "x", "b": "y"}))
    assert cut["a"].startswith("x" * REASON_CHARACTERS + "…")
    assert cut["b"] == "y"


def test_facts_that_are_too_many_are_counted() -> None:
    facts = {f"fact {number}": "x" * 1000 for number in range(40)}
    kept = json.loads(facts_text(facts))
    assert len(facts_text(facts)) <= FACTS_CHARACTERS
    assert kept.pop("left_out") == 40 - len(kept)
    assert list(kept) == list(facts)[: len(kept)]
    assert len(kept) == 15


@pytest.mark.parametrize("length", [REASON_CHARACTERS, REASON_CHARACTERS + 1])
def test_a_long_value_is_cut_only_where_it_is_longer_than_it_may_be(length: int) -> None:
    kept = json.loads(facts_text({"reason": "x" * length, "more": "y" * FACTS_CHARACTERS}))
    assert (kept["reason"] == "x" * length) == (length == REASON_CHARACTERS)


def test_facts_that_json_cannot_hold_are_stored_all_the_same() -> None:
    assert json.loads(
        facts_text(
            {
                "a": "\ud800",
                ("k",): 1,
                "o": {
                    1,
                },
            }
        )
    ) == {"a": "?", "o": "{1}"}  # type: ignore[dict-item]


def test_what_an_exception_says_of_its_row() -> None:
    known = Refused.of(RowError("too old", age=3))
    assert json.loads(known.text("check")) == {"node": "check", "reason": "too old", "age": 3}
    assert json.loads(Refused.of(KeyError("x")).text("check")) == {
        "node": "check", "reason": "KeyError: 'x'", "unexpected": True,
    }  # fmt: skip
