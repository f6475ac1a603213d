"""The story of a row in words, and how an attempt ended: each kind of line, from plain values."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit.query.verdict import Reason
from elspeth.calls.totals import CallTotals
from elspeth.cli.view import explain, plan
from elspeth.cli.view.result import Result
from elspeth.errors import ElspethError, Interrupted, TakenOver, Temporary
from elspeth.settings.model import Checkpoint

READ: dict[str, Any] = {
    "file": "in.csv", "line": 2, "source": "source", "at": "T", "values": {"a": "x", "bc": 1}, "kept": "inline",
    "hash": "0a",
}  # fmt: skip
LIFE: dict[str, Any] = {
    "token": "t", "how": "row", "parents": [], "passages": [], "batches": [], "becomes": [],
    "end": {"outcome": "completed", "sink": "out", "file": "out.csv", "sink_row": 1234, "error": None},
}  # fmt: skip
ROW: dict[str, Any] = {
    "row": 7, "run_id": "mf3k2a9x", "run_status": "completed", "read": READ, "refused": None, "driven_by": [],
    "purged": None, "deaths": [], "tokens": LIFE, "token": None, "complete": True,
}  # fmt: skip
ENDED = "Ended: completed, as row 1,234 that this run wrote to out.csv (sink out)"


def lines(**more: Any) -> list[str]:
    return explain.render(ROW | more).splitlines()


def life(**more: Any) -> list[str]:
    return explain._life(LIFE | more, None, full=False)


def test_the_story_of_a_row_that_went_straight_through() -> None:
    assert lines() == [
        "Row 7 of run mf3k2a9x (completed)", "", "Read from in.csv, line 2, by source, at T", "  a   x", "  bc  1",
        "  SHA-256 0a", "", ENDED,
    ]  # fmt: skip
    assert lines(complete=False)[-2:] == [
        "",
        "It became more tokens than are told here: name one of them with --token.",
    ]


@pytest.mark.parametrize(
    ("read", "first"),
    [
        ({"file": "-"}, "Read from standard input, line 2, by source, at T"),
        ({"file": None, "line": None}, "Read from no file, by source, at T"),
        ({"line": 0}, "Read from in.csv, line 0, by source, at T"),
    ],
)
def test_where_a_row_was_read(read: dict[str, Any], first: str) -> None:
    assert lines(read=READ | read)[2] == first


def test_values_that_are_not_kept_or_are_no_fields_are_said() -> None:
    assert lines(read=READ | {"values": None, "kept": "no longer kept"})[3] == "  values: no longer kept"
    assert lines(read=READ | {"values": [1, "ä"]})[3] == '  [1, "ä"]'
    long = "n" * 31
    assert explain._values({long: 1, "b": ""}, "")[1] == "  b" + " " * 29 + '  ""'


@pytest.mark.parametrize(
    ("value", "text"), [("x y", "x y"), ("", '""'), (" x", '" x"'), ("a\nb", '"a\\nb"'), (None, "null"), (True, "true"),
                        ("3", "3"), (3, "3"), ({"a": "é"}, '{"a": "é"}')]
)  # fmt: skip
def test_a_value_is_shown_as_it_is_where_that_can_be_read(value: Any, text: str) -> None:
    assert explain._plain(value) == text


def test_a_row_that_was_refused_is_shown_as_it_stood_there() -> None:
    refused = {"source": "source", "error": "bad", "destination": "errors", "raw": "x y"}
    assert lines(refused=refused)[6:8] == ["Refused by source: bad; it went to errors", "  as it stood there: x y"]
    gone = lines(refused=refused | {"destination": None, "raw": None})
    assert gone[6:8] == ["Refused by source: bad", "  as it stood there: no longer kept"]


def test_who_decided_is_told_where_it_is_on_record() -> None:
    known = {"attempt": 2, "elspeth": "0.1.0", "code_hash": "0123456789abcdef", "implementation": "CPython",
             "python": "3.11.7", "platform": "linux"}  # fmt: skip
    assert explain._driver(known) == "Decided in attempt 2, by Elspeth 0.1.0 (code 0123456789ab), CPython 3.11.7, linux"
    assert explain._driver(known | {"python": None}) == "Decided in attempt 2, by what is not on record"


@pytest.mark.parametrize(
    ("reason", "refused", "more"),
    [("too old", None, [": too old"]), (None, {"source": "s", "error": "e", "destination": None, "raw": None},
                                        ["", "Why the source refused it stays: the chain covers that sentence."])],
)  # fmt: skip
def test_a_purge_is_told_with_who_and_why(reason: str | None, refused: Any, more: list[str]) -> None:
    found = lines(purged={"reason": reason, "at": "T2", "user": "ada"}, refused=refused)
    said = f"Row data of this run was purged at T2 by ada{more[0]}; it is no longer kept."
    at = found.index(said)
    assert found[at + 1 : at + len(more)] == more[1:]
    assert found[at + len(more)] == ""


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ({"event": "suspect", "deaths": 0, "reason": "SIGSEGV", "signal": "SIGSEGV", "detail": 3},
         "suspected of having killed the process that touched it: signal SIGSEGV"),
        ({"event": "suspect", "deaths": 2, "reason": "hung"},
         "suspected of having killed the process that touched it, after 2 deaths alone: reason hung"),
        ({"event": "in_hand", "row_index": None}, "it was the one in hand when the whole attempt died"),
        ({"event": "quarantined", "detail": "step t", "exit_code": 7},
         "set aside: it killed the process that touched it, alone, time and again: detail step t, exit_code 7"),
    ],
)  # fmt: skip
def test_a_death_that_a_row_is_blamed_for(death: dict[str, Any], words: str) -> None:
    assert explain._death({"at": "T", "attempt": 1, "token": "t", **death}) == f"T (attempt 1) {words}"
    assert lines(deaths=[{"at": "T", "attempt": 1, **death}])[7:9] == [
        "Blamed for deaths:", f"  T (attempt 1) {words}",
    ]  # fmt: skip


VISIT: dict[str, Any] = {
    "node": "t", "kind": "transform", "plugin": "upper", "status": "completed", "returned_hash": "0b", "routes": [],
    "changed": True, "changes": None, "given": {"a": 1}, "given_kept": "kept", "returned": {"a": 2},
    "returned_kept": "kept", "calls": [], "error": None, "destination": None,
}  # fmt: skip


def visit(**more: Any) -> list[str]:
    return explain._visit(VISIT | more, 3, LIFE, full=bool(more.get("full")))


def test_a_visit_says_what_a_step_made_of_a_row() -> None:
    assert visit() == ["3. t (upper)", "   returned", "     a  2"]
    assert visit(given=None)[1] == "   given kept"
    assert visit(changed=False)[1:] == ["   returned it unchanged"]
    assert visit(**{"try": 1})[0] == "3. t (upper)"
    assert visit(**{"try": 2})[0] == "3. t (upper, try 2)"
    assert visit(kind="aggregation")[0] == "3. t (aggregation)"
    assert visit(kind=None, plugin="p")[0] == "3. t (p)"
    changes = [
        {"field": "a", "change": "added", "after": 1}, {"field": "b.c", "change": "removed", "before": "x"},
        {"field": "d", "change": "changed", "before": 1, "after": 2},
    ]  # fmt: skip
    given = {"b": {"c": "x"}, "d": 1, "e": 5}
    assert visit(changes=changes, given=given)[1:] == [
        "     (1 field unchanged)", "   + a: 1", "   - b.c: x", "   ~ d: 1 -> 2",
    ]  # fmt: skip
    assert visit(changes=changes, given=given, full=True)[1] == "     e: 5"
    assert visit(changes=changes, given={"b": 1, "d": 2})[1] == "   + a: 1"


def test_a_visit_that_returned_several_rows_or_failed() -> None:
    many = explain._visit(VISIT | {"returned_hash": None}, 1, LIFE | {"becomes": [1, 2], "left_out": 3}, full=False)
    assert many[1] == "   returned 5 rows: see below"
    failed = {"returned_hash": None, "status": "failed", "error": {"reason": "no", "node": "t", "age": 3}}
    assert visit(**failed) == ["3. t (upper)", '   given {"a": 1}', "   failed: no (age 3)", "   and was tried again"]
    assert visit(**failed, refused_to="errors")[-1] == "   so it went to errors"
    assert visit(**failed, refused_to=None)[-1] == "   failed: no (age 3)"
    assert visit(**failed | {"given": None})[1] == "   given kept"
    refused = {"status": "refused", "error": None, "destination": "errors"}
    assert visit(**refused) == ["3. t (upper)", "   refused it: no longer kept", "   so it went to errors"]


def test_a_row_that_a_step_let_go_aside_says_why() -> None:
    routes = [{"to": "twice", "label": "duplicate", "reason": {"reason": "came before"}}, {"to": "x", "label": "y"}]
    assert visit(routes=routes)[1:] == [
        "   let it go as it was: came before, so it went to twice (duplicate)",
        "   let it go as it was: the reason is no longer kept, so it went to x (y)",
    ]


GATE: dict[str, Any] = {"condition": "a > 1", "values": {"a": 2}, "answer": True, "answer_kept": True}


@pytest.mark.parametrize(
    ("gate", "asked"),
    [({}, "asked a > 1, with a = 2"), ({"values": None}, "asked a > 1, its values are kept"),
     ({"values": {}}, "asked a > 1, which reads no field that the row has")],
)  # fmt: skip
def test_a_gate_is_told_with_what_it_saw_and_answered(gate: dict[str, Any], asked: str) -> None:
    routes = [{"to": "a", "label": "true"}, {"to": "b", "label": "true"}]
    assert visit(kind="gate", gate=GATE | gate, routes=routes) == [
        "3. t (gate)", f"   {asked}", "   answer: true, so it went to a (true), b (true)",
    ]  # fmt: skip
    assert visit(gate=GATE | {"answer_kept": False}, routes=routes)[-1].startswith("   answer: no longer kept, so")
    assert len(visit(gate=GATE, routes=[])) == 2


CALL: dict[str, Any] = {"type": "llm", "at": "T", "status": "answered", "latency_ms": 1234.0, "request": {"q": 1},
                        "request_hash": "0a", "response": None, "response_hash": "0b"}  # fmt: skip


def test_a_call_is_told_with_what_was_asked_answered_and_paid() -> None:
    assert list(explain._call(CALL)) == [
        "called (llm) at T: answered, 1234 ms", '  asked {"q": 1}', "  answered (not kept; SHA-256 0b)",
    ]  # fmt: skip
    facts = {"provider": "main", "try": 2, "text": "yes", "body": "raw", "headers": {}, "cost": "0.01", "model": "m",
             "finish_reason": "stop", "usage": {"input_tokens": 1200, "output_tokens": 3}}  # fmt: skip
    assert list(explain._call(CALL | {"latency_ms": None, "request": None, "response": facts})) == [
        "called main (llm) at T: answered, try 2", "  asked (not kept; SHA-256 0a)", '  answered {"text": "yes"}',
        "  m, stop, 1,200 tokens in, 3 out, cost 0.01",
    ]  # fmt: skip
    plain = {"provider": "main", "body": "raw", "cost": "0"}
    assert list(explain._call(CALL | {"response": plain}))[2:] == ['  answered {"body": "raw"}']


BATCH: dict[str, Any] = {
    "batch": "t@b", "node": "b", "size": 2000, "size_is_more": False, "place": 3, "opened_at": "T",
    "status": "completed", "trigger": "count", "closed_at": "T2", "gave": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({}, ["Waited in batch t@b of b, as number 3 of 2,000, from T on",
              "  ended at T2 because it was full: completed"]),
        ({"status": "open"}, ["Waits in batch t@b of b still, as number 3 of 2,000"]),
        ({"size_is_more": True, "place": None},
         ["Waited in batch t@b of b, as one of more than 2,000, from T on",
          "  ended at T2 because it was full: completed"]),
        ({"batch": "t+m", "node": "m", "trigger": "quorum", "size": 2},
         ["Waited for its other branches at m, as number 3 of 2, from T on",
          "  ended at T2 because enough had come: completed"]),
        ({"trigger": "odd", "gave_more": 1200},
         ["Waited in batch t@b of b, as number 3 of 2,000, from T on", "  ended at T2 because odd: completed",
          "  and 1,200 more rows of the batch, not told here"]),
    ],
)  # fmt: skip
def test_a_batch_is_told_with_how_long_it_waited_and_why_it_ended(batch: dict[str, Any], words: list[str]) -> None:
    assert explain._batch(BATCH | batch, None, full=False) == words


def child(token: str, how: str, **more: Any) -> dict[str, Any]:
    return LIFE | {"token": token, "how": how} | more


@pytest.mark.parametrize(
    ("born", "words"),
    [
        (child("t.a", "fork"), "branch a:"), (child("t+m", "merge", parents=["x", "y"]), "merged from x, y:"),
        (child("t+m", "merge"), "merged from its branches:"),
        (child("t@b/0000", "batch", parents=["t@b"]), "made of the batch as a whole:"),
        (child("t@b/0000", "batch"), "made of the batch as a whole:"),
        (child("t@b/0000", "batch", parents=["x", "y", "z"]), "made of x, y, z:"),
        (child("t@b/0000", "batch", parents=["x", "y", "z", "q"]), "made of x, y, z and more:"),
        (child("t/0004", "expand"), "row 5 of those it was expanded to:"),
    ],
)  # fmt: skip
def test_how_a_token_came_into_being(born: dict[str, Any], words: str) -> None:
    assert explain._born(born) == words


def test_what_a_token_became_stands_below_it() -> None:
    children = [child("t.a", "fork"), child("t.b", "fork")]
    end = {"outcome": "forked", "sink": None, "error": None}
    assert explain._life(LIFE | {"becomes": children, "end": end}, "t.b", full=False) == [
        "Ended: forked into 2 branches", "├─ branch a: t.a", f"│  {ENDED}",
        "└─ branch b: t.b (the token asked for)", f"   {ENDED}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("end", "more", "words"),
    [
        (None, {}, ["Has not ended yet."]),
        ({"outcome": "completed", "sink": "out", "file": None, "sink_row": 2, "error": None}, {},
         ["Ended: completed, as row 2 that this run wrote to sink out (sink out)"]),
        ({"outcome": "failed", "sink": None, "error": "x"}, {}, ["Ended: failed", "  because: x"]),
        ({"outcome": "failed", "sink": None, "error": {}}, {}, ["Ended: failed", "  because: no reason given"]),
        ({"outcome": "expanded", "sink": None, "error": None}, {"left_out": 4},
         ["Ended: expanded; 4 more tokens came of it, not told here"]),
        ({"outcome": "expanded", "sink": None, "error": None}, {}, ["Ended: expanded to 0 rows"]),
        ({"outcome": "coalesced", "sink": None, "error": None}, {},
         ["Ended: coalesced: merged with its other branches"]),
        ({"outcome": "consumed_in_batch", "sink": None, "error": None}, {},
         ["Ended: consumed_in_batch: what the batch gave stands in its place"]),
    ],
)  # fmt: skip
def test_how_a_token_ended(end: Any, more: dict[str, Any], words: list[str]) -> None:
    assert life(end=end, **more) == words


def test_a_batch_stands_before_the_visit_that_it_waited_for() -> None:
    found = life(passages=[VISIT | {"node": "b"}], batches=[BATCH, BATCH | {"node": "other", "batch": "t@other"}])
    heads = [line.split(",")[0] for line in found if not line.startswith(" ")]
    assert heads == [
        "Waited in batch t@b of b",
        "1. b (upper)",
        "Waited in batch t@other of other",
        ENDED.split(",")[0],
    ]


def result(error: ElspethError | None = None, progress: dict[str, Any] | None = None, **more: Any) -> Result:
    told: dict[str, Any] = {
        "outcomes": {"completed": 5}, "sinks": {"out": 5}, "rows_done": 5, "rows_before": 0, "rows_committed": 4,
        "restarts": 0, "poisoned": 0,
    }  # fmt: skip
    ended: Any = SimpleNamespace(run_id="mf3k2a9x", error=error, progress=SimpleNamespace(**told | (progress or {})))
    return Result(ended, Path("/runs/audit.db"), 2.0, {"out": "out.csv"}, None, **more)


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "completed"), (TakenOver("x"), "taken over"), (Interrupted("x"), "interrupted"),
     (Temporary("x"), "interrupted"), (ElspethError("x"), "failed")],
)  # fmt: skip
def test_the_status_of_an_attempt_follows_what_ended_it(error: ElspethError | None, status: str) -> None:
    found = result(error)
    assert found.status == status
    assert found.to_value()["status"] == status.replace(" ", "_")
    assert found.exit_code == (0 if error is None else error.exit_code)


@pytest.mark.parametrize(
    ("more", "outcomes", "code"),
    [
        ({}, {"failed": 1}, 0), ({"fail_on_rows": True}, {"failed": 1}, 10),
        ({"fail_on_rows": True}, {"completed": 1}, 0),
        ({"fail_on_rows": True}, {"failed": 0}, 0), ({"all_failed": True}, {}, 10),
        ({"all_failed": True, "allow_all_failed": True}, {}, 0), ({"fail_on_rows": True}, {"quarantined": 2}, 10),
    ],
)  # fmt: skip
def test_rows_decide_the_exit_code_only_where_that_is_asked_or_none_went_well(
    more: dict[str, Any], outcomes: dict[str, int], code: int
) -> None:
    assert result(progress={"outcomes": outcomes}, **more).exit_code == code


def test_the_summary_says_what_happened_and_nothing_that_did_not() -> None:
    assert result().summary().splitlines() == [
        "Run mf3k2a9x completed after 2.0 s: 5 rows", "", "  outcome    tokens", "  completed       5", "",
        "  sink  rows  file", "  out      5  out.csv", "", "Audit trail: /runs/audit.db",
    ]  # fmt: skip


def test_the_summary_of_an_attempt_in_which_much_happened() -> None:
    reasons = (Reason("t", "too old", 1200, "mf3k2a9x-000000003"), Reason("t", "no", 2, "x.a"))
    calls = {"main": CallTotals(exchanges=3, answered=2, unknown=1, input_tokens=1000, output_tokens=5,
                                cost=Decimal("0.50"))}  # fmt: skip
    found = result(
        Temporary("the disk is full"),
        {"rows_before": 2, "restarts": 1, "poisoned": 3, "outcomes": {"failed": 1, "discarded": 1200, "buffered": 9}},
        attempt=2, took_over=True, notes=("A note.",), reasons=reasons, explain="elspeth explain --run mf3k2a9x",
        all_failed=True, calls=calls, currency="EUR",
    )  # fmt: skip
    text = found.summary()
    for words in (
        "interrupted after 2.0 s: 5 rows, 2 of them before this attempt; 4 committed",
        "Asked main: 3 calls, 1 of them unknown, 1,005 tokens, 0.50 EUR.",
        "A note.\nThis was attempt 2, taken over from a frozen process.\nChildren were restarted 1 time.\n",
        "Quarantined for killing the process that touched them: 3 rows.",
        "1,201 rows did not go the normal way: 1,200 discarded, 1 failed.",
        "Most often because:\n  1,200 at t: too old, as row 3\n  2 at t: no, as token x.a\n",
        "The story of one:\n  elspeth explain --run mf3k2a9x --row 3\n",
        "Rows came, and none of them went a normal way: exit code 10 (0 with --allow-all-failed).",
    ):
        assert words in text
    assert "buffered" not in text
    assert "--token x.a" in result(reasons=reasons[1:], explain="e").summary()
    assert "This was attempt 2.\n" in result(attempt=2).summary()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"path": None}, "written to"), ({"size": 0}, "created"), ({"size": None}, "created"),
        ({"size": 5}, "appended to (5 bytes stay)"),
        ({"replaces": SimpleNamespace(size=5)}, "overwritten (5 bytes there now)"),
    ],
)  # fmt: skip
def test_what_a_run_would_do_to_an_output(info: dict[str, Any], words: str) -> None:
    found: Any = SimpleNamespace(**{"path": "x", "size": 0, "replaces": None} | info)
    assert plan._effect(found) == words


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [
        ({"enabled": False}, "none: the run could not be resumed"),
        ({"frequency": "every_row"}, "after every row; at the latest every 10,000 rows, "),
        ({"frequency": "every_n", "checkpoint_interval": 50}, "every 50 rows; at the latest every "),
        ({"frequency": "every_n", "checkpoint_interval": 1}, "every 1 row; at the latest every "),
        ({"frequency": "aggregation_only"}, "when a batch is complete; at the latest every "),
    ],
)
def test_when_a_run_would_commit(checkpoint: dict[str, Any], words: str) -> None:
    assert plan._checkpoints(Checkpoint.model_validate(checkpoint)).startswith(words)
