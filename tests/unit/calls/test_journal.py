"""The journal of calls: what was asked and answered survives its writer, whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from elspeth.calls.journal import writer
from elspeth.calls.journal.entries import MAGIC, CallKey, Intent, Outcome, frame, frames
from elspeth.calls.journal.journal import Journal, Reach, journal_folder, row_index
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.model import Exchange
from elspeth.errors import NewerVersion
from tests.kit.elsewhere.kept import Head, head, kept
from tests.kit.processes.waiting import wait_until

RUN = "mf3k2a9x"


def key(row: int, name: str = "score", asked: str = "aa") -> CallKey:
    return CallKey(f"{RUN}-{row:09d}", "ask", name, asked)


def intent(row: int, number: int = 1, stage: int = 0) -> Intent:
    return Intent(key(row), number, "2026-01-31T00:00:00.000Z", "recorded", '{"id":1}', stage)


def answer(text: str = "yes") -> Exchange:
    return Exchange(outcome="answered", text=text)


Make = Callable[..., Journal]


def journal(folder: Path, child: str = "worker-1", attempt: int = 1) -> Journal:
    return Journal(Disk(journal_folder(folder, RUN), stem_of(attempt, child)), RUN, attempt, child)


@pytest.fixture(params=["here", "elsewhere"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes the journal of a process: with files of its own, or kept by the main process, one for each attempt."""
    if request.param == "here":
        yield journal
        return
    with ExitStack() as heads:
        there: dict[int, Head] = {}

        def kept_journal(folder: Path, child: str = "worker-1", attempt: int = 1) -> Journal:
            journals = journal_folder(folder, RUN)
            if attempt not in there:
                there[attempt] = heads.enter_context(head(folder / "payloads", journals, attempt))
            return Journal(kept(there[attempt], journals, child), RUN, attempt, child)

        yield kept_journal


def settle(folder: Path, names: list[str]) -> None:
    """Files are deleted without a word back: wait until there are these."""
    wait_until(lambda: [file.name for file in files(folder)] == names)


def files(folder: Path) -> list[Path]:
    return sorted(journal_folder(folder, RUN).glob("*.calls"))


def ask(of: Journal, row: int, text: str | None = "yes", stage: int = 0) -> None:
    made = of.intend(intent(row, stage=stage), durable=False)
    if text is not None:
        of.conclude(made, answer(text), Decimal("0.25"))


def test_what_was_written_is_known_to_who_comes_after(tmp_path: Path, make: Make) -> None:
    first = make(tmp_path)
    ask(first, 1)
    ask(first, 2, None)
    for child, attempt in (("worker-1", 1), ("worker-2", 1), ("worker-7", 2)):
        [known] = make(tmp_path, child, attempt).tries(key(1))
        assert known.exchange == answer()
        assert known.cost == Decimal("0.25")
        [left] = make(tmp_path, child, attempt).tries(key(2))
        assert left.exchange is None


def test_nothing_is_made_until_something_is_asked_and_then_nobody_else_may_read_it(tmp_path: Path, make: Make) -> None:
    first = make(tmp_path)
    assert not journal_folder(tmp_path, RUN).exists()
    ask(first, 1)
    [file] = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_written_into(tmp_path: Path, make: Make) -> None:
    ask(make(tmp_path), 1)
    [before] = files(tmp_path)
    content = before.read_bytes()
    ask(make(tmp_path), 2)
    assert before.read_bytes() == content
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_left_out(tmp_path: Path, cut: int) -> None:
    of = journal(tmp_path)
    ask(of, 1)
    ask(of, 2)
    [file] = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])
    after = journal(tmp_path, "worker-2")
    assert [known.exchange for known in after.tries(key(1))] == [answer()]
    assert [known.exchange for known in after.tries(key(2))] in ([None], [])


def test_what_does_not_add_up_ends_the_file() -> None:
    data = bytearray(MAGIC + frame(intent(1)) + frame(intent(2)))
    data[len(MAGIC) + 12] ^= 1
    assert list(frames(bytes(data), "file")) == []
    assert list(frames(MAGIC[:5], "file")) == []


def test_a_journal_of_another_form_is_refused() -> None:
    with pytest.raises(NewerVersion, match="no journal of calls"):
        list(frames(b"elspeth calls 2\n", "file"))


def test_a_row_that_comes_from_a_process_that_died_brings_what_that_asked(tmp_path: Path, make: Make) -> None:
    dead, living = make(tmp_path), make(tmp_path, "worker-2")
    ask(dead, 1)
    assert living.tries(key(1)) == []
    living.read_others()
    assert [known.exchange for known in living.tries(key(1))] == [answer()]
    ask(dead, 2)
    living.read_others()
    assert [known.exchange for known in living.tries(key(2))] == [answer()]


def test_tries_in_several_files_are_told_in_their_order(tmp_path: Path, make: Make) -> None:
    ask(make(tmp_path), 1, None)
    second = make(tmp_path)
    made = second.intend(intent(1, 2), durable=True)
    second.conclude(made, answer(), Decimal(0))
    found = make(tmp_path, "worker-2").tries(key(1))
    assert [(known.intent.number, known.exchange) for known in found] == [(1, None), (2, answer())]


def test_what_is_committed_is_forgotten_and_its_file_deleted(tmp_path: Path, make: Make) -> None:
    of = make(tmp_path)
    of.work(Reach(10))
    ask(of, 9)
    of.settled(Reach(9))
    assert len(files(tmp_path)) == 1
    assert of.tries(key(9))
    of.settled(Reach(10))
    settle(tmp_path, [])
    assert of.tries(key(9)) == []
    of.work(Reach(12))
    ask(of, 11)
    assert len(files(tmp_path)) == 1


def test_what_a_later_stage_asked_waits_for_its_micro_batch(tmp_path: Path, make: Make) -> None:
    of = make(tmp_path, "stage-1")
    of.work(Reach(0, 5))
    ask(of, 3, stage=1)
    of.settled(Reach(1000, 4))
    assert of.tries(key(3))
    of.settled(Reach(1000, 5))
    settle(tmp_path, [])


def test_files_of_the_dead_go_when_their_rows_are_committed_and_those_of_the_living_stay(
    tmp_path: Path, make: Make
) -> None:
    dead, other = make(tmp_path), make(tmp_path, "worker-2")
    ask(dead, 1)
    ask(other, 2)
    successor = make(tmp_path)
    successor.settled(Reach(2))
    settle(tmp_path, ["0001-worker-2-000001.calls"])
    successor.settled(Reach(100))
    settle(tmp_path, ["0001-worker-2-000001.calls"])
    resumed = make(tmp_path, attempt=2)
    resumed.settled(Reach(100))
    settle(tmp_path, [])


def test_a_full_file_is_followed_by_another(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elspeth.calls.journal.journal.SEGMENT_BYTES", 300)
    of = make(tmp_path)
    for row in range(10):
        of.work(Reach(row + 1))
        ask(of, row)
    assert len(files(tmp_path)) > 2
    of.settled(Reach(9))
    wait_until(lambda: len(files(tmp_path)) == 1)
    assert of.tries(key(9))


def test_an_answer_is_durable_before_it_is_known_and_threads_share_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = journal(tmp_path)
    synced: list[int] = []
    begun, let_go = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        begun.set()
        assert let_go.wait(30)
        real(descriptor)

    made = [of.intend(intent(row), durable=False) for row in range(8)]
    monkeypatch.setattr(writer.os, "fdatasync", slow)
    threads = [threading.Thread(target=of.conclude, args=(each, answer(), Decimal(0))) for each in made]
    threads[0].start()
    assert begun.wait(30)
    assert made[0].exchange is None
    for thread in threads[1:]:
        thread.start()
    [file] = files(tmp_path)
    size = len(MAGIC) + sum(len(frame(intent(row))) + len(frame(Outcome(key(row), 1, answer()))) for row in range(8))
    while file.stat().st_size < size:
        pass
    let_go.set()
    for thread in threads:
        thread.join()
    assert all(each.exchange == answer() for each in made)
    assert len(synced) == 2


def test_after_an_error_nothing_more_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = journal(tmp_path)
    made = of.intend(intent(1), durable=False)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer.os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            of.conclude(made, answer(), Decimal(0))
    assert made.exchange is None
    with pytest.raises(OSError, match="No space"):
        of.intend(intent(2), durable=False)


def test_the_row_of_a_token_is_told_from_its_id() -> None:
    for token in ("-000000042", "-000000042.left", "-000000042/0003", "-000000042@stats", "-000000042+merge"):
        assert row_index(RUN, RUN + token) == 42
