"""Records of large batches are encoded while they are made, and nothing of them is lost or out of order."""

from __future__ import annotations

from itertools import pairwise

from elspeth.audit.store.commits import record_frames
from elspeth.execution.recorder import PART_RECORDS, Recorder
from elspeth.execution.token import Token

COUNT = 3 * PART_RECORDS + 5


def filled(*, in_parts: bool) -> Recorder:
    """A recorder that has been told of many tokens, one after the other."""
    recorder = Recorder(in_parts=in_parts)
    for number in range(COUNT):
        recorder.outcome(Token(f"mf3k2a9x-{number:09d}", "r", number, {}), "consumed_in_batch", batch="b")
        recorder.cut()
    return recorder


def test_what_is_cut_into_parts_is_all_there_and_in_order() -> None:
    parts = [record_frames.records_in(body)["token_outcomes"] for body in filled(in_parts=True).encoded()]
    assert [len(part) for part in parts] == [PART_RECORDS] * 3 + [5]
    ids = [record[0] for part in parts for record in part]
    assert len(set(ids)) == COUNT
    assert all(before < after for before, after in pairwise(ids))


def test_what_a_large_batch_comes_to_is_packed_behind_its_first_part() -> None:
    recorder = filled(in_parts=True)
    bodies = recorder.encoded()
    assert recorder.large
    tight = [record_frames.decode(body).read["token_outcomes"].tight for body in bodies]
    assert tight == [False, True, True, True]
    assert len(bodies[1]) * 4 < len(bodies[0])
    recorder.clear()
    assert not recorder.large


def test_who_does_not_ask_for_parts_keeps_all_as_records() -> None:
    recorder = filled(in_parts=False)
    assert len(recorder.records["token_outcomes"]) == COUNT
    assert len(recorder.encoded()) == 1


def test_a_new_piece_of_work_has_nothing_of_the_last_one() -> None:
    recorder = filled(in_parts=True)
    recorder.clear()
    assert recorder.encoded() == [record_frames.encode({})]


def test_an_outcome_says_whether_anything_can_still_become_of_the_token() -> None:
    recorder, token = Recorder(), Token("mf3k2a9x-000000000", "r", 0, {})
    recorder.outcome(token, "buffered", batch="b")
    recorder.outcome(token, "consumed_in_batch", batch="b")
    assert [record[2:4] for record in recorder.records["token_outcomes"]] == [("buffered", 0), ("consumed_in_batch", 1)]
