"""Outputs of a run are brought to disk side by side, and no less surely than one after the other."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.coordinator.protocol import Flushed
from elspeth.errors import Temporary
from elspeth.roles.sink import OpenOutput, SinkRole
from tests.kit.processes.disk import Disk

PATIENCE_SECONDS = 60.0


def role_of(make_sink: Any, *names: str) -> tuple[SinkRole, list[Any]]:
    """The role of a run with these outputs, each with a row to be flushed; and what it sends."""
    role, sent = SinkRole.__new__(SinkRole), []
    role._outputs = {}
    role.port = SimpleNamespace(beat=lambda: None)
    role.send = lambda message, *bodies: sent.append(message)  # type: ignore[method-assign]
    for name in names:
        sink = make_sink("csv", name)
        sink.open(sink.inspect())
        sink.write([{"a": name}])
        role._outputs[name] = OpenOutput(SimpleNamespace(id=name), sink, 1)  # type: ignore[arg-type]
    return role, sent


@pytest.mark.parametrize("names", [("one", "two"), ("one", "two", "three")])
def test_all_outputs_wait_for_the_disk_at_the_same_time(
    names: tuple[str, ...], make_sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, sent = role_of(make_sink, *names)
    everybody = threading.Barrier(len(names), timeout=PATIENCE_SECONDS)
    monkeypatch.setattr(os, "fdatasync", lambda fd: everybody.wait())
    role._flush(7)
    (flushed,) = sent
    assert isinstance(flushed, Flushed)
    assert (flushed.no, sorted(flushed.positions)) == (7, sorted(names))


def test_no_position_is_answered_before_every_output_is_on_disk(
    make_sink: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    role, sent = role_of(make_sink, "one", "two")
    disk = Disk(monkeypatch, tmp_path)
    disk.calls += [("write", str(tmp_path / "one")), ("write", str(tmp_path / "two"))]
    unsynced: list[list[str]] = []
    role.send = lambda message, *bodies: unsynced.append(disk.unsynced())  # type: ignore[method-assign]
    role._flush(1)
    assert unsynced == [[]]
    assert sent == []


def test_what_is_written_behind_a_sync_that_was_begun_is_synced_too(
    make_sink: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    disk = Disk(monkeypatch, tmp_path)
    sink.write([{"a": 1}])
    sink.begin_flush()
    sink.write([{"a": 2}])
    assert sink.flush()["rows"] == 2
    out = str(tmp_path / "out")
    assert disk.calls[-1] == ("sync", out)
    assert disk.calls.count(("sync", out)) == 2


@pytest.mark.parametrize("again", ["begin_flush", "flush"])
def test_a_begun_sync_that_failed_is_not_forgotten_for_one_that_succeeds(
    again: str, make_sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write([{"a": 1}])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        sink.begin_flush()
        with pytest.raises(Temporary, match="input/output error"):
            getattr(sink, again)()
    sink.write([{"a": 2}])
    for call in (sink.begin_flush, sink.flush):
        with pytest.raises(Temporary, match="input/output error"):
            call()


def test_an_output_that_is_closed_waits_for_what_it_began(make_sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, ended = threading.Event(), []

    def slow(fd: int) -> None:
        os.fstat(fd)
        assert may_end.wait(PATIENCE_SECONDS)
        ended.append(os.fstat(fd).st_size)  # raises where the descriptor is closed

    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write([{"a": 1}])
    monkeypatch.setattr(os, "fdatasync", slow)
    sink.begin_flush()
    closing = threading.Thread(target=sink.close)
    closing.start()
    may_end.set()
    closing.join()
    assert ended == [len(b"a\r\n1\r\n")]
