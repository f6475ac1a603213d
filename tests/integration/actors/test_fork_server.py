from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors import ChildSpec, GaveUp, Identity, RestartIntensity, State
from actors.places.local import fork_server
from actors.places.local.fork_server import ForkServer, ForkServerGone
from actors.places.local.place import FORK_SERVERS
from actors.procfs import stat
from tests.kit.processes.family import TARGET, Family, open_descriptors
from tests.kit.processes.waiting import wait_until

ROOT = Path(__file__).parents[3]
NAMES = ("one", "two", "three")


def parent_of(pid: int) -> int:
    return psutil.Process(pid).ppid()


def found_in(family: Family, name: str, what: str) -> Any:
    """What the child says of itself, see `Ping.tell`."""
    before = len(family.frames(name))
    family.send(name, b"tell", what.encode())
    return json.loads(family.await_frames(name, before + 1)[-1][0])


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, point: str, mark: Path) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("CRASH_POINT", f"{point}:1:{mark}")
        yield


def test_a_child_has_what_its_fork_server_imported() -> None:
    with ForkServer(["colorsys"]) as home, Family(fork_server=home) as family:
        family.start()
        assert found_in(family, "ping", "'colorsys' in sys.modules") is True
    with Family() as family:
        family.start()
        assert found_in(family, "ping", "'colorsys' in sys.modules") is False


def test_all_children_come_from_one_fork_server_that_says_what_it_is() -> None:
    with ForkServer(title="a fork server of its own") as home, Family(fork_server=home) as family:
        above = {parent_of(family.start(name)) for name in NAMES}
        assert len(above) == 1
        (parent,) = above
        assert parent_of(parent) == os.getpid()
        assert psutil.Process(parent).cmdline()[0].startswith("a fork server of its own")


def test_a_child_holds_nothing_but_its_channel_its_page_and_standard_descriptors() -> None:
    with Family() as family:
        for name in NAMES:
            family.start(name)
        links = [found_in(family, name, "{fd: os.readlink(f'/proc/self/fd/{fd}') for fd in fds()}") for name in NAMES]
        for found in links:
            assert found.pop("0") == "/dev/null"
            assert found.pop("1") == found.pop("2")
            assert sorted(link.partition(":")[0] for link in found.values()) == ["/memfd", "socket"]
        channels = {link for found in links for link in found.values() if link.startswith("socket")}
        assert len(channels) == 3


def test_a_child_finds_the_environment_the_path_and_the_folder_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN_BEFORE", "taken away later")
    with Family() as family:
        family.start("before")
        monkeypatch.delenv("GIVEN_BEFORE")
        monkeypatch.setenv("GIVEN_LATER", "not text: \udcff")
        monkeypatch.setattr(sys, "path", [*sys.path, "/of/this/moment"])
        monkeypatch.chdir(tmp_path)
        family.start("later")
        assert found_in(family, "before", "os.environ.get('GIVEN_BEFORE')") == "taken away later"
        assert found_in(family, "later", "[os.environ.get('GIVEN_BEFORE'), os.environ.get('GIVEN_LATER')]") == [
            None,
            "not text: \udcff",
        ]
        assert found_in(family, "later", "[sys.path[-1], os.getcwd()]") == ["/of/this/moment", str(tmp_path)]


def test_an_environment_larger_than_the_socket_takes_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    with Family() as family:
        family.start("small")
        for number in range(30):
            monkeypatch.setenv(f"LARGE_{number}", "x" * 100_000)
        family.start()
        assert found_in(family, "ping", "sum(map(len, os.environ.values())) > 3_000_000") is True


def test_children_do_not_share_their_randomness() -> None:
    with ForkServer(["random", "uuid"]) as home, Family(fork_server=home) as family:
        for name in NAMES:
            family.start(name)
        what = "__import__('random').random()"
        assert len({found_in(family, name, what) for name in NAMES}) == 3


def test_a_module_that_cannot_be_imported_is_left_to_the_child_that_needs_it() -> None:
    with ForkServer(["no_such_module", "colorsys"]) as home, Family(fork_server=home) as family:
        family.start()
        assert found_in(family, "ping", "'colorsys' in sys.modules") is True


def test_a_fork_server_with_a_second_thread_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "restless.py").write_text("import threading\nthreading.Thread(target=threading.Event().wait).start()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with ForkServer(["restless"]) as home, Family(fork_server=home) as family, pytest.raises(ForkServerGone):
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary")).get()
    assert "cannot fork with 2 threads: one of restless starts them" in capfd.readouterr().err


def test_the_exit_of_a_child_is_known_whatever_the_owner_does_with_sigchld() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Family() as family:
            family.start()
            family.send("ping", b"leave", b"9")
            assert family.await_down().exit_code == 9
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_signals_that_are_meant_for_the_main_process_do_not_end_a_fork_server() -> None:
    with Family() as family:
        home = parent_of(family.start())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(home, number)
        assert parent_of(family.start("another")) == home


def test_a_closed_fork_server_leaves_nothing_even_while_it_imports() -> None:
    descriptors = open_descriptors()
    before = set(psutil.Process().children())
    for preload in ((), ("tests.kit.processes.family",)):
        ForkServer(preload).close()
    assert set(psutil.Process().children()) <= before
    assert open_descriptors() == descriptors


def test_a_child_that_nobody_could_watch_is_not_left_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    take = fork_server.take

    def without_room(*arguments: Any) -> tuple[bytes, list[int]]:
        answer, descriptors = take(*arguments)
        for descriptor in descriptors:
            os.close(descriptor)
        return answer, []

    with ForkServer() as home, Family(fork_server=home) as family:
        above = parent_of(family.start())
        descriptors = open_descriptors()
        monkeypatch.setattr(fork_server, "take", without_room)
        with pytest.raises(OSError, match="no descriptor is left"):
            family.supervisor.start_child(ChildSpec("unseen", TARGET, restart="temporary")).get()
        assert len(psutil.Process(above).children()) == 1
        assert open_descriptors() == descriptors


def test_a_dead_child_keeps_its_pid_until_it_is_reaped() -> None:
    with ForkServer() as home, Family(fork_server=home) as family:
        pid = family.start()
        with home._lock:  # nobody can ask the fork server for anything
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: stat(pid) is None)
            assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        family.await_down()
        assert not psutil.pid_exists(pid)


# -- its death -----------------------------------------------------------------------------------------------------


def test_a_killed_fork_server_takes_its_children_with_it_and_all_start_again() -> None:
    with Family(RestartIntensity(1, 60.0)) as family:
        children = [Identity.of(family.start(name)) for name in NAMES]
        os.kill(parent_of(children[0].pid), signal.SIGKILL)
        for name in NAMES:
            down = family.await_down(name)
            assert (down.signal, down.reason) == ("SIGKILL", "fork_server")
        assert {child.state() for child in children} == {"gone"}
        for name in NAMES:
            assert family.supervisor.restart_child(name).get() is True
            family.await_frames(name, 2)
        assert not family.of(GaveUp, "three")


def test_the_death_of_a_fork_server_counts_once_for_all_of_its_children() -> None:
    with Family(RestartIntensity(2, 60.0)) as family:
        pids = [family.start(name) for name in NAMES]
        for death in (1, 2):
            os.kill(parent_of(pids[0]), signal.SIGKILL)
            for name in NAMES:
                family.await_down(name, death)
                assert family.supervisor.restart_child(name).get() is True
            pids = [family.await_up(name, death + 1).identity.pid for name in NAMES]
        os.kill(parent_of(pids[0]), signal.SIGKILL)
        family.await_down("one", 3)
        assert family.supervisor.restart_child("one").get() is False
        gave_up = wait_until(lambda: family.of(GaveUp, "one"))[0]
        assert [down.reason for down in gave_up.exits] == ["fork_server"] * 3


def test_a_death_by_itself_counts_beside_that_of_a_fork_server() -> None:
    with Family(RestartIntensity(1, 60.0)) as family:
        os.kill(parent_of(family.start()), signal.SIGKILL)
        family.await_down()
        assert family.supervisor.restart_child("ping").get() is True
        family.await_frames("ping", 2)
        family.send("ping", b"die")
        family.await_down(count=2)
        assert family.supervisor.restart_child("ping").get() is False


@pytest.mark.parametrize("point", ["fork_server.before_fork", "fork_server.after_fork", "fork_server.after_answer"])
def test_a_fork_server_that_dies_over_a_birth_is_followed_by_another(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crashing(monkeypatch, point, tmp_path / "mark"), Family() as family:
        family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary")).get()
        if point == "fork_server.after_answer":
            assert family.await_down().reason == "fork_server"
            family.supervisor.restart_child("ping").get()
        family.await_frames("ping", 1)
        assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(("deaths", "starts"), [(FORK_SERVERS - 1, True), (FORK_SERVERS, False)])
def test_fork_servers_may_die_in_a_row_but_not_for_ever(
    deaths: int, starts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, left = ForkServer.fork, iter(range(deaths))

    def killed(home: ForkServer, *arguments: Any) -> tuple[int, int]:
        if next(left, None) is not None:
            os.kill(home._pid, signal.SIGKILL)
        return fork(home, *arguments)

    monkeypatch.setattr(ForkServer, "fork", killed)
    with Family() as family:
        if starts:
            family.start("ping")
        else:
            with pytest.raises(ForkServerGone):
                family.supervisor.start_child(ChildSpec("ping", TARGET, restart="temporary")).get()


@pytest.mark.parametrize("point", ["fork_server.before_reap", "fork_server.after_reap"])
def test_a_fork_server_that_dies_over_a_dead_child_leaves_nobody_waiting(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crashing(monkeypatch, point, tmp_path / "mark"), Family() as family:
        family.start("leaves")
        family.start("stays")
        family.send("leaves", b"leave", b"9")
        assert family.await_down("leaves").reason == "fork_server"  # the 9 went with the one that knew
        assert family.await_down("stays").reason == "fork_server"
        for name in ("leaves", "stays"):
            family.supervisor.restart_child(name).get()
            family.await_frames(name, 2)


def test_a_fork_server_that_stands_still_is_killed_and_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "LOOKS", 3)
    with Family() as family:
        home = parent_of(family.start("first"))
        os.kill(home, signal.SIGSTOP)
        assert parent_of(family.start("second")) != home
        assert family.await_down("first").reason == "fork_server"
        assert not psutil.pid_exists(home)


def test_a_child_that_dies_while_its_fork_server_stands_still_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "LOOKS", 3)
    with Family() as family:
        pid = family.start()
        os.kill(parent_of(pid), signal.SIGSTOP)
        family.send("ping", b"leave", b"9")
        assert family.await_down().reason == "fork_server"
        assert family.supervisor.children().get()[0].state is State.EXITED


def test_a_fork_server_dies_with_the_thread_that_made_it() -> None:
    made: list[ForkServer] = []
    end = threading.Event()

    def live() -> None:
        made.append(ForkServer())
        end.wait()

    thread = threading.Thread(target=live)
    thread.start()
    wait_until(lambda: made)
    with Family(fork_server=made[0]) as family:
        family.start()
        end.set()
        assert family.await_down().reason == "fork_server"
        family.supervisor.restart_child("ping").get()  # from one of the supervisor's own
        family.await_frames("ping", 2)
    assert made[0].gone


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_an_owner_without_standard_descriptors_has_children(closed: str) -> None:
    command = f"exec {sys.executable} -m tests.kit.processes.parent 0 {closed}"
    with subprocess.Popen(["sh", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        assert len(main.stdout.readline().split()) == 3
        main.kill()


def test_what_the_owner_holds_of_a_child_goes_to_no_other_program() -> None:
    with Family() as family:
        family.start()
        held = []
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # that of the listing itself
                held += [int(entry.name)] if "pidfd" in str(entry.readlink()) else []
        assert held
        assert not any(os.get_inheritable(descriptor) for descriptor in held)
