"""The keeper: what workers elsewhere say waits for the disk, in its order, and nobody else does."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.events import ChildDown, ChildUp, FrameReceived
from actors.identity import Identity
from elspeth.calls.journal.entries import MAGIC, CallKey, Intent, Outcome, frame
from elspeth.calls.journal.journal import Journal
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.model import Exchange
from elspeth.coordinator import protocol as m
from elspeth.coordinator.elsewhere import keeping as k
from elspeth.coordinator.elsewhere.keeper import Keeper, Stores
from elspeth.errors import from_value
from tests.kit.processes.waiting import wait_until

RUN = "mf3k2a9x"
INTENT = Intent(CallKey(f"{RUN}-000000001", "ask", "", "aa"), 1, "2026-01-31T00:00:00.000Z", "llm", "{}", 0)
OUTCOME = Outcome(INTENT.key, 1, Exchange(outcome="answered", text="yes"))
SLICE = m.encode(m.Settled(1, 2))  # any message that is none of ours


class Tree:
    """A keeper with a coordinator that notes what it is told, and an outbox that notes what is sent."""

    def __init__(self, folder: Path) -> None:
        self.told: list[Any] = []
        self.sent: list[tuple[str, int, Any, list[bytes]]] = []
        self.folder = folder
        self.keeper = Keeper(Stores(folder / "payloads", folder / "calls" / RUN, 1), self)  # type: ignore[arg-type]
        self.keeper.connect(self)  # type: ignore[arg-type]
        self.tell = self.told.append

    def ask(self, message: Any, *, block: bool) -> Any:
        return message, block

    def send(self, name: str, header: bytes, *bodies: bytes, incarnation: int) -> None:
        self.sent.append((name, incarnation, k.decode(header), [bytes(body) for body in bodies]))

    def says(self, *parts: bytes, name: str = "worker-1", incarnation: int = 1) -> FrameReceived:
        event = FrameReceived(name, incarnation, [memoryview(part) for part in parts])
        self.keeper.tell(event)
        return event

    def dies(self, name: str = "worker-1", incarnation: int = 1) -> ChildDown:
        event = ChildDown(name, Identity(1, 0.0, "", "", ""), incarnation, None, "SIGKILL", "signal", -1, 0, "")
        self.keeper.tell(event)
        return event

    def answered(self, count: int = 1) -> list[Any]:
        wait_until(lambda: len(self.sent) >= count)
        return [answer for _, _, answer, _ in self.sent]

    def files(self) -> list[Path]:
        return sorted((self.folder / "calls" / RUN).glob("*.calls"))

    def payloads(self) -> set[bytes]:
        return {path.read_bytes() for path in (self.folder / "payloads").rglob("*") if path.is_file()}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    yield tree
    tree.keeper.close()


class Gate:
    """Holds a call to the disk until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        real: Callable[[int], None] = getattr(os, name)
        self.reached, self.open = threading.Event(), threading.Event()

        def call(descriptor: int) -> None:
            self.reached.set()
            assert self.open.wait(60)
            real(descriptor)

        monkeypatch.setattr(os, name, call)


def entry(number: int, file: int = 1, *, durable: bool = False) -> bytes:
    return k.encode(k.KeepEntry(number, file, durable))


def test_what_is_not_to_be_kept_goes_straight_on_and_no_thread_is_begun(tree: Tree) -> None:
    events = [tree.says(SLICE), ChildUp("worker-1", Identity(1, 0.0, "", "", ""), 1), tree.dies()]
    tree.keeper.tell(events[1])
    assert [tree.told[0], tree.told[2], tree.told[1]] == events
    assert tree.keeper.ask("tick", block=False) == ("tick", False)
    assert "keeper" not in {thread.name for thread in threading.enumerate()}


def test_an_entry_stands_in_a_file_of_the_child_when_it_is_answered(tree: Tree) -> None:
    tree.says(entry(7), frame(INTENT))
    assert tree.answered() == [k.EntryKept(7)]
    [file] = tree.files()
    assert file.name == "0001-worker-1-000001.calls"
    assert file.read_bytes() == MAGIC + frame(INTENT)
    tree.says(entry(8, durable=True), frame(OUTCOME))
    assert tree.answered(2)[1] == k.EntryKept(8)
    assert file.read_bytes() == MAGIC + frame(INTENT) + frame(OUTCOME)
    assert tree.told == []


def test_a_durable_entry_is_not_answered_before_it_is_on_disk_and_many_share_a_sync(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.says(entry(1), frame(INTENT))
    tree.answered()
    synced: list[int] = []
    real = os.fdatasync
    reached, gate = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        reached.set()
        synced.append(descriptor)
        assert gate.wait(60)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    for number in range(2, 12):
        tree.says(entry(number, durable=True), frame(OUTCOME))
        if number == 2:
            assert reached.wait(60)
    assert len(tree.sent) == 1
    other = tree.says(SLICE, name="worker-2")
    assert tree.told == [other]
    gate.set()
    assert tree.answered(11)[1:] == [k.EntryKept(number) for number in range(2, 12)]
    assert len(synced) == 2


def test_what_mentions_a_payload_waits_until_that_is_on_disk_and_keeps_its_order(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "fsync")
    tree.says(k.encode(k.KeepPayloads()), b"large one", b"large two")
    behind = [tree.says(SLICE), tree.says(m.encode(m.Ready())), tree.dies()]
    other = tree.says(SLICE, name="worker-2")
    assert gate.reached.wait(60)
    assert tree.told == [other]
    gate.open.set()
    wait_until(lambda: len(tree.told) == 4)
    assert tree.told[1:] == behind
    assert tree.payloads() == {b"large one", b"large two"}
    after = tree.says(SLICE, incarnation=2)
    assert tree.told[-1] == after


def test_payloads_lie_under_their_hashes_whatever_is_said_of_them(tree: Tree) -> None:
    tree.says(k.encode(k.KeepPayloads()), b"content")
    wait_until(lambda: bool(tree.payloads()))
    name = hashlib.sha256(b"content").hexdigest()
    tree.keeper.close()
    assert (tree.folder / "payloads" / name[:2] / name[2:]).read_bytes() == b"content"


def test_the_death_of_a_child_is_told_behind_its_entries_and_its_successor_has_them(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "fdatasync")
    tree.says(entry(1), frame(INTENT))
    tree.says(entry(2, durable=True), frame(OUTCOME))
    down = tree.dies()
    assert gate.reached.wait(60)
    assert tree.told == []
    gate.open.set()
    wait_until(lambda: tree.told == [down])
    tree.says(k.encode(k.ReadJournals(1, {})), incarnation=2)
    news = tree.answered(3)[2]
    assert news == k.JournalsRead(1, ("0001-worker-1-000001.calls",))
    assert tree.sent[2][1] == 2
    assert tree.sent[2][3] == [MAGIC + frame(INTENT) + frame(OUTCOME)]
    tree.says(entry(2), frame(INTENT), incarnation=2)
    tree.answered(4)
    assert len(tree.files()) == 2


def test_a_child_is_told_of_others_only_and_only_what_is_new(tree: Tree) -> None:
    tree.says(entry(1), frame(INTENT))
    tree.says(entry(1), frame(INTENT), name="worker-2")
    here = Journal(Disk(tree.folder / "calls" / RUN, stem_of(1, "stage-1")), RUN, 1, "stage-1")
    here.intend(INTENT, durable=False)
    tree.answered(2)
    tree.says(k.encode(k.ReadJournals(2, {"0001-worker-2-000001.calls": len(MAGIC)})))
    tree.answered(3)
    names, bodies = tree.sent[2][2].names, tree.sent[2][3]
    assert dict(zip(names, bodies, strict=True)) == {
        "0001-stage-1-000001.calls": MAGIC + frame(INTENT), "0001-worker-2-000001.calls": frame(INTENT),
    }  # fmt: skip


def test_files_are_deleted_when_their_writer_says_so_and_those_of_others_by_name(tree: Tree) -> None:
    tree.says(entry(1, file=1), frame(INTENT))
    tree.says(entry(2, file=2), frame(INTENT))
    tree.says(entry(1), frame(INTENT), name="worker-2")
    tree.answered(3)
    tree.says(k.encode(k.DropEntries(1)))
    tree.says(k.encode(k.DropEntries(99)))
    tree.says(k.encode(k.DropEntries(name="0001-worker-2-000001.calls")))
    wait_until(lambda: [file.name for file in tree.files()] == ["0001-worker-1-000002.calls"])


def test_where_the_disk_refuses_an_entry_its_asker_is_told_why(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.says(entry(1), frame(INTENT))
    tree.answered()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    tree.says(entry(2, durable=True), frame(OUTCOME))
    tree.says(entry(1, durable=True), frame(OUTCOME), name="worker-2")
    for answer in tree.answered(3)[1:]:
        assert answer.refusal.error().errno == errno.ENOSPC
    monkeypatch.undo()
    tree.says(entry(3), frame(OUTCOME))  # what follows half an entry would never be read
    assert tree.answered(4)[3].refusal.error().errno == errno.ENOSPC
    assert tree.told == []


def test_where_a_journal_cannot_be_begun_its_asker_is_told_why(tree: Tree) -> None:
    (tree.folder / "calls").write_text("in the way")
    tree.says(entry(1), frame(INTENT))
    [answer] = tree.answered()
    assert answer.refusal.error().errno in (errno.ENOTDIR, errno.EEXIST)


def test_where_a_payload_cannot_be_kept_nothing_that_mentions_it_is_acted_on(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    tree.says(k.encode(k.KeepPayloads()), b"large")
    tree.says(SLICE)
    down = tree.dies()
    wait_until(lambda: down in tree.told)
    failed, last = tree.told
    assert last == down
    assert failed.name == "worker-1"
    error = from_value(m.decode(failed.parts[0]).error)
    assert error.exit_code == 75
    assert "the disk is full" in error.message
    assert tree.payloads() == set()
