"""Aggregations: what closes a batch, what becomes of its members, and how it comes back after a restart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elspeth.coordinator.blame import Conviction
from elspeth.execution.codec import BadRow
from elspeth.execution.stage_runner import FLUSH
from elspeth.plugins.contract import Context, Made, Row, RowError, TransientError, Unfit
from tests.kit.pipelines.single_steps import StepsUnderTest, token

BATCHES = """
source: {plugin: "null", on_validation_failure: errors}
aggregations: [{name: b, plugin: batch_stats, options: {value_field: n}, %s}]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
default_sink: out
"""


def batching(options: str, process: Any = None) -> StepsUnderTest:
    if "on_error" not in options:
        options += ", on_error: errors"
    return StepsUnderTest(BATCHES % options, b=process or (lambda rows, ctx: [{"of": [row.get("n") for row in rows]}]))


def closed(run: StepsUnderTest) -> list[tuple[str, str]]:
    return [(r["trigger_type"], r["status"]) for r in run.records("batches")]


def test_a_count_closes_a_batch_and_the_end_of_the_source_the_last_one() -> None:
    run = batching("trigger: {count: 2}")
    run.feed(*({"n": n} for n in range(5)))
    run.end()
    assert run.rows["out"] == [{"of": [0, 1]}, {"of": [2, 3]}, {"of": [4]}]
    assert closed(run) == [("count", "completed"), ("count", "completed"), ("end_of_source", "completed")]
    assert run.ends[token(3)] == ("consumed_in_batch", None)
    assert run.ends[token(2, "@b/0000")] == ("completed", "out")
    members = [(r["batch_id"], r["token_id"], r["ordinal"]) for r in run.records("batch_members")]
    assert members[2:4] == [(token(2, "@b"), token(2), 0), (token(2, "@b"), token(3), 1)]
    parents = [r["parent_token_id"] for r in run.records("token_parents") if r["token_id"] == token(2, "@b/0000")]
    assert parents == [token(2, "@b")]


def test_what_only_passes_a_stage_is_not_said_to_be_touched_and_nothing_is_when_all_is_through() -> None:
    run = batching("trigger: {count: 2}")
    run.feed(None, {"n": 1}, bad={0: BadRow("x", "no row", None, None)})
    assert run.touched == [1, -1]  # the refused row is on its way to its sink


def parents_of(run: StepsUnderTest, child: str) -> list[str]:
    found = sorted((r["ordinal"], r["parent_token_id"]) for r in run.records("token_parents") if r["token_id"] == child)
    return [parent for _, parent in found]


def test_a_result_is_linked_to_exactly_the_members_that_the_plugin_names() -> None:
    def odd_and_even(rows: list[Row], ctx: Context) -> Any:
        return [Made({"of": "odd"}, of=[1, 3]), {"of": "all"}, Made({"of": "even"}, of=range(0, 4, 2))]

    run = batching("trigger: {count: 4}", odd_and_even)
    run.feed(*({"n": n} for n in range(4)))
    assert run.rows["out"] == [{"of": "odd"}, {"of": "all"}, {"of": "even"}]
    assert parents_of(run, token(0, "@b/0000")) == [token(1), token(3)]
    assert parents_of(run, token(0, "@b/0001")) == [token(0, "@b")]
    assert parents_of(run, token(0, "@b/0002")) == [token(0), token(2)]
    rows = {r["token_id"]: r["row_id"] for r in run.records("tokens")}
    assert [rows[token(0, f"@b/000{n}")] for n in range(3)] == [token(3), token(3), token(2)]


@pytest.mark.parametrize("of", [[], [2], [-1], [0, 0], ["n"], [True], None, 1])
def test_members_that_are_not_there_fail_the_batch(of: Any) -> None:
    run = batching("trigger: {count: 2}", lambda rows, ctx: [Made({"x": 1}, of=of)])
    run.feed({"n": 0}, {"n": 1})
    assert closed(run) == [("count", "failed")]
    assert "says a row was made of" in run.records("transform_errors")[0]["error_json"]


def test_as_many_results_as_members_cost_as_much_as_one_member_and_one_result() -> None:
    run = batching("trigger: {count: 3000}", lambda rows, ctx: [dict(row) for row in rows])
    run.feed(*({"n": n} for n in range(3000)))
    assert len(run.records("token_parents")) == 3000


def test_a_condition_sees_the_row_the_count_and_the_age() -> None:
    run = batching(
        "trigger: {condition: \"row.get('last') or row['batch_count'] >= 3 or row['batch_age_seconds'] > 5\"}"
    )
    run.feed({"n": 0}, {"n": 1, "last": True}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 5})
    run.active_seconds = 6.0
    run.feed({"n": 6})
    assert run.rows["out"] == [{"of": [0, 1]}, {"of": [2, 3, 4]}, {"of": [5, 6]}]
    assert closed(run) == [("condition", "completed")] * 3


def test_a_row_without_the_field_fires_no_condition() -> None:
    run = batching("trigger: {condition: \"row['last']\"}")
    run.feed({"n": 0}, {"n": 1, "last": True})
    assert run.rows["out"] == [{"of": [0, 1]}]


def test_a_time_out_counts_from_the_first_row_and_survives_a_restart() -> None:
    run = batching("trigger: {timeout_seconds: 10}")
    run.active_seconds = 2.0
    run.feed({"n": 0})
    run.active_seconds = 9.0
    run.feed({"n": 1})
    state = json.loads(json.dumps(run.state()))
    run.restore(state)
    run.active_seconds = 11.9
    run.feed()
    assert run.rows["out"] == []
    run.active_seconds = 12.0
    run.feed()
    assert run.rows["out"] == [{"of": [0, 1]}]
    assert closed(run) == [("timeout", "completed")]


@pytest.mark.parametrize(
    ("on_error", "end"),
    [("errors", ("quarantined", "errors")), ("discard", ("discarded", None)), ("", ("failed", None))],
)
def test_a_batch_that_is_refused_takes_all_members_where_errors_go(on_error: str, end: Any) -> None:
    def refusing(rows: list[Row], ctx: Context) -> list[Row]:
        raise RowError("no")

    words = f", on_error: {on_error}" if on_error else ", on_error: null"
    run = batching("trigger: {count: 2}" + words, refusing)
    run.feed({"n": 0}, {"n": 1})
    assert run.ends == {token(0): end, token(1): end}
    assert closed(run) == [("count", "failed")]
    errors = [json.loads(r["error_json"]) for r in run.records("transform_errors")]
    assert errors == [{"node": "b", "reason": "no", "batch": token(0, "@b")}] * 2


def test_another_number_of_rows_than_expected_fails_the_batch() -> None:
    run = batching("trigger: {count: 2}, expected_output_count: 2")
    run.feed({"n": 0}, {"n": 1})
    assert closed(run) == [("count", "failed")]
    assert "gave 1 rows where 2 were expected" in run.records("transform_errors")[0]["error_json"]


def test_passthrough_gives_each_member_its_own_row_back() -> None:
    run = batching("trigger: {count: 2}, output_mode: passthrough",
                   lambda rows, ctx: [{**row, "size": len(rows)} for row in rows])  # fmt: skip
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    run.end()
    assert run.rows["out"] == [{"n": 0, "size": 2}, {"n": 1, "size": 2}, {"n": 2, "size": 1}]
    assert set(run.ends.values()) == {("completed", "out")}
    buffered = [r["outcome_id"] for r in run.records("token_outcomes") if not r["is_terminal"]]
    assert buffered == [token(n, "~0") for n in range(3)]


def test_passthrough_gives_back_all_rows_but_those_that_are_refused_alone() -> None:
    def odd_ones_out(rows: list[Row], ctx: Context) -> Any:
        odd = [Unfit(place, RowError("is odd")) for place, row in enumerate(rows) if row["n"] % 2]
        return [*odd, *({**row, "size": len(rows)} for row in rows if row["n"] % 2 == 0)]

    run = batching("trigger: {count: 3}, output_mode: passthrough", odd_ones_out)
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    assert closed(run) == [("count", "completed")]
    assert run.rows["out"] == [{"n": 0, "size": 3}, {"n": 2, "size": 3}]
    [refused] = run.rows["errors"]
    assert refused["n"] == 1
    assert run.ends[token(1)] == ("quarantined", "errors")


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_passthrough_with_another_number_of_rows_than_are_left_fails_the_batch(kept: int) -> None:
    def answers(rows: list[Row], ctx: Context) -> Any:
        return [Unfit(1, RowError("is odd")), *({"n": place} for place in range(kept))]

    run = batching("trigger: {count: 3}, output_mode: passthrough", answers)
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    assert closed(run) == [("count", "failed")]
    assert f"gave {kept} rows where 2 were expected" in run.records("transform_errors")[0]["error_json"]


@pytest.mark.parametrize("index", [-1, 3, True, "1", None])
def test_a_row_refused_alone_that_is_not_there_fails_the_batch(index: Any) -> None:
    run = batching("trigger: {count: 3}", lambda rows, ctx: [Unfit(index, RowError("is odd")), {"x": 1}])
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    assert closed(run) == [("count", "failed")]
    assert "the batch has rows 0 to 2" in run.records("transform_errors")[0]["error_json"]


def test_rows_that_share_data_become_tokens_that_do_not() -> None:
    shared = {"list": []}
    run = batching("trigger: {count: 1}", lambda rows, ctx: [{"x": shared}, {"x": shared}])
    run.feed({"n": 0})
    first, second = run.rows["out"]
    first["x"]["list"].append(1)
    assert second == {"x": {"list": []}}


def test_transient_errors_are_tried_again_each_try_a_record() -> None:
    def shaky(rows: list[Row], ctx: Context) -> list[Row]:
        if ctx.attempt < 3:
            raise TransientError("busy")
        return [{"key": ctx.idempotency_key, "attempt": ctx.attempt, "now": ctx.now}]

    run = batching("trigger: {count: 2}", shaky)
    run.feed({"n": 0}, {"n": 1})
    now = "2026-01-01T00:00:00.000Z"
    assert run.rows["out"] == [{"key": token(0, "@b/b"), "attempt": 3, "now": now}]
    tries = [(r["token_id"], r["attempt"]) for r in run.records("node_states") if r["status"] == "failed"]
    assert tries == [(token(0), 1), (token(0), 2), (token(1), 1), (token(1), 2)]


def test_what_kills_in_a_flush_is_the_batch_and_not_its_last_row() -> None:
    run = batching("trigger: {count: 2}")
    run.poison = {FLUSH + 1: Conviction(reason="signal 9", attempts=3)}
    run.feed({"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 5})
    assert run.rows["out"] == [{"of": [0, 1]}, {"of": [4, 5]}]
    assert [run.ends[token(n)] for n in (2, 3)] == [("quarantined", "errors")] * 2
    assert FLUSH in run.touched
    assert FLUSH + 2 in run.touched


def test_an_item_that_killed_its_process_is_set_aside() -> None:
    run = batching("trigger: {count: 2}")
    run.poison = {1: Conviction(reason="signal 9", attempts=3)}
    run.feed({"n": 0}, {"n": 1}, {"n": 2})
    assert run.rows["out"] == [{"of": [0, 2]}]
    assert run.ends[token(1)] == ("quarantined", "errors")


def test_ten_thousand_waiting_rows_are_a_small_reference() -> None:
    run = batching("trigger: {count: 20000}")
    for start in range(0, 10_000, 5000):
        run.feed(*({"n": n} for n in range(start, start + 5000)))
    state = json.loads(json.dumps(run.state()))
    assert state["1"]["b"]["count"] == 10_000
    assert len(json.dumps(state)) < 500
    run.restore(state)
    run.end()
    assert run.rows["out"] == [{"of": list(range(10_000))}]


def test_memory_that_runs_out_is_no_batchs_failure() -> None:
    def greedy(rows: list[Row], ctx: Context) -> list[Row]:
        raise MemoryError

    run = batching("trigger: {count: 2}", greedy)
    with pytest.raises(MemoryError):
        run.feed({"n": 0}, {"n": 1})


def test_a_plugin_that_keeps_its_rows_and_changes_them_later_changes_nothing() -> None:
    total: dict[str, Any] = {"sum": 0, "of": []}
    kept: list[Row] = []

    def summing(rows: list[Row], ctx: Context) -> list[Row]:
        for row in kept:
            row["n"] = "spoiled"
        kept.extend(rows)
        for row in rows:
            total["sum"] += row["n"]
            total["of"].append(row["n"])
            row["n"] = -1
        return [total]

    run = batching("trigger: {count: 2}", summing)
    run.feed({"n": 0}, {"n": 1}, {"n": 2}, {"n": 3})
    assert run.rows["out"] == [{"sum": 1, "of": [0, 1]}, {"sum": 6, "of": [0, 1, 2, 3]}]


def test_members_of_a_batch_that_fails_go_where_errors_go_as_they_came() -> None:
    def spoiling(rows: list[Row], ctx: Context) -> list[Row]:
        for row in rows:
            row["n"] = "spoiled"
        raise RowError("asked for")

    run = batching("trigger: {count: 2}", spoiling)
    run.feed({"n": 0}, {"n": 1})
    assert run.rows["errors"] == [{"n": n, "_error": "asked for", "_node": "b"} for n in (0, 1)]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("rows", "process() returned str, not a list of rows"),
        ([1], "process() returned a list with int in it, not rows"),
        ([Made([], of=[0])], "process() returned a list with Made in it, not rows"),  # type: ignore[arg-type]
        ([Unfit(0, RowError("odd")), Made({"x": 1}, of=[0])], "a row was made of [0], and refuses one of these"),
        ([Unfit(0, RowError("odd")), Unfit(0, RowError("odd"))], "process() refuses row 0; the batch has rows 0 to 1"),
        ([Made({"x": 1}, of=[0, 5])], "a row was made of [0, 5]; the batch has rows 0 to 1"),
        ([Made({"x": 1}, of=[1, 1])], "a row was made of [1, 1]; each is named once, and at least one is"),
    ],
)
def test_an_answer_that_is_no_list_of_rows_fails_the_batch_in_words(answer: Any, says: str) -> None:
    run = batching("trigger: {count: 2}", lambda rows, ctx: answer)
    run.feed({"n": 0}, {"n": 1})
    assert closed(run) == [("count", "failed")]
    assert says in json.loads(run.records("transform_errors")[0]["error_json"])["reason"]
    assert run.rows["out"] == []


@pytest.mark.parametrize("n", [1, 2])
def test_as_many_rows_as_expected_are_taken(n: int) -> None:
    run = batching(f"trigger: {{count: 2}}, expected_output_count: {n}", lambda rows, ctx: [{"x": 1}] * n)
    run.feed({"n": 0}, {"n": 1})
    assert run.rows["out"] == [{"x": 1}] * n


def test_what_stays_transient_fails_the_batch_after_as_many_tries_as_are_granted() -> None:
    tries: list[int] = []

    def busy(rows: list[Row], ctx: Context) -> list[Row]:
        tries.append(ctx.attempt)
        raise TransientError("busy")

    run = batching("trigger: {count: 1}", busy)
    run.feed({"n": 0})
    assert tries == [1, 2, 3]
    assert [(r["attempt"], r["status"]) for r in run.records("node_states") if r["node_id"] == "b"] == [
        (1, "failed"), (2, "failed"), (3, "failed"),
    ]  # fmt: skip
    assert closed(run) == [("count", "failed")]


def test_a_plugin_that_counts_its_batches_is_told_which_one_it_has_also_after_a_restart() -> None:
    facts: list[tuple[int, int, str]] = []

    def counting(rows: list[Row], ctx: Context) -> list[Row]:
        facts.append((ctx.batch.number, ctx.batch.rows_before, ctx.batch.trigger))
        return []

    run = batching("trigger: {count: 2}", counting)
    run.plugins["b"].counts_batches = True  # type: ignore[attr-defined]
    run.feed({"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, {"n": 4})
    state = json.loads(json.dumps(run.state()))
    assert (state["1"]["b"]["closed"], state["1"]["b"]["taken"]) == (2, 4)
    run.restore(state)
    run.end()
    assert facts == [(1, 0, "count"), (2, 2, "count"), (3, 4, "end_of_source")]
    run.restore({})
    run.feed({"n": 5}, {"n": 6})
    assert facts[-1] == (1, 0, "count")


def test_a_plugin_that_does_not_count_is_told_nothing_and_its_state_says_nothing() -> None:
    run = batching("trigger: {count: 1}")
    run.feed({"n": 0})
    assert run.state() == {"1": {}}


def test_results_of_more_than_four_digits_are_still_in_the_order_of_their_ids() -> None:
    run = batching("trigger: {count: 1}", lambda rows, ctx: [{"n": n} for n in range(10_000)])
    run.feed({"n": 0})
    ids = [token_id for token_id in run.ends if "/" in token_id]
    assert ids == sorted(ids)
    assert (ids[0], len(ids)) == (token(0, "@b/00000"), 10_000)


def test_a_time_out_is_due_so_long_after_the_first_row_and_never_where_none_waits() -> None:
    run = batching("trigger: {timeout_seconds: 10}")
    assert run.stages[1].due is None
    run.active_seconds = 2.5
    run.feed({"n": 0})
    assert run.stages[1].due == 12.5
    run.end()
    assert run.stages[1].due is None


def test_a_stage_says_whether_a_batch_was_closed_in_this_piece_of_work() -> None:
    run = batching("trigger: {count: 2}")
    said = []
    for n in range(4):
        run.feed({"n": n})
        said.append(run.stages[1].flushed)
    assert said == [False, True, False, True]
