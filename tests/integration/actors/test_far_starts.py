"""What a child elsewhere has with it, which nodes are refused, and what becomes of it where there is no room."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from actors import ChildSpec, GivenFile
from actors.places.far.terms import Terms
from actors.places.far.transport import Node
from tests.kit.places.far_family import FarFamily, far

FACTS = "tests.kit.places.facts:facts"

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
