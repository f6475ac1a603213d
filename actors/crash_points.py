"""Named places where a test may kill the process, to ask: what if it dies exactly here?

`crash_point("sink.after_write")` does nothing unless the environment arms it:

    CRASH_POINT="sink.after_write:3:/tmp/mark"     die at the third passing, once; the file says that it fired

Several points are separated by commas. Death is SIGKILL, so nothing is flushed and no handler runs. The mark file is
created first: a point whose mark exists does not fire again, so that a restarted or resumed process gets past it.

With `CRASH_GROUP=1` the whole process group dies in the same instant, as if the power had gone; whoever arms that
starts the program in a group of its own.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "CRASH_POINT"
GROUP_VARIABLE = "CRASH_GROUP"


class _Armed:
    def __init__(self, setting: str) -> None:
        self.left: dict[str, int] = {}
        self.marks: dict[str, str] = {}
        for item in filter(None, setting.split(",")):
            name, count, mark = item.split(":", 2)
            self.left[name] = int(count)
            self.marks[name] = mark

    def passing(self, name: str) -> None:
        if name not in self.left:
            return
        self.left[name] -= 1
        if self.left[name]:
            return
        try:
            os.close(os.open(self.marks[name], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return
        if os.environ.get(GROUP_VARIABLE) == "1":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


_armed = _Armed(os.environ.get(VARIABLE, ""))


def crash_point(name: str) -> None:
    """Die here if the environment says so. `name` is `role.moment`, a literal, so that a test can find them all."""
    if _armed.left:
        _armed.passing(name)
