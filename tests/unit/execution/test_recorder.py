"""What a recorder keeps of a piece of work: ids, times, counts, error texts without credentials, items in order."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.coordinator.tally import NodeTally, Numbers, Tally
from elspeth.execution import recorder as recorder_module
from elspeth.execution.codec import BadRow
from elspeth.execution.counts import Counts
from elspeth.execution.recorder import Recorder
from elspeth.execution.token import Token
from elspeth.plugins.contract import RowError
from tests.kit.pipelines.single_steps import StepsUnderTest, token

NUMBERS = Numbers.of(["a", "b"], ["e", "f"])


def a_token(number: int = 0) -> Token:
    return Token(f"mf3k2a9x-{number:09d}", "row", number, {"n": number})


class Store:
    """Payloads that are kept where a row's text is longer than the limit."""

    def __init__(self, inline_limit: int) -> None:
        self.inline_limit = inline_limit
        self.kept: list[bytes] = []

    def put(self, content: bytes) -> str:
        self.kept.append(content)
        return f"sha256:{len(self.kept)}"


def test_visits_failures_and_times_are_counted_by_node_and_ways_by_edge() -> None:
    counts = Counts()
    for microseconds, failed in ((5, False), (9, True), (2, False)):
        counts.visit("a", microseconds, failed=failed)
    counts.visit("b", 7, failed=True)
    counts.leave("e")
    counts.leave("e", 3)
    counts.tokens += 1
    assert counts.tally(NUMBERS) == Tally({0: NodeTally(3, 1, 16, 9), 1: NodeTally(1, 1, 7, 7)}, {0: 4}, 1)
    counts.clear()
    assert counts.tally(NUMBERS) == Tally()


def test_what_two_pieces_of_work_counted_is_added_up_and_the_longest_visit_is_the_longer_one() -> None:
    one, other = Counts(), Counts()
    one.visit("a", 5, failed=True)
    one.leave("e")
    one.tokens = 2
    other.visit("a", 3, failed=True)
    other.visit("b", 8, failed=False)
    other.leave("e", 2)
    other.leave("f")
    other.tokens = 3
    sums = one.tally(NUMBERS) + other.tally(NUMBERS)
    one.absorb(other)
    assert one.tally(NUMBERS) == sums
    assert sums == Tally({0: NodeTally(2, 2, 8, 5), 1: NodeTally(1, 0, 8, 8)}, {0: 3, 1: 1}, 5)


def test_a_state_counts_as_a_visit_and_its_time_is_kept_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000_000_000]
    monkeypatch.setattr(recorder_module.time, "perf_counter_ns", lambda: clock[0])
    recorder = Recorder()
    clock[0] += 2_500_000
    recorder.state(a_token(), "a", "failed", "0a", None, recorder.now, error="no")
    clock[0] += 500_000
    recorder.state(a_token(), "a", "completed", "0a", "0b", recorder.now, data={"n": 1}, attempt=2)
    assert recorder.counts.tally(NUMBERS).nodes == {0: NodeTally(2, 1, 3000, 2500)}
    failed, completed = recorder.records["node_states"]
    assert (failed[0], failed[4:11], failed[13]) == (
        "mf3k2a9x-000000000:0", (1, "failed", "0a", None, None, None, "no"), 2.5
    )  # fmt: skip
    assert (completed[0], completed[4:11], completed[13]) == (
        "mf3k2a9x-000000000:0.2", (2, "completed", "0a", "0b", '{"n":1}', None, None), 0.5
    )  # fmt: skip


@pytest.mark.parametrize(("gone", "anew"), [(999_999, False), (1_000_000, True)])
def test_a_time_stamp_is_made_anew_with_each_millisecond(
    gone: int, anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stamps = [5_000_000], iter(("first", "second"))
    monkeypatch.setattr(recorder_module.time, "perf_counter_ns", lambda: clock[0])
    monkeypatch.setattr(recorder_module, "utc_now", lambda: next(stamps))
    recorder = Recorder()
    assert recorder.now == "first"
    clock[0] += gone
    assert recorder.lap() == gone // 1000
    assert recorder.now == ("second" if anew else "first")


@pytest.mark.parametrize(("limit", "inline"), [(7, True), (6, False), (None, True)])
def test_a_row_is_kept_inline_up_to_the_limit(limit: int | None, inline: bool) -> None:
    store = None if limit is None else Store(limit)
    text, reference = Recorder(store).keep({"n": 1})  # type: ignore[arg-type]
    assert (text, reference) == (('{"n":1}', None) if inline else (None, "sha256:1"))
    assert (store.kept if store else []) == ([] if inline else [b'{"n":1}'])


def test_credentials_are_taken_out_of_every_error_text_that_is_recorded_or_sent() -> None:
    for last in (True, False):
        recorder = Recorder(last=last, conceal=lambda text: text.replace("hunter2", "***"))
        row = a_token()
        state = recorder.state(row, "a", "failed", "0a", None, recorder.now, error="hunter2 refused")
        recorder.error(row, "a", "hunter2 refused", "errors", state)
        recorder.outcome(row, "failed", error="hunter2 refused")
        recorder.to_sink("errors", row, "quarantined", "hunter2 refused")
        texts = [recorder.records["node_states"][0][10], recorder.records["transform_errors"][0][3],
                 recorder.records["token_outcomes"][0][7]]  # fmt: skip
        texts += recorder.sinks["errors"].errors if last else [item.error for item in recorder.items]
        assert texts == ["*** refused"] * 4


def test_a_text_that_is_not_there_is_not_asked_to_be_concealed() -> None:
    def conceal(text: str) -> str:
        raise AssertionError(f"there is nothing in {text!r}")

    recorder = Recorder(conceal=conceal)
    recorder.state(a_token(), "a", "completed", "0a", "0a", recorder.now)
    recorder.outcome(a_token(), "discarded")
    recorder.to_sink("out", a_token(), "completed")
    assert recorder.sinks["out"].errors == [None]


def test_the_error_of_a_node_is_named_after_the_state_and_says_where_the_row_went() -> None:
    recorder = Recorder()
    recorder.error(a_token(), "a", "no", "errors", "state")
    assert recorder.records["transform_errors"] == [
        ("state!", "mf3k2a9x-000000000", "a", "no", "errors", recorder.now)
    ]  # fmt: skip


def test_an_edge_that_was_taken_is_counted_and_the_second_way_of_one_state_has_a_number() -> None:
    recorder = Recorder()
    recorder.route("state", "e", "move", None)
    recorder.route("state", "f", "copy", "why", 1)
    assert [record[:5] for record in recorder.records["routing_events"]] == [
        ("state", "state", "e", "move", None), ("state/1", "state", "f", "copy", "why"),
    ]  # fmt: skip
    assert recorder.counts.edges == {"e": 1, "f": 1}


def filled(*sinks: str) -> Recorder:
    recorder = Recorder()
    for number, sink in enumerate(sinks):
        made = a_token(number)
        recorder.token(made, None, ["p", "q"])
        recorder.outcome(made, "buffered", batch="b")
        recorder.to_sink(sink, made, "completed")
    return recorder


def test_what_another_recorder_collected_stands_behind_ones_own_in_its_order() -> None:
    one, other = filled("out"), filled("out", "twice", "out")
    other.items.append("item")  # type: ignore[arg-type]
    one.absorb(other)
    assert {name: (items.order, items.tokens) for name, items in one.sinks.items()} == {
        "out": ([0, 1, 3], ["mf3k2a9x-000000000", "mf3k2a9x-000000000", "mf3k2a9x-000000002"]),
        "twice": ([2], ["mf3k2a9x-000000001"]),
    }
    assert one.outcomes == {"buffered": 4}
    assert one.counts.tokens == 4
    assert len(one.records["tokens"]) == 4
    assert [record[1:] for record in one.records["token_parents"]] == [("p", 0), ("q", 1)] * 4
    assert one.items == ["item"]


def test_what_is_taken_out_of_a_recorder_is_all_it_had_and_it_starts_anew() -> None:
    recorder = filled("out", "twice")
    taken = recorder.take()
    assert recorder.sinks == {}
    assert recorder.outcomes == {}
    assert (recorder.counts.tokens, taken.counts.tokens) == (0, 2)
    assert list(taken.sinks) == ["out", "twice"]
    assert taken.outcomes == {"buffered": 2}
    recorder.to_sink("out", a_token(), "completed")
    assert recorder.sinks["out"].order == [0]


def test_the_first_key_of_counted_records_is_the_least_of_all_parts() -> None:
    recorder = Recorder(in_parts=True)
    for number in (5, 3):
        recorder.outcome(a_token(number), "buffered", batch="b")
    recorder.encoded()
    assert recorder.first_key == "mf3k2a9x-000000003~0"
    recorder.outcome(a_token(4), "buffered", batch="b")
    recorder.encoded()
    assert recorder.first_key == "mf3k2a9x-000000003~0"
    recorder.outcome(a_token(1), "buffered", batch="b")
    recorder.encoded()
    assert recorder.first_key == "mf3k2a9x-000000001~0"


BRANCHES = """
source: {plugin: "null", on_validation_failure: %s}
transforms: [{name: t, plugin: passthrough, on_error: %s}]
sinks: {out: {plugin: "null"}, errors: {plugin: "null"}}
default_sink: out
"""


@pytest.mark.parametrize("to", ["errors", "discard"])
def test_every_way_that_a_row_takes_is_counted_once(to: str) -> None:
    def refuses(row: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if row["n"] == 1:
            raise RowError("no")
        return row

    run = StepsUnderTest(BRANCHES % (to, to), t=refuses)
    counts: list[Counts] = []
    recorder = run.recorders[0]
    clear = recorder.clear
    recorder.clear = lambda: (counts.append(recorder.counts), clear())[1]  # type: ignore[method-assign]
    run.feed({"n": 0}, {"n": 1}, None, bad={2: BadRow("x", "no row", 3, None)})
    [counted] = counts
    assert {node: made[:2] for node, made in counted.nodes.items()} == {"source": [3, 1], "t": [2, 1]}
    assert sum(counted.edges.values()) == 2 + 1 + 1 + 1  # to the step, on to the sink, refused there, no row
    assert counted.tokens == 3
    [invalid] = run.records("validation_errors")
    assert (invalid["error_id"], invalid["line"], invalid["raw_data"]) == (token(2, "!"), 3, "x")
    assert invalid["destination"] == to
