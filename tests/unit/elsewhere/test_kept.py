"""What a worker elsewhere has the main process keep: answered when it is, and refused as the disk refuses it."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from elspeth.calls.journal.entries import CallKey, Intent
from elspeth.calls.journal.journal import Journal
from elspeth.calls.journal.known import Try
from elspeth.calls.model import Exchange
from elspeth.coordinator import protocol as m
from elspeth.coordinator.elsewhere import keeping as k
from elspeth.payloads import PayloadStore
from elspeth.roles.calling import LeaseDesk
from elspeth.roles.elsewhere import payloads
from elspeth.roles.elsewhere.journal import Kept
from elspeth.roles.elsewhere.payloads import PayloadsKept
from tests.kit.elsewhere.kept import Head, head, kept
from tests.kit.processes.waiting import wait_until

RUN = "mf3k2a9x"


def intent(row: int) -> Intent:
    return Intent(CallKey(f"{RUN}-{row:09d}", "ask", "", "aa"), 1, "2026-01-31T00:00:00.000Z", "llm", "{}", 0)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Head]:
    with head(tmp_path / "payloads", tmp_path / "calls") as there:
        yield there


def test_no_call_is_sent_before_its_intent_is_written(
    tmp_path: Path, there: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(kept(there, tmp_path / "calls", "worker-1"), RUN, 1, "worker-1")
    reached, gate = threading.Event(), threading.Event()
    real = os.write

    def slow(descriptor: int, data: Any) -> int:
        reached.set()
        assert gate.wait(60)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    made: list[Try] = []
    thread = threading.Thread(target=lambda: made.append(journal.intend(intent(1), durable=False)))
    thread.start()
    assert reached.wait(60)
    assert made == []
    gate.set()
    thread.join()
    assert len(made) == 1


def test_many_threads_wait_beside_each_other(tmp_path: Path, there: Head) -> None:
    journal = Journal(kept(there, tmp_path / "calls", "worker-1"), RUN, 1, "worker-1")

    def call(row: int) -> None:
        made = journal.intend(intent(row), durable=True)
        journal.conclude(made, Exchange(outcome="answered", text=str(row)), Decimal(row))

    threads = [threading.Thread(target=call, args=(row,)) for row in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = Journal(kept(there, tmp_path / "calls", "worker-2"), RUN, 1, "worker-2")
    for row in range(40):
        [known] = other.tries(intent(row).key)
        assert known.exchange is not None
        assert (known.exchange.text, known.cost) == (str(row), Decimal(row))


def test_what_the_disk_refuses_there_is_raised_here(
    tmp_path: Path, there: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(kept(there, tmp_path / "calls", "worker-1"), RUN, 1, "worker-1")
    made = journal.intend(intent(1), durable=False)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        journal.conclude(made, Exchange(outcome="answered", text="yes"), Decimal(0))
    assert caught.value.errno == errno.ENOSPC
    assert made.exchange is None
    with pytest.raises(OSError, match="No space left"):
        journal.intend(intent(2), durable=False)


def test_a_journal_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, there: Head) -> None:
    storage = kept(there, tmp_path / "calls", "worker-1")
    (tmp_path / "calls" / "0001-worker-9-000001.calls").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        Journal(storage, RUN, 1, "worker-1")
    assert caught.value.filename.endswith("0001-worker-9-000001.calls")


def test_leases_and_journals_are_answered_side_by_side(tmp_path: Path, there: Head) -> None:
    wire = there.wire("worker-1")
    desk = LeaseDesk(wire)  # type: ignore[arg-type]
    storage = Kept(tmp_path / "calls", wire)  # type: ignore[arg-type]
    leased: list[int] = []
    thread = threading.Thread(target=lambda: leased.append(desk.ask("main", 1, Decimal(0)).number))
    thread.start()
    wait_until(lambda: len(there.told) == 1)
    assert storage.news({}) == []
    assert wire.at_once([memoryview(m.encode(m.LeaseGranted(1)))])
    thread.join()
    assert leased == [1]
    assert not wire.at_once([memoryview(m.encode(m.Settled(1, 1)))])


# -- payloads ----------------------------------------------------------------------------------------------------------


class Sent:
    """A port that notes what is sent."""

    def __init__(self) -> None:
        self.messages: list[list[bytes]] = []

    def send(self, header: bytes, *bodies: bytes) -> None:
        assert k.decode(header) == k.KeepPayloads()
        self.messages.append(list(bodies))


def test_payloads_have_the_references_that_they_have_at_home(tmp_path: Path) -> None:
    sent = Sent()
    here, elsewhere = PayloadStore(tmp_path), PayloadsKept(sent, 10)  # type: ignore[arg-type]
    for content in (b"", b"one", b"two" * 1000):
        assert elsewhere.put(content) == here.put(content) == hashlib.sha256(content).hexdigest()
    assert sent.messages == []
    elsewhere.write_out()
    assert sent.messages == [[b"", b"one", b"two" * 1000]]
    elsewhere.write_out()
    assert len(sent.messages) == 1


def test_what_went_before_is_not_sent_again_as_long_as_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "REMEMBERED", 2)
    sent = Sent()
    store = PayloadsKept(sent, 10)  # type: ignore[arg-type]
    for content in (b"one", b"one", b"two", b"one", b"three", b"one"):
        store.put(content)
        store.write_out()
    assert sent.messages == [[b"one"], [b"two"], [b"three"], [b"one"]]


def test_much_is_sent_before_the_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "SEND_BYTES", 10)
    monkeypatch.setattr(payloads, "SEND_CONTENTS", 3)
    sent = Sent()
    store = PayloadsKept(sent, 10)  # type: ignore[arg-type]
    for content in (b"1", b"2", b"3", b"x" * 10, b"4"):
        store.put(content)
    assert sent.messages == [[b"1", b"2", b"3"], [b"x" * 10]]
