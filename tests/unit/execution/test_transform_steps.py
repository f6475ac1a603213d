"""Transforms and gates: rows go on, become several, are tried again, or go where errors go."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from elspeth import canonical
from elspeth.execution import codec, executor
from elspeth.execution.retry import RetryPolicy
from elspeth.plugins.contract import Context, Row, RowError, TransientError
from tests.kit.pipelines.single_steps import StepsUnderTest, token

LINEAR = """
source: {plugin: "null", on_validation_failure: %s}
transforms: [{name: t, plugin: passthrough%s}]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
default_sink: out
"""


def linear(on_error: str | None, process: Any) -> StepsUnderTest:
    words = f", on_error: {on_error}" if on_error else ""
    return StepsUnderTest(LINEAR % ("errors", words), t=process)


def refusing(row: Row, ctx: Context) -> Row:
    raise RowError("the amount is odd", amount=row["a"])


@pytest.mark.parametrize(
    ("on_error", "end"),
    [("errors", ("quarantined", "errors")), ("discard", ("discarded", None)), (None, ("failed", None))],
)
def test_a_refused_row_goes_where_errors_of_the_step_go_with_node_and_reason(on_error: Any, end: Any) -> None:
    run = linear(on_error, refusing)
    run.feed({"a": 3})
    assert run.ends == {token(0): end}
    refused = {"a": 3, "_error": "the amount is odd", "_node": "t"}
    assert run.rows["errors"] == ([refused] if on_error == "errors" else [])
    [record] = run.records("transform_errors")
    assert json.loads(record["error_json"]) == {"node": "t", "reason": "the amount is odd", "amount": 3}
    assert (record["node_id"], record["token_id"], record["destination"]) == ("t", token(0), on_error)
    # The way it took is on record like any other: from the state in which it was refused, along the edge of errors.
    [state] = run.records("node_states")
    ways = [(event["state_id"], event["edge_id"], event["mode"]) for event in run.records("routing_events")]
    assert ways == ([(state["state_id"], "t:error", "divert")] if on_error else [])


def test_a_row_that_was_no_row_goes_to_its_sink_with_the_evidence() -> None:
    run = linear("errors", refusing)
    run.feed(None, bad={0: codec.BadRow("1,,x", "3 values where 2 are due", 7, {"a": "1"})})
    assert run.ends == {token(0): ("quarantined", "errors")}
    assert run.rows["errors"] == [{"a": "1", "_line": 7, "_error": "3 values where 2 are due", "_raw": "1,,x"}]
    [record] = run.records("validation_errors")
    assert (record["row_id"], record["line"], record["destination"]) == (token(0), 7, "errors")


def test_any_exception_of_a_plugin_is_its_rows_failure_only() -> None:
    run = linear("discard", lambda row, ctx: {"b": 1 / row["a"]})
    run.feed({"a": 0}, {"a": 2})
    assert run.rows["out"] == [{"b": 0.5}]
    [record] = run.records("transform_errors")
    assert "ZeroDivisionError" in record["error_json"]


@pytest.mark.parametrize("answer", [None, "text", [1], {"x": float("nan")}, {"x": {1, 2}}, [{"x": 1}, 2]])
def test_what_is_no_row_is_the_plugins_failure(answer: Any) -> None:
    run = linear("discard", lambda row, ctx: answer)
    run.feed({"a": 0})
    assert run.ends == {token(0): ("discarded", None)}


def test_each_try_is_a_record_and_the_last_one_decides() -> None:
    tries: list[tuple[int, str]] = []

    def shaky(row: Row, ctx: Context) -> Row:
        tries.append((ctx.attempt, ctx.idempotency_key))
        if ctx.attempt < row["a"]:
            raise TransientError("busy")
        return {**row, "done": True}

    run = linear("discard", shaky)
    run.feed({"a": 3}, {"a": 4})
    key, other = f"{token(0)}/t", f"{token(1)}/t"
    assert tries == [(1, key), (2, key), (3, key), (1, other), (2, other), (3, other)]
    assert run.ends == {token(0): ("completed", "out"), token(1): ("discarded", None)}
    found = [(r["token_id"], r["attempt"], r["status"]) for r in run.records("node_states")]
    assert found == [
        (token(0), 1, "failed"), (token(0), 2, "failed"), (token(0), 3, "completed"),
        (token(1), 1, "failed"), (token(1), 2, "failed"), (token(1), 3, "failed"),
    ]  # fmt: skip
    assert len({r["state_id"] for r in run.records("node_states")}) == 6
    assert len(run.records("transform_errors")) == 1


def test_several_rows_are_children_with_their_parent_and_none_is_an_outcome_too() -> None:
    run = linear("discard", lambda row, ctx: [{"n": n} for n in range(row["a"])])
    run.feed({"a": 2}, {"a": 0})
    assert run.rows["out"] == [{"n": 0}, {"n": 1}]
    assert run.ends[token(0)] == run.ends[token(1)] == ("expanded", None)
    parents = [(r["token_id"], r["parent_token_id"]) for r in run.records("token_parents")]
    assert parents == [(token(0, "/0000"), token(0)), (token(0, "/0001"), token(0))]


def test_random_and_now_are_the_rows_own() -> None:
    def drawing(row: Row, ctx: Context) -> Row:
        return {"drawn": [ctx.random.random(), ctx.random.random()], "now": ctx.now}

    first, again = linear("discard", drawing), linear("discard", drawing)
    first.feed({"a": 1}, {"a": 2})
    again.feed({"a": 1})
    again.feed({"a": 2})
    assert first.rows["out"] == again.rows["out"]
    drawn = [number for row in first.rows["out"] for number in row["drawn"]]
    assert len(set(drawn)) == 4
    assert {row["now"] for row in first.rows["out"]} == {"2026-01-01T00:00:00.000Z"}


def test_integers_beyond_64_bits_pass_from_process_to_process() -> None:
    run = linear("discard", lambda row, ctx: row)
    run.feed({"a": 10**30, "b": [-(10**20), {"c": 2**64}]})
    assert run.rows["out"] == [{"a": 10**30, "b": [-(10**20), {"c": 2**64}]}]


def test_what_cannot_travel_is_a_bad_row_among_good_ones() -> None:
    run = linear("discard", lambda row, ctx: row)
    run.feed({"a": 1}, {"a": "\ud800"}, {"a": object()}, {"a": 2})
    assert run.rows["out"] == [{"a": 1}, {"a": 2}]
    assert [run.ends[token(n)] for n in (1, 2)] == [("quarantined", "errors")] * 2


GATE = """
source: {plugin: "null", on_validation_failure: discard}
gates:
  - {name: g, condition: "row['a']", routes: {x: left, "2": right, "null": discard, y: continue}%s}
sinks: {left: {plugin: "null"}, right: {plugin: "null"}, out: {plugin: "null"}, errors: {plugin: "null"}}
default_sink: out
"""


def test_the_value_of_the_condition_names_the_route() -> None:
    run = StepsUnderTest(GATE % ", on_error: errors")
    run.feed({"a": "x"}, {"a": 2}, {"a": None}, {"a": "y"}, {"a": "z"}, {})
    ends = [run.ends[token(n)] for n in range(6)]
    assert ends == [
        ("routed", "left"), ("routed", "right"), ("discarded", None), ("completed", "out"),
        ("quarantined", "errors"), ("quarantined", "errors"),
    ]  # fmt: skip
    reasons = [json.loads(r["error_json"])["reason"] for r in run.records("transform_errors")]
    assert "'z' has no route" in reasons[0]
    assert "'a'" in reasons[1]


def test_input_is_held_to_the_steps_schema_if_it_asks_for_it() -> None:
    run = StepsUnderTest("""
source: {plugin: "null", on_validation_failure: discard}
transforms:
  - {name: t, plugin: passthrough, validate_input: true, on_error: discard,
     options: {schema: {mode: free, fields: ["a: int", "b: str?"]}}}
sinks: {out: {plugin: "null"}}
default_sink: out
""")
    run.feed({"a": 1}, {"a": "1"}, {"a": 2, "b": None})
    assert run.rows["out"] == [{"a": 1}, {"a": 2, "b": None}]
    assert run.ends[token(1)] == ("discarded", None)


def test_memory_that_runs_out_is_no_rows_failure() -> None:
    def greedy(row: Row, ctx: Context) -> Row:
        raise MemoryError

    run = linear("discard", greedy)
    with pytest.raises(MemoryError):
        run.feed({"a": 0})
    assert run.ends == {}


# -- waiting before another try


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_waits_between_tries_grow_up_to_the_longest() -> None:
    policy = RetryPolicy(9, initial_delay_seconds=1.5, max_delay_seconds=20.0, exponential_base=2.0)
    assert [policy.delay(failures) for failures in range(1, 7)] == [1.5, 3.0, 6.0, 12.0, 20.0, 20.0]


def test_a_wait_lasts_as_long_as_the_policy_says_and_shows_every_second_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(executor, "time", clock)
    begun: list[float] = []

    def busy(row: Row, ctx: Context) -> Row:
        begun.append(clock.now)
        raise TransientError("busy")

    run = linear("discard", busy)
    run.stages[0].retry = RetryPolicy(4, initial_delay_seconds=2.5, max_delay_seconds=60.0, exponential_base=2.0)
    beats = [0.0]
    run.contexts["t"]._beat = lambda: beats.append(clock.now)
    run.feed({"a": 0})
    assert begun == [0.0, 2.5, 7.5, 17.5]
    assert max(after - before for before, after in pairwise([*beats, clock.now])) <= 1.0


# -- plugins that change what is not theirs any more


def held(run: StepsUnderTest) -> None:
    """What came out is what is on record about it."""
    recorded = [r["output_hash"] for r in run.records("node_states") if r["node_id"] == "t"]
    assert recorded == [canonical.sha256(row) for row in run.rows["out"]]


def test_a_plugin_that_keeps_the_row_it_gave_and_changes_it_later_changes_nothing() -> None:
    mine: dict[str, Any] = {"seen": []}

    def keeping(row: Row, ctx: Context) -> Row:
        mine["seen"].append(row["a"])
        return mine

    run = linear("discard", keeping)
    run.feed({"a": 1}, {"a": 2})
    assert run.rows["out"] == [{"seen": [1]}, {"seen": [1, 2]}]
    held(run)


def test_a_plugin_that_keeps_the_row_it_was_given_and_changes_it_later_changes_nothing() -> None:
    kept: list[Row] = []

    def keeping(row: Row, ctx: Context) -> Row:
        for before in kept:
            before["a"] = "spoiled"
        kept.append(row)
        return row

    run = linear("discard", keeping)
    run.feed({"a": 1}, {"a": 2})
    assert run.rows["out"] == [{"a": 1}, {"a": 2}]
    held(run)


def test_a_row_that_is_changed_in_place_is_on_record_as_changed() -> None:
    def adding(row: Row, ctx: Context) -> Row:
        row["b"] = row["a"]
        return row

    run = linear("discard", adding)
    run.feed({"a": 1})
    assert run.rows["out"] == [{"a": 1, "b": 1}]
    held(run)
    [state] = [r for r in run.records("node_states") if r["node_id"] == "t"]
    assert (state["input_hash"], json.loads(state["output_data"])) == (canonical.sha256({"a": 1}), {"a": 1, "b": 1})


def test_rows_that_are_kept_and_changed_later_are_what_they_were_when_they_are_several() -> None:
    mine: list[dict[str, Any]] = [{"n": 0}, {"n": 0}]

    def keeping(row: Row, ctx: Context) -> list[Row]:
        for one in mine:
            one["n"] += 1
        return mine

    run = linear("discard", keeping)
    run.feed({"a": 1}, {"a": 2})
    assert run.rows["out"] == [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 2}]


def test_a_row_that_is_changed_before_it_is_refused_goes_where_errors_go_as_it_came() -> None:
    def spoiling(row: Row, ctx: Context) -> Row:
        row["a"] = "spoiled"
        raise RowError("the amount is odd")

    run = linear("errors", spoiling)
    run.feed({"a": 3})
    assert run.rows["errors"] == [{"a": 3, "_error": "the amount is odd", "_node": "t"}]


def test_a_row_that_is_changed_before_a_transient_error_is_as_it_was_at_the_next_try() -> None:
    def adding(row: Row, ctx: Context) -> Row:
        row["a"] += 1
        if ctx.attempt < 3:
            raise TransientError("busy")
        return row

    run = linear("discard", adding)
    run.feed({"a": 1})
    assert run.rows["out"] == [{"a": 2}]


@pytest.mark.parametrize("changes", [True, False])
def test_what_a_step_is_given_is_on_record_as_what_the_one_before_returned(changes: bool) -> None:
    run = StepsUnderTest(
        """
        source: {plugin: "null", on_validation_failure: discard}
        transforms:
          - {name: one, plugin: passthrough, on_error: discard}
          - {name: two, plugin: passthrough, on_error: discard}
        sinks: {out: {plugin: "null"}}
        default_sink: out
        """,
        one=lambda row, ctx: {**row, "b": 2} if changes else dict(row),
        two=lambda row, ctx: {**row, "c": 3},
    )
    run.feed({"a": 1})
    one, two = run.records("node_states")
    assert two["input_hash"] == one["output_hash"] == canonical.sha256({"a": 1, "b": 2} if changes else {"a": 1})
    assert (one["input_hash"] == one["output_hash"]) == (not changes)
    assert (one["output_data"] is None) == (not changes)
