"""Who drives an attempt, as it is recorded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elspeth.runs.liveness.identity import AttemptIdentity, container_id, current, user_name

ID = "ab" * 32


def test_the_identity_survives_the_way_through_the_database(tmp_path: Path) -> None:
    me = current(tmp_path / "x.lock")
    assert AttemptIdentity.from_columns({**me.start().to_columns(), "run_id": "mf3k2a9x", "heartbeat_number": 3}) == me


def test_the_identity_is_that_of_this_process(tmp_path: Path) -> None:
    me = current(tmp_path / "x.lock")
    assert (me.pid, me.uid, me.lock_path) == (os.getpid(), os.getuid(), str(tmp_path / "x.lock"))
    assert me.process_start_ticks > 0
    assert me.pid_namespace.startswith("pid:[")
    assert len(me.boot_id) == 36


def test_a_relative_lock_path_is_recorded_as_an_absolute_one() -> None:
    assert Path(current(Path("x.lock")).lock_path).is_absolute()


def test_a_user_without_a_name_is_a_number() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "3999999999"


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "found"),
    [
        (f"612 598 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw", "0::/", ID),
        (f"9 8 0:1 /containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs x rw", "0::/", ID),
        ("", f"0::/system.slice/docker-{ID}.scope", ID),
        ("", f"11:pids:/kubepods/besteffort/pod1-2/{ID}", ID),
        # The host of containers sees their folders, too, and is none of them.
        (f"70 27 0:50 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw", "0::/init.scope", None),
        (f"71 27 0:51 / /var/lib/docker/overlay2/{ID}/merged rw - overlay overlay rw", "0::/user.slice", None),
        ("27 1 254:0 / / rw - ext4 /dev/vda rw", f"4:memory:/some_service/{ID}", None),
    ],
)
def test_the_container_is_known_from_what_its_engine_mounted(mountinfo: str, cgroup: str, found: str | None) -> None:
    assert container_id(mountinfo, cgroup) == found
