"""Children beside agents, which are processes of this machine behind sockets: what a local child does, they do."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors import ChildDown, ChildSpec, ChildUp, GivenFile, Identity
from actors.node_agent.folder import PREFIX
from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.far.transport import Node
from actors.places.sockets.transport import SocketAgent, SocketTransport
from tests.kit.places.faulty import FaultyTransport
from tests.kit.processes.family import Family, open_descriptors
from tests.kit.processes.waiting import wait_until

PATIENT = Terms(unreachable_seconds=600.0)
QUICK = Terms(unreachable_seconds=1.5, beat_seconds=0.25)
FACTS = "tests.kit.places.facts:facts"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be said what is left in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


class FarFamily(Family):
    """A family whose children are elsewhere; how that is reached, and what is said of each process there."""

    def __init__(self, transport: FaultyTransport, terms: Terms = PATIENT, **options: Any) -> None:
        self.transport = transport
        self.place = FarPlace(transport, terms)
        super().__init__(places={"far": self.place}, **options)

    def begin(self, name: str = "ping", **fields: Any) -> Identity:
        """Start a far ping actor; the identity of its process."""
        before = len(self.ups(name))
        self.start(name, place="far", **fields)
        return self.await_up(name, before + 1).identity

    def ask(self, name: str, what: str) -> Any:
        """What an expression gives in this child."""
        before = len(self.frames(name))
        self.send(name, b"tell", what.encode())
        return json.loads(self.await_frames(name, before + 1)[-1][0])

    def agent(self, number: int = -1) -> SocketAgent:
        agent = self.transport.agents[number]
        assert isinstance(agent, SocketAgent)
        return agent


@contextmanager
def far(terms: Terms = PATIENT, seed: int | None = None, **options: Any) -> Iterator[FarFamily]:
    """A family elsewhere; afterwards nothing of it is left."""
    transport = FaultyTransport(SocketTransport(**options), seed)
    with FarFamily(transport, terms) as family:
        yield family
        transport.cut = False
    agents = [Identity.of(a.pid) for a in transport.agents if isinstance(a, SocketAgent) and there(a.pid)]
    wait_until(lambda: all(agent.state() == "gone" for agent in agents), "the ends of the agents")
    wait_until(lambda: not left_folders(), "the ends of their folders")
    identities = [event.identity for event in family.told if isinstance(event, ChildUp)]
    wait_until(lambda: all(map(is_gone, identities)), "the ends of the children")


def there(pid: int) -> bool:
    return pid != 0 and Path(f"/proc/{pid}").exists()


def left_folders() -> list[Path]:
    return list(Path(os.environ["TMPDIR"]).glob(f"{PREFIX}*"))


def is_gone(identity: Identity) -> bool:
    return identity.state() == "gone"


# --- what local children do ---------------------------------------------------------------------------------------


def test_a_far_child_answers_says_where_it_is_and_ends_in_order() -> None:
    with far(names=("east",)) as family:
        family.begin(argument=b"x" * 200_000)
        assert family.ups("ping")[0].where == "east (127.0.0.1)"
        assert family.frames("ping") == [[b"hello", b"x" * 200_000]]
        family.send("ping", b"ping", b"", b"1")
        assert family.await_frames("ping", 2)[1] == [b"pong", b"", b"1"]
        family.send("ping", b"print", b"one\ntwo")
        family.supervisor.stop_child("ping")
        down = family.await_down()
        assert (down.exit_code, down.reason, down.where, down.lost) == (0, "exited", "east (127.0.0.1)", "")
        assert down.output_tail == "one\ntwo"
        assert family.frames("ping")[-1] == [b"bye"]


def test_the_agent_is_another_process_and_its_child_works_in_a_folder_of_its_own() -> None:
    with far() as family:
        identity = family.begin()
        assert family.ask("ping", "os.getpid()") == identity.pid
        folder = Path(family.ask("ping", "os.getcwd()"))
        assert folder.name.startswith(PREFIX)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_ten_thousand_small_frames_come_in_order_however_they_travel() -> None:
    with far(seed=1) as family:
        family.begin()
        for number in range(10_000):
            family.send("ping", b"ping", b"%d" % number)
        wait_until(lambda: len(family.told) >= 10_002, "all answers")
        assert [frame[1] for frame in family.frames("ping")[1:]] == [b"%d" % number for number in range(10_000)]


@pytest.mark.parametrize("seed", [None, 2])
def test_a_large_frame_gets_there_and_back(seed: int | None) -> None:
    large = os.urandom(1 << 20) * 50
    with far(seed=seed) as family:
        family.begin()
        family.send("ping", b"ping", large, b"end")
        assert family.await_frames("ping", 2)[1] == [b"pong", large, b"end"]


def test_a_killed_child_is_told_with_its_signal_what_it_touched_and_said_last() -> None:
    with far() as family:
        identity = family.begin()
        family.send("ping", b"touch", b"42", b"3")
        family.send("ping", b"print", b"last line\n")
        family.send("ping", b"die")
        down = family.await_down()
        assert (down.signal, down.reason, down.lost, down.identity) == ("SIGKILL", "signal", "", identity)
        assert (down.position, down.detail) == (42, 3)
        assert family.frames("ping")[-1] == [b"last words"]


def test_an_exception_comes_with_its_traceback() -> None:
    with far() as family:
        family.begin()
        family.send("ping", b"fail")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (70, "exited")
        assert "RuntimeError: asked to fail" in down.output_tail


def test_a_hang_is_found_by_the_agent_which_has_its_stack() -> None:
    with far() as family:
        family.begin(hang_seconds=2.0)
        family.send("ping", b"spin")
        down = family.await_down()
        assert (down.reason, down.signal) == ("hang", "SIGKILL")
        assert " in spin" in down.output_tail


def test_a_child_over_its_memory_limit_is_told_as_that() -> None:
    with far() as family:
        family.begin(memory_limit_bytes=128 << 20)
        family.send("ping", b"take", b"200")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (71, "memory")


def test_what_a_child_touches_and_how_large_it_is_can_be_seen_from_here() -> None:
    with far(Terms(unreachable_seconds=600.0, beat_seconds=0.25)) as family:
        family.begin()
        family.send("ping", b"touch", b"7", b"8")
        info = wait_until(
            lambda: [c for c in family.supervisor.children().get() if c.position == 7 and c.resident_bytes > 1 << 20],
            "its position and size",
        )[0]
        assert info.detail == 8


def test_a_child_that_does_not_stop_in_time_is_killed_over_there() -> None:
    with far() as family:
        identity = family.begin(shutdown_seconds=0.5)
        family.send("ping", b"sleep")
        family.supervisor.stop_child("ping")
        down = family.await_down()
        assert (down.signal, down.reason) == ("SIGKILL", "killed:did not stop in 0.5 s")
        wait_until(lambda: is_gone(identity), "its end")


def test_a_child_that_is_killed_from_here_is_down_at_once_and_then_dead() -> None:
    with far() as family:
        identity = family.begin()
        os.kill(family.agent().pid, signal.SIGSTOP)  # nobody there can do anything about it
        family.supervisor.kill_child("ping", "tired of it").get()
        down = family.await_down()
        assert (down.signal, down.reason) == ("SIGKILL", "killed:tired of it")
        wait_until(lambda: is_gone(identity), "its end")


def test_a_permanent_child_is_started_again_elsewhere() -> None:
    with far(names=("east", "west")) as family:
        family.begin(restart="permanent")
        family.send("ping", b"die")
        assert family.await_up("ping", 2).incarnation == 2
        family.send("ping", b"ping")
        wait_until(lambda: family.frames("ping")[-1] == [b"pong"], "its answer")


def test_nothing_is_held_any_more_when_all_is_over() -> None:
    with far() as family:
        family.begin()
    before, threads = open_descriptors(), threading.active_count()
    with far() as family:
        for number in range(5):
            family.begin(f"ping-{number}")
        family.send("ping-0", b"die")
        family.await_down("ping-0")
        os.kill(family.agent(1).pid, signal.SIGKILL)
        family.await_down("ping-1")
    wait_until(lambda: open_descriptors() <= before, "as many descriptors as before")
    wait_until(lambda: threading.active_count() <= threads, "as many threads as before")


# --- memory -------------------------------------------------------------------------------------------------------


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_an_agent_does_not_take_more_than_its_child_does() -> None:
    with far() as family:
        identity = family.begin(hang_seconds=None)
        agent = family.agent().pid
        before = resident_bytes(agent)
        identity_stopped = identity.pid
        os.kill(identity_stopped, signal.SIGSTOP)
        child = family.place._children[0]
        for _ in range(100):
            family.send("ping", b"ping", bytes(1 << 20))
        wait_until(lambda: child.conversation.queued and not child.conversation._may_put(), "the window is full")
        assert resident_bytes(agent) - before < 40 << 20
        os.kill(identity_stopped, signal.SIGCONT)
        wait_until(lambda: len(family.told) >= 102, "all answers")


def test_a_child_that_says_more_than_the_link_takes_waits() -> None:
    with far() as family:
        family.begin()
        agent = family.agent().pid
        before = resident_bytes(agent)
        for _ in range(100):
            family.send("ping", b"ping", bytes(1 << 20))
        wait_until(lambda: len(family.frames("ping")) > 3, "first answers")
        family.transport.held = True
        wait_until(lambda: len(family.transport._under_way) > 50, "much is under way")
        assert resident_bytes(agent) - before < 60 << 20
        family.transport.held = False
        wait_until(lambda: len(family.told) >= 102, "all answers")


# --- deaths of a place --------------------------------------------------------------------------------------------


def assert_lost(down: ChildDown, words: str) -> None:
    assert (down.reason, down.refused) == ("place", False)
    assert words in down.lost


def test_an_agent_that_is_killed_takes_its_child_with_it_and_is_told_as_lost() -> None:
    with far() as family:
        identity = family.begin()
        folder = Path(family.ask("ping", "os.getcwd()"))
        os.kill(family.agent().pid, signal.SIGKILL)
        assert_lost(family.await_down(), "the node agent on node-1 (127.0.0.1) was killed by signal 9")
        wait_until(lambda: is_gone(identity), "the end of its child")
        wait_until(lambda: not folder.exists(), "the end of its folder")


def test_an_agent_that_does_not_move_any_more_is_lost_and_ended() -> None:
    with far(QUICK) as family:
        identity = family.begin()
        os.kill(family.agent().pid, signal.SIGSTOP)
        assert_lost(family.await_down(), "the node agent on node-1 (127.0.0.1) has not been heard of for 1.5 s")
        wait_until(lambda: is_gone(identity), "its end")


def test_deaths_of_one_node_have_a_cause_in_common() -> None:
    with far(QUICK) as family:
        for name in ("one", "two"):
            family.begin(name)
        children = list(family.place._children)
        for number in (0, 1):
            os.kill(family.agent(number).pid, signal.SIGKILL)
        for name in ("one", "two"):
            family.await_down(name)
        causes = [child.reap(None).cause for child in children]
        assert causes[0] == Node("node-1", "127.0.0.1")
        assert causes[0] is causes[1]


def test_a_link_that_is_cut_ends_both_sides_and_nothing_old_is_heard_when_it_is_back() -> None:
    with far(QUICK) as family:
        identity = family.begin(restart="permanent")
        agent = Identity.of(family.agent().pid)
        family.send("ping", b"beat_for", b"0")  # one answer more, so that it is known to be heard
        family.await_frames("ping", 2)
        family.transport.cut = True
        assert_lost(family.await_down(), "has not been heard of for 1.5 s")
        wait_until(lambda: is_gone(agent), "the agent ends itself: its lease is over")
        wait_until(lambda: is_gone(identity), "and its child")
        heard = len(family.frames("ping"))
        family.transport.cut = False
        os.kill(family.agent().pid, 0)  # the next one is there, and was never told anything
        family.supervisor.kill_child("ping", "to have one that was greeted").get()
        up = family.await_up("ping", 2)
        family.await_frames("ping", heard + 1)
        assert family.frames("ping")[heard:] == [[b"hello", b""]]
        assert up.identity != identity


def test_pieces_that_were_held_on_their_way_are_not_heard_by_the_next_incarnation() -> None:
    with far(QUICK) as family:
        family.begin()
        family.transport.held = True
        family.send("ping", b"ping", b"old")
        assert_lost(family.await_down(), "has not been heard of")
        family.transport.held = False
        family.supervisor.restart_child("ping").get()
        family.await_up("ping", 2)
        family.send("ping", b"ping", b"new")
        frames = family.await_frames("ping", 3)
        assert frames == [[b"hello", b""], [b"hello", b""], [b"pong", b"new"]]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_an_agent_ends_with_its_head(blow: signal.Signals) -> None:
    head = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.places.head"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with head:
        assert head.stdout is not None
        identities = [Identity.of(int(pid)) for pid in head.stdout.readline().split()]
        head.send_signal(blow)
        for identity in identities:
            wait_until(lambda identity=identity: is_gone(identity), "the end of the agent and of its child")
        head.kill()


# --- what goes along ----------------------------------------------------------------------------------------------


def given(path: Path, name: str, content: bytes) -> GivenFile:
    path.write_bytes(content)
    return GivenFile(name, str(path), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("seed", [None, 3])
def test_files_go_along_by_content(tmp_path: Path, seed: int | None) -> None:
    large = os.urandom(1 << 20) * 10
    files = (given(tmp_path / "a", "sub/dir/large", large), given(tmp_path / "b", "empty", b""))
    with far(seed=seed) as family:
        family.begin(files=files)
        found = "[os.path.getsize(n) for n in ('sub/dir/large', 'empty')] + [oct(os.stat(n).st_mode) for n in "
        assert family.ask("ping", found + "('sub/dir/large', 'empty', 'sub/dir')]") == [
            len(large), 0, "0o100600", "0o100600", "0o40700",
        ]  # fmt: skip
        digest = "__import__('hashlib').sha256(open('sub/dir/large', 'rb').read()).hexdigest()"
        assert family.ask("ping", digest) == hashlib.sha256(large).hexdigest()


def refusal(family: FarFamily, **fields: Any) -> str:
    """What is said where a node will not have the child."""
    family.supervisor.start_child(
        ChildSpec("ping", "tests.kit.processes.ping:Ping", restart="temporary", place="far", **fields)
    )
    down = family.await_down()
    assert (down.reason, down.refused, down.identity.pid) == ("place", True, 0)
    assert not family.ups("ping")
    return down.lost


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = given(tmp_path / "a", "own.py", b"one")
    (tmp_path / "a").write_bytes(b"two")
    with far() as family:
        assert "own.py has not the content that it was said to have" in refusal(family, files=(file,))


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    file = given(tmp_path / "a", "own.py", b"one")
    (tmp_path / "a").unlink()
    with far() as family:
        assert f"{tmp_path / 'a'} cannot be read: No such file" in refusal(family, files=(file,))


# --- handshake ----------------------------------------------------------------------------------------------------


def test_a_node_with_the_same_program_is_taken() -> None:
    with far(Terms({"shop": "1.4"}, FACTS)) as family:
        family.begin()


def test_a_node_with_another_program_is_refused() -> None:
    with far(Terms({"shop": "1.5"}, FACTS)) as family:
        assert refusal(family) == ("node-1 (127.0.0.1) has shop 1.4 where this machine has 1.5: have the same on both")


def test_a_node_without_the_program_is_refused() -> None:
    with far(Terms({"shop": "1.5"}, "no_such_module:facts")) as family:
        assert "No module named 'no_such_module'" in refusal(family)


def test_what_is_set_for_children_is_set() -> None:
    with far(Terms(environment={"SHOP": "open"})) as family:
        family.begin()
        assert family.ask("ping", "os.environ['SHOP']") == "open"


# --- room ---------------------------------------------------------------------------------------------------------


def test_a_child_without_room_stays_on_its_way_and_begins_when_there_is_some() -> None:
    with far(room=1) as family:
        family.begin("one")
        spec = ChildSpec("two", "tests.kit.processes.ping:Ping", restart="temporary", place="far")
        assert family.supervisor.start_child(spec).get().pid == 0
        assert family.place.waiting() == ("two",)
        assert family.place.nodes() == (Node("node-1", "127.0.0.1"),)
        family.supervisor.stop_child("one")
        family.await_down("one")
        assert family.await_up("two", 1).identity.pid != 0
        assert family.place.waiting() == ()


def test_a_child_on_its_way_can_be_called_off() -> None:
    with far(room=0) as family:
        spec = ChildSpec("two", "tests.kit.processes.ping:Ping", restart="temporary", place="far")
        family.supervisor.start_child(spec).get()
        family.supervisor.stop_child("two")
        down = family.await_down("two")
        assert (down.reason, down.identity.pid) == ("killed:not wanted any more", 0)
        assert family.place.waiting() == ()
        assert not family.ups("two")
