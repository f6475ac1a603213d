"""Deduplicate: one row of those with the same keys goes on, whatever is restored at whatever moment."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.pipelines.single_steps import StepsUnderTest, token

SETTINGS = """
source: {plugin: "null"}
transforms:
  - {name: one, plugin: deduplicate, on_error: errors, options: {keys: [k], keep: %s, duplicates: %s}}
sinks: {out: {plugin: "null"}, twice: {plugin: "null"}, errors: {plugin: "null"}}
default_sink: out
"""


def deduplicating(keep: str = "first", duplicates: str = "twice") -> StepsUnderTest:
    text = SETTINGS % (keep, duplicates)
    return StepsUnderTest(text if duplicates == "twice" else text.replace(' twice: {plugin: "null"},', ""))


def kept_by(run: StepsUnderTest) -> dict[str, str]:
    """For each duplicate, the token that its record names."""
    events = [event for event in run.records("routing_events") if event["edge_id"] == "one:duplicate"]
    return {event["state_id"].partition(":")[0]: json.loads(event["reason_json"])["kept"] for event in events}


def test_the_first_goes_on_at_once_and_the_others_leave_with_its_name() -> None:
    run = deduplicating()
    run.feed({"k": "a", "n": 0}, {"k": "b", "n": 1}, {"k": "a", "n": 2})
    assert run.rows["out"] == [{"k": "a", "n": 0}, {"k": "b", "n": 1}]
    assert run.rows["twice"] == [{"k": "a", "n": 2}]
    assert run.ends[token(2)] == ("routed", "twice")
    assert kept_by(run) == {token(2): token(0)}
    run.end()
    assert [(batch["trigger_type"], batch["status"]) for batch in run.records("batches")] == [
        ("end_of_source", "completed")
    ]


def test_duplicates_are_discarded_where_nothing_else_is_said() -> None:
    run = deduplicating(duplicates="discard")
    run.feed({"k": "a"}, {"k": "a"})
    assert run.ends == {token(0): ("completed", "out"), token(1): ("discarded", None)}
    assert kept_by(run) == {token(1): token(0)}


def test_the_last_goes_on_at_the_end_and_each_other_names_the_one_that_came_next() -> None:
    run = deduplicating("last")
    run.feed({"k": "a", "n": 0}, {"k": "b", "n": 1}, {"k": "a", "n": 2}, {"k": "a", "n": 3})
    assert run.rows["out"] == []
    assert kept_by(run) == {token(0): token(2), token(2): token(3)}
    run.end()
    assert run.rows["out"] == [{"k": "b", "n": 1}, {"k": "a", "n": 3}]
    assert run.rows["twice"] == [{"k": "a", "n": 0}, {"k": "a", "n": 2}]


@pytest.mark.parametrize("keep", ["first", "last"])
def test_null_equals_nothing_and_a_missing_field_is_an_error(keep: str) -> None:
    run = deduplicating(keep)
    run.feed({"k": None}, {"k": None}, {"n": 1})
    assert [run.ends[token(n)] for n in range(3)] == [
        ("completed", "out"),
        ("completed", "out"),
        ("quarantined", "errors"),
    ]
    assert run.rows["errors"][0]["_error"] == "the row has no field 'k'"


def test_a_number_and_its_text_and_a_truth_value_are_not_the_same_and_mappings_are_whatever_their_order() -> None:
    run = deduplicating()
    run.feed({"k": 1}, {"k": "1"}, {"k": True}, {"k": {"a": 1, "b": 2}}, {"k": {"b": 2, "a": 1}})
    assert run.rows["twice"] == [{"k": {"b": 2, "a": 1}}]


def test_its_state_stays_as_small_however_many_keys_there_are() -> None:
    run = deduplicating()
    sizes = []
    for chunk in range(4):
        run.feed(*({"k": f"{chunk}-{number}"} for number in range(1000)))
        sizes.append(len(json.dumps(run.state())))
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] < 200


_chunks = st.lists(st.lists(st.sampled_from([1, 2, 3, "1", None, [1]]), max_size=6), min_size=1, max_size=8)


@given(_chunks, st.sampled_from(["first", "last"]), st.sets(st.integers(0, 8)))
def test_restored_anywhere_it_keeps_the_rows_that_a_dictionary_keeps(
    chunks: list[list[Any]], keep: str, restored: set[int]
) -> None:
    run = deduplicating(keep)
    rows: list[dict[str, Any]] = []
    for number, keys in enumerate(chunks):
        if number in restored:
            run.restore(json.loads(json.dumps(run.state())))
        chunk = [{"k": key, "n": len(rows) + place} for place, key in enumerate(keys)]
        rows += chunk
        run.feed(*chunk)
    run.end()
    plain: dict[str, dict[str, Any]] = {}
    for row in rows if keep == "first" else reversed(rows):
        if row["k"] is not None:
            plain.setdefault(json.dumps(row["k"]), row)
    nulls = [row for row in rows if row["k"] is None]
    found = [row for row in run.rows["out"] if row["k"] is not None]
    assert found == sorted(plain.values(), key=lambda row: row["n"])
    assert [row for row in run.rows["out"] if row["k"] is None] == nulls
    assert len(run.rows["twice"]) == len(rows) - len(plain) - len(nulls)
    assert len(run.ends) == len(rows)
    named = kept_by(run)
    assert len(named) == len(run.rows["twice"])
    for row in run.rows["twice"]:
        at = token(row["n"])
        while at in named:
            at = named[at]
        assert at == token(plain[json.dumps(row["k"])]["n"])


def test_members_that_came_after_the_state_are_not_remembered() -> None:
    run = deduplicating()
    run.feed({"k": "a"})
    state = json.loads(json.dumps(run.state()))
    run.feed({"k": "b"})
    run.restore(state)
    run.feed({"k": "b"}, {"k": "a"})
    assert [row["k"] for row in run.rows["out"]] == ["a", "b", "b"]
    assert [row["k"] for row in run.rows["twice"]] == ["a"]
