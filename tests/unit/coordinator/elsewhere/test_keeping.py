"""What is to be kept is told from everything else by its first bytes."""

from __future__ import annotations

from elspeth.coordinator import protocol as m
from elspeth.coordinator.elsewhere import keeping as k
from elspeth.errors import Temporary

KEEPING = [
    k.KeepEntry(1, 2, True), k.EntryKept(1, k.Refusal(28, "full", "/x")), k.ReadJournals(3, {"a": 1}),
    k.JournalsRead(3, ("a",)), k.DropEntries(name="a"), k.KeepPayloads(),
]  # fmt: skip


def test_each_is_what_it_was_when_it_arrives() -> None:
    for message in KEEPING:
        header = k.encode(message)
        assert k.is_keeping(header)
        assert k.is_keeping(memoryview(header))
        assert k.decode(memoryview(header)) == message


def test_nothing_that_the_coordinator_hears_is_one_of_these() -> None:
    for message in (m.Ready(), m.Settled(1, 2), m.LeaseGranted(7), m.Failed(Temporary("keep").to_value())):
        assert not k.is_keeping(m.encode(message))
    assert not k.is_keeping(b"")


def test_an_error_of_the_system_is_the_same_error_there() -> None:
    error = k.Refusal.of(OSError(28, "No space left on device", "/x/y")).error()
    assert (error.errno, error.strerror, error.filename) == (28, "No space left on device", "/x/y")
