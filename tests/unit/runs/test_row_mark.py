"""The mark of the row in hand, as the next attempt finds it."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from elspeth.coordinator.blame import Suspicion
from elspeth.roles.flush_mark import Flush, Flushes, FlushMark, Item, ItemMark, Output, OutputMark
from elspeth.runs.liveness import row_mark
from elspeth.runs.liveness.row_mark import Marked, RowMark, mark_path, read_mark

RUN = "mf3k2a9x"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / f"{RUN}.3.lock"


def marked(lock: Path, *rows: int | None) -> None:
    """An attempt that marked these rows and died: nothing closes its file in order."""
    mark = RowMark.create(lock, RUN, 3)
    for row in rows:
        mark.row(row)
    mark.close()


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((), Marked(False, None)),
        ((0,), Marked(True, 0)),
        ((7, None), Marked(True, None)),
        ((7, None, 1 << 40), Marked(True, 1 << 40)),
    ],
)
def test_what_was_marked_last_is_found(lock: Path, rows: tuple[int | None, ...], found: Marked) -> None:
    marked(lock, *rows)
    assert read_mark(lock, RUN, 3) == found


def test_a_mark_of_the_earlier_form_is_still_read(lock: Path) -> None:
    head = row_mark._head(b"elspeth1", RUN, 3)
    mark_path(lock).write_bytes(head + struct.pack("<q", 41))
    assert read_mark(lock, RUN, 3) == Marked(True, 41)


def test_it_is_known_which_rows_nobody_was_given_and_when_rows_go_together_again(lock: Path) -> None:
    mark = RowMark.create(lock, RUN, 3)
    mark.given_out(500)
    mark.row(7)
    assert read_mark(lock, RUN, 3) == Marked(True, 7, given_out=500)
    mark.row(None)
    mark.many()
    mark.close()
    assert read_mark(lock, RUN, 3) == Marked(True, None, many=True, given_out=500)


def stage_of(lock: Path, stage: int = 1, **flushes: Any) -> FlushMark:
    return FlushMark(Flushes(path=str(mark_path(lock)), **flushes), stage)


BATCH, NODE = f"{RUN}.1@batch", "batch"


def test_a_flush_is_in_hand_until_the_main_process_has_outlived_it(lock: Path) -> None:
    mark = RowMark.create(lock, RUN, 3)
    mark.row(6)
    first, second = stage_of(lock, every=True), stage_of(lock, 2, every=True)
    first.flush(4, BATCH, NODE)
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Flush(BATCH, NODE),))
    mark.passed(1, 4)
    second.flush(4, f"{BATCH}/0000@later", "later")
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Flush(f"{BATCH}/0000@later", "later"),))
    mark.passed(2, 4)
    assert read_mark(lock, RUN, 3) == Marked(True, 6)
    first.flush(3, BATCH, NODE)  # given a second time, after the stage died: it has survived it once
    assert read_mark(lock, RUN, 3) == Marked(True, 6)
    mark.close()


def test_an_item_behind_a_flush_is_no_longer_the_flush(lock: Path) -> None:
    marked(lock, 6)
    stage = stage_of(lock, every=True)
    stage.flush(4, BATCH, NODE)
    stage.item(5)  # of another micro-batch: that the main process lives is not known by it
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Flush(BATCH, NODE),))
    stage.item(4)
    assert read_mark(lock, RUN, 3) == Marked(True, 6)


def test_where_rows_go_together_only_suspected_batches_are_marked(lock: Path) -> None:
    marked(lock)
    stage = stage_of(lock, suspects={BATCH: 1})
    stage.flush(4, f"{RUN}.0@batch", NODE)
    assert read_mark(lock, RUN, 3) == Marked(False, None)
    stage.flush(5, BATCH, NODE)
    assert read_mark(lock, RUN, 3) == Marked(False, None, held=(Flush(BATCH, NODE),))


def worker_of(lock: Path, **told: Any) -> ItemMark:
    return ItemMark(Flushes(path=str(mark_path(lock)), **told))


TOKEN = f"{BATCH}/0003"


def test_a_token_in_a_later_stage_is_in_hand_until_the_main_process_has_outlived_it(lock: Path) -> None:
    mark = RowMark.create(lock, RUN, 3)
    mark.row(6)
    stage, worker = stage_of(lock, every=True), worker_of(lock, every=True, rows_end=10)
    stage.flush(4, BATCH, NODE)
    mark.passed(1, 4)
    assert worker.next(2, 4, TOKEN, 6, "after") is None
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Item(TOKEN, "after"),))
    mark.passed(2, 4)
    assert read_mark(lock, RUN, 3) == Marked(True, 6)
    mark.close()


def test_only_tokens_of_rows_that_go_one_at_a_time_go_alone_and_those_that_are_suspected(lock: Path) -> None:
    marked(lock, 6)
    worker = worker_of(lock, every=True, rows_end=10, suspects={"suspect": 1})
    assert [worker.alone(*each) for each in ((TOKEN, 9), (TOKEN, 10), ("suspect", 10))] == [True, False, True]
    worker.next(2, 5, TOKEN, 10, "after")
    assert read_mark(lock, RUN, 3) == Marked(True, 6)
    worker.next(2, 5, "suspect", 10, "after")
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Item("suspect", "after"),))


def test_a_token_that_is_convicted_is_not_touched_but_set_aside(lock: Path) -> None:
    marked(lock, 6)
    conviction = Suspicion(reason="killed").convict(3)
    worker = worker_of(lock, convicted={TOKEN: conviction})
    assert worker.alone(TOKEN, 99)
    assert worker.next(2, 5, TOKEN, 99, "after") == conviction
    assert read_mark(lock, RUN, 3) == Marked(True, 6)


def sinks_of(lock: Path, **told: Any) -> OutputMark:
    return OutputMark(Flushes(path=str(mark_path(lock)), **told), 2)


TOKEN_OF_A_ROW = f"{RUN}-000000099"
WRITTEN = f"{RUN}-000000001@batch/0003"


def test_what_is_written_is_in_hand_until_the_main_process_has_outlived_it(lock: Path) -> None:
    mark = RowMark.create(lock, RUN, 3)
    mark.row(6)
    sinks = sinks_of(lock, every=True, rows_end=10)
    assert sinks.next(4, WRITTEN, "out") is None
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Output(WRITTEN, "out"),))
    assert sinks.next(4, f"{WRITTEN}4", "out") is None
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Output(f"{WRITTEN}4", "out"),))
    mark.passed(2, 4)
    assert read_mark(lock, RUN, 3) == Marked(True, 6)
    mark.close()


def test_where_rows_go_together_only_what_is_suspected_at_that_sink_is_written_alone(lock: Path) -> None:
    marked(lock, 6)
    sinks = sinks_of(lock, suspects={f"{WRITTEN}>out": 1})
    assert [sinks.alone([TOKEN_OF_A_ROW, WRITTEN], sink) for sink in ("out", "bad")] == [True, False]
    assert not sinks.alone([TOKEN_OF_A_ROW], "out")
    assert sinks.next(4, WRITTEN, "out") is None
    assert read_mark(lock, RUN, 3) == Marked(True, 6, held=(Output(WRITTEN, "out"),))
    sinks.next(4, TOKEN_OF_A_ROW, "out")  # it is not to be blamed on what came through
    assert read_mark(lock, RUN, 3) == Marked(True, 6)


def test_what_is_convicted_at_a_sink_is_not_written(lock: Path) -> None:
    marked(lock, 6)
    conviction = Suspicion(reason="killed").convict(3)
    sinks = sinks_of(lock, convicted={f"{WRITTEN}>out": conviction})
    assert sinks.alone([WRITTEN], "out")
    assert sinks.next(4, WRITTEN, "out") == conviction
    assert sinks.next(4, WRITTEN, "bad") is None
    assert read_mark(lock, RUN, 3) == Marked(True, 6)


def test_a_batch_of_a_long_name_and_a_file_that_is_not_there_hold_nobody_up(lock: Path) -> None:
    stage_of(lock, every=True).flush(4, BATCH, NODE)
    marked(lock, 6)
    stage_of(lock, every=True).flush(4, "x" * 5000, NODE)
    assert read_mark(lock, RUN, 3) == Marked(True, 6)


def test_a_mark_is_there_at_once_for_whoever_looks(lock: Path) -> None:
    mark = RowMark.create(lock, RUN, 3)
    mark.row(41)
    assert read_mark(lock, RUN, 3) == Marked(True, 41)
    mark.close()


def test_it_is_its_owner_s_alone(lock: Path) -> None:
    marked(lock, 7)
    assert stat.S_IMODE(mark_path(lock).stat().st_mode) == 0o600


@pytest.mark.parametrize(("run", "attempt"), [("mf3k2a9y", 3), (RUN, 2)])
def test_another_s_mark_says_nothing(lock: Path, run: str, attempt: int) -> None:
    marked(lock, 7)
    assert read_mark(lock, run, attempt) is None


def test_after_another_boot_it_says_nothing(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked(lock, 7)
    monkeypatch.setattr(row_mark, "here", lambda: ("another boot", "", ""))
    assert read_mark(lock, RUN, 3) is None


@pytest.mark.parametrize("size", [0, 8, 47, 48, 55])
def test_a_file_of_another_size_says_nothing(lock: Path, size: int) -> None:
    marked(lock, 7)
    os.truncate(mark_path(lock), size)
    assert read_mark(lock, RUN, 3) is None


def test_what_is_no_file_of_ours_says_nothing_and_holds_nobody_up(lock: Path, tmp_path: Path) -> None:
    assert read_mark(lock, RUN, 3) is None
    os.mkfifo(mark_path(lock))
    assert read_mark(lock, RUN, 3) is None
    mark_path(lock).unlink()
    marked(lock, 7)
    elsewhere = mark_path(lock).rename(tmp_path / "elsewhere")
    mark_path(lock).symlink_to(elsewhere)
    assert read_mark(lock, RUN, 3) is None


@pytest.mark.parametrize("hard", [False, True])
def test_a_link_that_somebody_laid_under_its_name_is_replaced_and_not_followed(
    lock: Path, tmp_path: Path, hard: bool
) -> None:
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("id,amount\n")
    if hard:
        mark_path(lock).hardlink_to(theirs)
    else:
        mark_path(lock).symlink_to(theirs)
    marked(lock, 7)
    assert theirs.read_text() == "id,amount\n"
    assert read_mark(lock, RUN, 3) == Marked(True, 7)
