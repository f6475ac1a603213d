from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from actors import (
    ChildDown,
    ChildSpec,
    ChildUp,
    FrameReceived,
    GaveUp,
    Identity,
    LifecycleError,
    RestartIntensity,
    State,
    reactor,
)
from tests.kit.processes.family import TARGET, Family, open_descriptors
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until


def test_a_child_is_started_with_its_argument_and_answers() -> None:
    with Family() as family:
        family.start(argument=b"bytes\0of any kind")
        family.send("ping", b"ping", b"one", b"", b"three")
        assert family.await_frames("ping", 2) == [[b"hello", b"bytes\0of any kind"], [b"pong", b"one", b"", b"three"]]


def test_it_is_told_up_then_frames_then_down() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"die")
        family.await_down()
        assert [type(event) for event in family.told] == [ChildUp, FrameReceived, FrameReceived, ChildDown]
        assert family.frames("ping")[-1] == [b"last words"]


def test_the_identity_told_is_that_of_the_process() -> None:
    with Family() as family:
        pid = family.start(title="a title of its own")
        assert family.ups("ping")[0].identity == Identity.of(pid)
        assert psutil.Process(pid).cmdline()[0].startswith("a title of its own")


def test_frames_keep_their_order_and_a_hundred_megabytes_pass_both_ways() -> None:
    big = os.urandom(1 << 20)
    with Family() as family:
        family.start()
        for number in range(100):
            family.outbox.send("ping", b"ping", b"%d" % number, memoryview(big))
        wait_until(lambda: len(family.of(FrameReceived, "ping")) == 101)
        frames = family.of(FrameReceived, "ping")[1:]
        assert [int(bytes(frame.parts[1])) for frame in frames] == list(range(100))
        assert all(frame.parts[2] == big for frame in frames)


def test_sending_never_waits_for_the_child() -> None:
    with Family() as family:
        pid = family.start()
        os.kill(pid, signal.SIGSTOP)
        part = bytes(1 << 20)

        def send() -> None:
            for _ in range(50):
                family.send("ping", b"ping", part)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        sender.join(PATIENCE_SECONDS)  # the child takes nothing meanwhile
        assert not sender.is_alive()
        os.kill(pid, signal.SIGCONT)
        family.await_frames("ping", 51)


def test_a_child_killed_from_outside_is_reported_with_what_it_touched() -> None:
    with Family() as family:
        pid = family.start()
        family.send("ping", b"touch", b"41", b"7")
        family.send("ping", b"ping")
        family.await_frames("ping", 2)
        os.kill(pid, signal.SIGKILL)
        down = family.await_down()
        assert (down.signal, down.exit_code, down.reason) == ("SIGKILL", None, "signal")
        assert (down.position, down.detail) == (41, 7)


def test_a_child_is_told_down_only_after_it_is_reaped() -> None:
    with Family() as family:
        pid = family.start()
        os.kill(pid, signal.SIGKILL)
        down = family.await_down()
        assert not Path(f"/proc/{pid}").exists()
        assert down.identity.state() == "gone"


def test_an_exception_ends_the_process_with_its_traceback() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"fail")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (70, "exited")
        assert "RuntimeError: asked to fail" in down.output_tail
        assert ("ping", "RuntimeError: asked to fail") in family.printed


@pytest.mark.parametrize("target", ["tests.kit.processes.ping:Nobody", "no_such_module:Ping", "pathlib:Path"])
def test_a_target_that_is_no_child_ends_with_a_traceback(target: str) -> None:
    with Family() as family:
        family.supervisor.start_child(ChildSpec("ping", target, restart="temporary")).get()
        down = family.await_down()
        assert down.exit_code == 70
        assert "Error" in down.output_tail


def test_an_exit_code_of_its_own_is_reported() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"leave", b"9")
        assert family.await_down().exit_code == 9


def test_all_frames_of_a_dead_child_are_told_before_its_death() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"burst", b"300")
        family.await_down()
        assert [int(parts[0]) for parts in family.frames("ping")[1:]] == list(range(300))
        assert isinstance(family.told[-1], ChildDown)


def test_nothing_a_killed_child_had_printed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setattr(reactor, "_OUTPUT_BYTES", 64)  # so that its end is seen before its output is read
    text = "".join(f"line {number}\n" for number in range(5000)) + "and no line end: ä"
    with Family() as family:
        family.start()
        family.send("ping", b"print", text.encode())
        family.send("ping", b"die")
        down = family.await_down()
        assert family.printed == [("ping", line) for line in text.split("\n")]
        assert down.output_tail.endswith("line 4999\nand no line end: ä")


def test_a_grandchild_that_inherits_everything_does_not_delay_the_news() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"heir")
        heir = int(family.await_frames("ping", 2)[1][1])
        try:
            family.send("ping", b"die")
            family.await_down()
            assert psutil.pid_exists(heir)
        finally:
            os.kill(heir, signal.SIGKILL)


def test_a_restarted_child_is_a_new_incarnation_with_the_same_spec() -> None:
    with Family() as family:
        family.start(argument=b"again")
        family.send("ping", b"die")
        family.await_down()
        assert family.supervisor.restart_child("ping").get() is True
        assert family.await_frames("ping", 3)[2] == [b"hello", b"again"]
        assert [up.incarnation for up in family.ups("ping")] == [1, 2]


def test_a_restarted_child_may_be_given_another_spec_of_its_name_and_keeps_it() -> None:
    with Family() as family:
        family.start(argument=b"first")
        other = ChildSpec("ping", "tests.kit.processes.ping:Ping", b"later", "temporary")
        for death in range(2):
            family.send("ping", b"die")
            family.await_down(count=death + 1)
            with pytest.raises(ValueError, match="cannot be restarted as 'pong'"):
                family.supervisor.restart_child("ping", True, replace(other, name="pong")).get()
            assert family.supervisor.restart_child("ping", True, None if death else other).get() is True
            assert family.await_frames("ping", 2 * death + 3)[-1] == [b"hello", b"later"]


def test_frames_for_a_dead_incarnation_are_dropped() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"die")
        family.await_down()
        family.send("ping", b"ping", b"to the dead")
        family.supervisor.restart_child("ping").get()
        family.outbox.send("ping", b"ping", b"to the first", incarnation=1)
        family.outbox.send("ping", b"ping", b"to the second", incarnation=2)
        family.outbox.send("nobody", b"ping")
        assert family.await_frames("ping", 4)[2:] == [[b"hello", b""], [b"pong", b"to the second"]]


def test_a_living_child_is_not_restarted() -> None:
    with Family() as family:
        family.start()
        with pytest.raises(LifecycleError):
            family.supervisor.restart_child("ping").get()
        with pytest.raises(ValueError, match="already"):
            family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary")).get()


def test_a_child_that_keeps_dying_is_given_up() -> None:
    with Family(RestartIntensity(2, 60.0)) as family:
        family.start()
        for death in (1, 2, 3):
            family.send("ping", b"die")
            family.await_down(count=death)
            assert family.supervisor.restart_child("ping").get() is (death < 3)
        gave_up = wait_until(lambda: family.of(GaveUp, "ping"))[0]
        assert [down.incarnation for down in gave_up.exits] == [1, 2, 3]
        assert "2 restarts in the last 60 s" in gave_up.reason
        assert family.supervisor.children().get()[0].state is State.GIVEN_UP
        assert family.supervisor.restart_child("ping", counted=False).get() is False


def test_a_death_that_is_not_the_childs_fault_does_not_count() -> None:
    with Family(RestartIntensity(1, 60.0)) as family:
        family.start()
        for death in (1, 2, 3):
            family.send("ping", b"die")
            family.await_down(count=death)
            assert family.supervisor.restart_child("ping", counted=False).get()
        assert not family.of(GaveUp, "ping")


def test_a_child_that_is_asked_stops_behind_what_it_was_sent() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"ping", b"before")
        family.supervisor.stop_child("ping").get()
        family.send("ping", b"ping", b"after")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (0, "exited")
        assert family.frames("ping")[1:] == [[b"pong", b"before"], [b"bye"]]


def test_a_child_that_does_not_stop_in_time_is_killed() -> None:
    with Family() as family:
        family.start(shutdown_seconds=0.2)
        family.send("ping", b"spin")
        family.supervisor.stop_child("ping").get()
        assert family.await_down().reason == "killed:did not stop in 0.2 s"


def test_an_actor_that_stops_itself_ends_its_process_in_order() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"stop_itself")
        assert family.await_down().exit_code == 0
        assert family.frames("ping")[-1] == [b"bye"]


def test_a_child_killed_by_order_says_why() -> None:
    with Family() as family:
        family.start()
        family.supervisor.kill_child("ping", "not needed").get()
        down = family.await_down()
        assert (down.reason, down.signal) == ("killed:not needed", "SIGKILL")


def test_a_child_ignores_the_signals_that_are_meant_for_the_main_process() -> None:
    with Family() as family:
        pid = family.start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        family.send("ping", b"ping")
        assert family.await_frames("ping", 2)
        assert not family.downs("ping")


def test_signals_that_come_while_a_child_starts_do_not_reach_it() -> None:
    with Family() as family:
        identity = family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary")).get()
        os.kill(identity.pid, signal.SIGTERM)
        assert family.await_frames("ping", 1)


def test_shutdown_stops_in_reverse_order_and_leaves_nothing() -> None:
    descriptors = open_descriptors()
    threads = set(threading.enumerate())
    family = Family()
    pids = [family.start(name) for name in ("audit", "sink", "source")]
    family.supervisor.shutdown(8.0).get()
    family.await_down("audit")
    assert [event.name for event in family.told if isinstance(event, ChildDown)] == ["source", "sink", "audit"]
    assert {event.exit_code for event in family.told if isinstance(event, ChildDown)} == {0}
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    family.__exit__()
    wait_until(lambda: set(threading.enumerate()) <= threads)
    assert open_descriptors() == descriptors


def test_restarts_leak_no_descriptor() -> None:
    with Family() as family:
        family.start()
        descriptors = open_descriptors()
        for death in range(1, 6):
            family.send("ping", b"die")
            family.await_down(count=death)
            family.supervisor.restart_child("ping", counted=False).get()
            family.await_frames("ping", 2 * death + 1)
        assert open_descriptors() == descriptors


def test_shutdown_kills_what_does_not_stop_and_keeps_its_deadline() -> None:
    with Family() as family:
        for name in ("stuck", "stopped", "good"):
            family.start(name, shutdown_seconds=10 * PATIENCE_SECONDS)
        family.send("stuck", b"spin")
        os.kill(family.ups("stopped")[0].identity.pid, signal.SIGSTOP)
        family.supervisor.shutdown(0.5).get(timeout=PATIENCE_SECONDS)
        assert [family.await_down(name).signal for name in ("stuck", "stopped", "good")] == ["SIGKILL", "SIGKILL", None]


def test_a_child_holds_no_descriptor_of_its_siblings() -> None:
    with Family() as family:
        first = family.start("first")
        second = family.start("second")
        sockets = [
            {link for fd in Path(f"/proc/{pid}/fd").iterdir() if (link := str(fd.readlink())).startswith("socket")}
            for pid in (first, second)
        ]
        assert [len(found) for found in sockets] == [1, 1]
        assert not sockets[0] & sockets[1]


def test_a_file_in_the_working_directory_is_no_module_for_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "socket.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with Family() as family:
        family.start()
