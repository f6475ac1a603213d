"""A memory control group with a limit of its own, where this machine lets us make one."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.kit.processes.waiting import wait_until

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class MemoryGroup:
    """Processes that call `enter` share `limit_bytes`; the kernel ends one of them when that is too little."""

    def __init__(self, folder: Path, limit: str) -> None:
        self.folder, self._limit = folder, limit

    def enter(self) -> None:
        """Move the calling process in; what it starts is in, too."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def limit(self, size: int) -> None:
        """Set the limit, in bytes."""
        (self.folder / self._limit).write_text(str(size))
        with contextlib.suppress(OSError):
            (self.folder / "memory.swap.max").write_text("0")

    def kills(self) -> int:
        """How many processes the kernel has ended here."""
        name = "memory.oom_control" if self._limit == "memory.limit_in_bytes" else "memory.events"
        words = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(words["oom_kill"])


@contextlib.contextmanager
def memory_group(size: int) -> Iterator[MemoryGroup | None]:
    """A group with a limit of `size` bytes; None where none can be made. It must be empty in the end."""
    name = f"elspeth-test-{uuid.uuid4().hex[:8]}"
    if (V1 / "memory.limit_in_bytes").exists():
        group = MemoryGroup(V1 / name, "memory.limit_in_bytes")
    elif "memory" in _text(V2 / "cgroup.subtree_control").split():
        group = MemoryGroup(V2 / name, "memory.max")
    else:
        yield None
        return
    try:
        group.folder.mkdir()
    except OSError:  # not root, or a hierarchy that is read only
        yield None
        return
    try:
        group.limit(size)
        yield group
    finally:
        wait_until(lambda: not _text(group.folder / "cgroup.procs").split(), what="the control group is empty")
        group.folder.rmdir()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
