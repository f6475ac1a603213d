"""Whose doing a SIGKILL was, read from the kernel's counters: on files as kernels and container engines lay them."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.places.local.oom import CLAIM_LOOKS, MemoryGroup, OomClaims, OomCounter, group_of, machine_count

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "found"),
    [
        ("0::/user.slice/a.scope\n", V2, MemoryGroup("/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup", 2)),
        ("0::/\n", V2, MemoryGroup("/sys/fs/cgroup", "/sys/fs/cgroup", 2)),
        (
            "9:name=systemd:/x\n4:cpu,memory:/docker/abc\n0::/\n",
            HYBRID.replace("rw,memory", "rw,cpu,memory"),
            MemoryGroup("/sys/fs/cgroup/memory/docker/abc", "/sys/fs/cgroup/memory", 1),
        ),
        (  # an engine that shows the container its own part of version 1
            "4:memory:/docker/abc/inner\n",
            V1.replace("0:32 /", "0:32 /docker/abc"),
            MemoryGroup("/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory", 1),
        ),
        ("0::/../other\n", V2, MemoryGroup("/sys/fs/cgroup", "/sys/fs/cgroup", 2)),  # entered from outside
        ("9:name=systemd:/\n", V1, None),
        ("4:memory:/a\n", "", None),
        ("", "", None),
    ],
)
def test_the_memory_group_is_found(cgroup: str, mountinfo: str, found: MemoryGroup | None) -> None:
    assert group_of(cgroup, mountinfo) == found


class Machine:
    """A /proc and a control group, as files."""

    def __init__(self, folder: Path, version: int) -> None:
        self.proc, self.mount = folder / "proc", folder / "cgroup"
        self.group = self.mount / "service" / "job"
        (self.proc / "self").mkdir(parents=True)
        self.group.mkdir(parents=True)
        kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,memory"
        (self.proc / "self/mountinfo").write_text(f"35 31 0:32 / {self.mount} rw - {kind}\n")
        (self.proc / "self/cgroup").write_text("0::/service/job\n" if version == 2 else "4:memory:/service/job\n")
        self.events = self.group / ("memory.events" if version == 2 else "memory.oom_control")
        self.limit = "memory.max" if version == 2 else "memory.limit_in_bytes"

    def kills(self, count: int) -> None:
        self.events.write_text(f"oom_kill_disable 0\nlow 7\noom 9\noom_kill {count}\noom_group_kill 0\n")


@pytest.mark.parametrize("version", [1, 2])
def test_kills_and_the_lowest_limit_are_read(tmp_path: Path, version: int) -> None:
    machine = Machine(tmp_path, version)
    machine.kills(3)
    none = "max\n" if version == 2 else "9223372036854771712\n"
    (machine.group / machine.limit).write_text(none)
    counter = OomCounter(str(machine.proc))
    assert (counter.count(), counter.limit_bytes()) == (3, None)
    (machine.group.parent / machine.limit).write_text("83886080\n")
    assert counter.limit_bytes() == 83886080
    (machine.group / machine.limit).write_text("1000\n")
    assert counter.limit_bytes() == 1000
    machine.kills(5)
    assert counter.count() == 5


def test_without_a_group_that_counts_the_machine_does(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 2)  # the root of version 2 has no such files
    (machine.proc / "vmstat").write_text("pgfault 12\noom_kill 4\n")
    counter = OomCounter(str(machine.proc))
    assert (counter.count(), counter.limit_bytes()) == (4, None)
    assert machine_count(str(machine.proc)) == 4


def test_what_cannot_be_read_counts_nothing(tmp_path: Path) -> None:
    counter = OomCounter(str(tmp_path / "nowhere"))
    assert (counter.count(), counter.limit_bytes()) == (0, None)
    assert machine_count(str(tmp_path)) is None


def test_kills_from_before_the_start_are_nobodys() -> None:
    assert not OomClaims(7).claim(7)


def test_each_kill_is_claimed_once() -> None:
    claims = OomClaims(0)
    assert claims.claim(2)
    claims.look(2)
    assert claims.claim(2)
    assert not claims.claim(2)


def test_a_kill_that_nobody_claims_in_time_was_of_somebody_else() -> None:
    claims = OomClaims(0)
    for _ in range(CLAIM_LOOKS):
        claims.look(1)
    assert claims.claim(1)
    for _ in range(CLAIM_LOOKS + 1):
        claims.look(2)
    assert not claims.claim(2)


def test_the_counters_of_this_machine_can_be_read() -> None:
    counter = OomCounter()
    assert counter.count() >= 0
    assert counter.limit_bytes() is None or counter.limit_bytes() > 0
