"""Forks and coalesces: branches share nothing, and meet as the policy says, at once or across rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elspeth.execution import waiting_join
from elspeth.plugins.contract import Context, Row, RowError
from elspeth.testing.recorded import Recorded
from tests.kit.pipelines.single_steps import StepsUnderTest, token

AT_ONCE = """
source: {plugin: "null", on_success: rows, on_validation_failure: discard}
gates: [{name: g, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b, c]}]
transforms:
  - {name: ta, plugin: passthrough, input: a, on_success: ra, on_error: discard}
  - {name: tb, plugin: passthrough, input: b, on_success: rb, on_error: discard}
  - {name: tc, plugin: passthrough, input: c, on_success: rc, on_error: discard}
coalesce: [{name: m, branches: {c: rc, a: ra, b: rb}, on_success: out, on_error: errors, %s}]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
"""

HOLDING = """
source: {plugin: "null", on_success: rows, on_validation_failure: discard}
gates: [{name: g, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b]}]
transforms: [{name: ta, plugin: passthrough, input: a, on_success: ra, on_error: discard}]
aggregations:
  - {name: hold, plugin: batch_replicate, input: b, on_success: rb, on_error: discard, trigger: {count: 3},
     output_mode: passthrough, options: {include_copy_index: false}}
coalesce: [{name: m, branches: {a: ra, b: rb}, on_success: out, on_error: errors, %s}]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
"""


def says(name: str) -> Any:
    """A branch that says its name, and refuses rows that ask for it."""

    def process(row: Row, ctx: Context) -> Row:
        if name in row.get("refuse", ""):
            raise RowError("asked for")
        return {**row, "by": name, name: row["n"]}

    return process


def at_once(options: str, refuse: str = "") -> StepsUnderTest:
    run = StepsUnderTest(AT_ONCE % options, ta=says("a"), tb=says("b"), tc=says("c"))
    run.feed({"n": 1, "refuse": refuse})
    return run


def test_branches_share_nothing_that_can_change() -> None:
    def spoils(row: Row, ctx: Context) -> Row:
        row["deep"]["list"].append("spoiled")
        return row

    run = StepsUnderTest(AT_ONCE % "policy: require_all, merge: nested", ta=spoils)
    run.feed({"deep": {"list": []}})
    [row] = run.rows["out"]
    assert row["a"]["deep"]["list"] == ["spoiled"]
    assert row["b"] == row["c"] == {"deep": {"list": []}}
    row["b"]["deep"]["list"].append("later")
    assert row["c"] == {"deep": {"list": []}}


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ("merge: union", {"n": 1, "refuse": "", "by": "b", "c": 1, "a": 1, "b": 1}),
        (
            "merge: union, union_collision_policy: first_wins",
            {"n": 1, "refuse": "", "by": "c", "c": 1, "a": 1, "b": 1},
        ),
        ("merge: nested", {name: {"n": 1, "refuse": "", "by": name, name: 1} for name in "cab"}),
        ("merge: select, select_branch: a", {"n": 1, "refuse": "", "by": "a", "a": 1}),
    ],
)
def test_what_the_branches_become(options: str, row: Row) -> None:
    run = at_once(options)
    assert json.dumps(run.rows["out"]) == json.dumps([row])
    assert run.ends == {
        token(0): ("forked", None),
        **{token(0, f".{name}"): ("coalesced", None) for name in "abc"},
        token(0, "+m"): ("completed", "out"),
    }
    parents = [r for r in run.records("token_parents") if r["token_id"] == token(0, "+m")]
    in_order = [r["parent_token_id"] for r in sorted(parents, key=lambda parent: parent["ordinal"])]
    assert in_order == [token(0, f".{name}") for name in "cab"]


def test_branches_that_disagree_fail_if_they_must_not() -> None:
    run = at_once("merge: union, union_collision_policy: fail")
    assert [run.ends[token(0, f".{name}")] for name in "abc"] == [("quarantined", "errors")] * 3
    assert "disagree about the field 'by'" in run.records("transform_errors")[0]["error_json"]


@pytest.mark.parametrize(
    ("policy", "refused", "merged", "others"),
    [
        ("policy: require_all", "", "abc", {}),
        ("policy: require_all", "b", "", {"a": ("quarantined", "errors"), "c": ("quarantined", "errors")}),
        ("policy: quorum, quorum_count: 2", "", "ab", {"c": ("discarded", None)}),
        ("policy: quorum, quorum_count: 2", "a", "bc", {}),
        ("policy: quorum, quorum_count: 2", "ab", "", {"c": ("quarantined", "errors")}),
        ("policy: best_effort, timeout_seconds: 1", "b", "ac", {}),
        ("policy: best_effort, timeout_seconds: 1", "abc", "", {}),
        ("policy: first", "", "a", {"b": ("discarded", None), "c": ("discarded", None)}),
        ("policy: first", "a", "b", {"c": ("discarded", None)}),
    ],
)
def test_who_takes_part_and_what_becomes_of_the_others(policy: str, refused: str, merged: str, others: Any) -> None:
    run = at_once(policy, refused)
    assert {name for name in "abc" if run.ends[token(0, f".{name}")] == ("coalesced", None)} == set(merged)
    assert {name: run.ends[token(0, f".{name}")] for name in others} == others
    assert len(run.rows["out"]) == (1 if merged else 0)


def test_a_selected_branch_that_is_not_there_fails_the_others() -> None:
    run = at_once("policy: best_effort, timeout_seconds: 1, merge: select, select_branch: a", "a")
    assert [run.ends[token(0, f".{name}")] for name in "bc"] == [("quarantined", "errors")] * 2


def test_a_late_branch_says_so_on_its_token() -> None:
    run = at_once("policy: first")
    [record] = [r for r in run.records("token_outcomes") if r["token_id"] == token(0, ".c")]
    assert json.loads(record["error_json"])["reason"] == "late: the branches have met"
    [state] = [r for r in run.records("node_states") if (r["token_id"], r["node_id"]) == (token(0, ".c"), "m")]
    assert state["status"] == "failed"


# -- across rows


def holding(options: str, archive: Recorded | None = None) -> StepsUnderTest:
    return StepsUnderTest(HOLDING % options, archive, ta=says("a"))


def test_a_branch_waits_for_rows_to_come() -> None:
    run = holding("policy: require_all")
    run.feed({"n": 0}, {"n": 1})
    assert run.rows["out"] == []
    run.feed({"n": 2})
    assert [row["n"] for row in run.rows["out"]] == [0, 1, 2]
    assert {(r["batch_id"], r["trigger_type"], r["status"]) for r in run.records("batches")} >= {
        (token(n, "+m"), "require_all", "completed") for n in range(3)
    }


def test_the_end_of_the_input_decides_what_still_waits() -> None:
    run = holding("policy: require_all")
    run.feed({"n": 0, "refuse": "a"}, {"n": 1}, {"n": 2})
    assert [row["n"] for row in run.rows["out"]] == [1, 2]
    assert token(0, ".b") not in run.ends
    run.end()
    assert run.ends[token(0, ".b")] == ("quarantined", "errors")


def test_best_effort_merges_what_is_there_when_its_time_is_up_and_not_before() -> None:
    run = holding("policy: best_effort, timeout_seconds: 10")
    run.active_seconds = 5.0
    run.feed({"n": 0})
    run.active_seconds = 14.9
    run.feed()
    assert run.rows["out"] == []
    assert run.stages[1].due == 15.0
    run.active_seconds = 15.0
    run.feed()
    assert [row["n"] for row in run.rows["out"]] == [0]
    assert [r["trigger_type"] for r in run.records("batches")] == ["timeout"]
    run.end()
    assert run.ends[token(0, ".b")] == ("discarded", None)


@pytest.mark.parametrize("policy", ["require_all", "first", "best_effort, timeout_seconds: 10"])
def test_a_restored_stage_goes_on_as_if_nothing_had_happened(policy: str) -> None:
    undisturbed, run = holding(f"policy: {policy}"), holding(f"policy: {policy}")
    rows = [{"n": n, "refuse": "a" if n == 2 else ""} for n in range(7)]
    for n, row in enumerate(rows):
        undisturbed.active_seconds = run.active_seconds = float(n)
        undisturbed.feed(row)
        run.feed(row)
        state = json.loads(json.dumps(run.state()))
        again = holding(f"policy: {policy}", run.archive)
        again.rows, again.ends, again._read = run.rows, run.ends, run._read
        again.restore(state)
        run = again
    undisturbed.end()
    run.end()
    assert json.dumps(run.rows) == json.dumps(undisturbed.rows)
    assert run.ends == undisturbed.ends


def test_the_reference_stays_small_however_many_branches_wait() -> None:
    run = StepsUnderTest((HOLDING % "policy: require_all").replace("count: 3", "count: 100000"))
    for _ in range(3):
        run.feed(*({"n": n} for n in range(1000)))
    assert run.state()["1"]["m"]["waiting"] == 3000
    assert len(json.dumps(run.state())) < 1000


def test_branches_that_never_come_are_not_kept_in_mind_and_late_ones_still_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_join, "REMEMBERED", 10)
    run = StepsUnderTest((HOLDING % "policy: first").replace("count: 3", "count: 1000"))
    for n in range(100):
        run.feed({"n": n})
        run.state()
    [step] = [step for step in run.stages[1]._holders if step.node.id == "m"]
    assert len(step._decided) <= 11
    run.end()
    assert [run.ends[token(n, ".b")] for n in range(100)] == [("discarded", None)] * 100
    assert len(run.rows["out"]) == 100


class Committing(Recorded):
    """An archive that knows what is committed, and no more: state is asked for before its commit."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str] = set()

    def commit(self) -> None:
        self.closed = {record[0] for record in self.records["batches"]}

    def decided(self, batch_id: str) -> bool:
        return batch_id in self.closed


def test_what_is_decided_and_not_committed_yet_is_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_join, "REMEMBERED", 10)
    archive = Committing()
    run = StepsUnderTest((HOLDING % "policy: first").replace("count: 3", "count: 50"), archive)
    for n in range(49):
        run.feed({"n": n})
        run.state()  # the flush, behind which no commit happens
    run.feed({"n": 49})  # and now all second branches come, late
    assert len(run.rows["out"]) == 50
    assert [run.ends[token(n, ".b")] for n in range(50)] == [("discarded", None)] * 50


def test_more_decided_joins_than_are_kept_in_mind_are_each_decided_once() -> None:
    count = waiting_join.REMEMBERED + 200
    archive = Committing()
    run = StepsUnderTest((HOLDING % "policy: first").replace("count: 3", f"count: {count}"), archive)
    for start in range(0, count - 100, 100):
        run.feed(*({"n": n} for n in range(start, start + 100)))
        archive.commit()
        run.state()
    [step] = [step for step in run.stages[1]._holders if step.node.id == "m"]
    assert len(step._decided) <= waiting_join.REMEMBERED
    run.feed(*({"n": n} for n in range(count - 100, count)))
    assert len(run.rows["out"]) == count
    assert {run.ends[token(n, ".b")] for n in range(count)} == {("discarded", None)}


OUT_OF_ORDER = HOLDING.replace("on_success: rb, on_error: discard, trigger", "on_success: hb, trigger").replace(
    "transforms: [", "transforms: [{name: tb, plugin: passthrough, input: hb, on_success: rb, on_error: discard}, "
)
"""Row 0 reaches the join behind rows 1 and 2: its first branch is refused, and the second is held back for them."""


def out_of_order(archive: Recorded | None = None) -> StepsUnderTest:
    options = "policy: best_effort, timeout_seconds: 10"
    return StepsUnderTest(OUT_OF_ORDER % options, archive, ta=says("a"), tb=says("b"))


def test_joins_that_opened_in_another_order_than_that_of_their_ids_keep_it_through_a_restart() -> None:
    rows = [{"n": n, "refuse": {0: "a", 1: "b", 2: "b"}.get(n % 3, "")} for n in range(6)]
    undisturbed, run = out_of_order(), out_of_order()
    for n, row in enumerate(rows):
        undisturbed.active_seconds = run.active_seconds = float(n)
        undisturbed.feed(row)
        run.feed(row)
        state = json.loads(json.dumps(run.state()))
        again = out_of_order(run.archive)
        again.rows, again.ends, again._read = run.rows, run.ends, run._read
        again.restore(state)
        run = again
        assert run.stages[1].due == undisturbed.stages[1].due
    for now in (10.0, 11.0, 12.5, 99.0):  # rows 1 and 2 of each three are due before row 0
        undisturbed.active_seconds = run.active_seconds = now
        undisturbed.feed()
        run.feed()
        assert json.dumps(run.rows) == json.dumps(undisturbed.rows)
    assert [row["n"] for row in run.rows["out"]] == [1, 2, 0, 4, 5, 3]


# -- forks within forks

NESTED = """
source: {plugin: "null", on_success: rows, on_validation_failure: discard}
gates:
  - {name: outer, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b]}
  - {name: inner, input: a, condition: "True", routes: {"true": fork}, fork_to: [c, d]}
transforms:
  - {name: tb, plugin: passthrough, input: b, on_success: rb, on_error: discard}
  - {name: tc, plugin: passthrough, input: c, on_success: %s, on_error: discard}
  - {name: td, plugin: passthrough, input: d, on_success: %s, on_error: discard}
%s
coalesce: [%s]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
"""
BOTH = (
    "{name: m1, branches: {c: rc, d: rd}, policy: require_all, merge: nested, on_success: ra, on_error: errors}, "
    "{name: m2, branches: {a: ra, b: %s}, policy: require_all, merge: nested, on_success: out, on_error: errors}"
)


def test_a_fork_within_a_branch_meets_inside_and_then_outside() -> None:
    run = StepsUnderTest(NESTED % ("rc", "rd", "", BOTH % "rb"), tb=says("b"), tc=says("c"), td=says("d"))
    run.feed({"n": 1})
    row = {"n": 1}
    assert run.rows["out"] == [
        {"a": {"c": {**row, "by": "c", "c": 1}, "d": {**row, "by": "d", "d": 1}}, "b": {**row, "by": "b", "b": 1}}
    ]
    assert run.ends == {
        token(0): ("forked", None), token(0, ".a"): ("forked", None), token(0, ".b"): ("coalesced", None),
        token(0, ".a.c"): ("coalesced", None), token(0, ".a.d"): ("coalesced", None),
        token(0, ".a+m1"): ("coalesced", None), token(0, "+m2"): ("completed", "out"),
    }  # fmt: skip
    branches = {r["token_id"]: r["branch_name"] for r in run.records("tokens")}
    assert branches == {
        token(0): None, token(0, ".a"): "a", token(0, ".b"): "b", token(0, ".a.c"): "c", token(0, ".a.d"): "d",
        token(0, ".a+m1"): "a", token(0, "+m2"): None,
    }  # fmt: skip


def test_a_fork_within_a_branch_meets_outside_although_the_other_branch_waits_for_rows() -> None:
    hold = (
        "aggregations: [{name: hold, plugin: batch_replicate, input: rb, on_success: hb, on_error: discard, "
        "trigger: {count: 2}, output_mode: passthrough, options: {include_copy_index: false}}]"
    )
    settings = NESTED % ("rc", "rd", hold, BOTH % "hb")
    undisturbed = StepsUnderTest(settings, tc=says("c"), td=says("d"))
    run = StepsUnderTest(settings, tc=says("c"), td=says("d"))
    for n in range(4):
        undisturbed.feed({"n": n})
        run.feed({"n": n})
        again = StepsUnderTest(settings, run.archive, tc=says("c"), td=says("d"))
        again.rows, again.ends, again._read = run.rows, run.ends, run._read
        again.restore(json.loads(json.dumps(run.state())))
        run = again
    assert [sorted(row) for row in run.rows["out"]] == [["a", "b"]] * 4
    assert [row["b"]["n"] for row in run.rows["out"]] == [0, 1, 2, 3]
    assert (run.rows, run.ends) == (undisturbed.rows, undisturbed.ends)
