"""A network of one link between this machine's server and a run, which can be cut; and a machine that is another one.

Both are made of namespaces, as root: processes in them are ours, and end with the tests.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str | None:
    """What is missing here for tests with a network of their own, None if nothing is."""
    if os.getuid():
        return "a network namespace needs root"
    if shutil.which("ip") is None:
        return "there is no ip here: Debian's package iproute2"
    name = f"elspeth-{os.getpid()}-try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no network namespace can be made here: {done.stderr.strip()}"
    _ip("netns", "delete", name)
    return None


class Link:
    """A network namespace with one link to here. `here` is the address of this end."""

    def __init__(self) -> None:
        number = os.getpid() % 60_000
        self.name, self._near, self._far = f"elspeth-{number}", f"eln{number}", f"elf{number}"
        # Of a range that is kept for tests of networks (RFC 2544).
        net = f"198.{18 + (number >> 14) % 2}.{(number >> 6) % 256}"
        first = (number % 64) * 4
        self.here, there = f"{net}.{first + 1}", f"{net}.{first + 2}"
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self.name)
            _ip("address", "add", f"{self.here}/30", "dev", self._near)
            _ip("link", "set", self._near, "up")
            _ip("-n", self.name, "address", "add", f"{there}/30", "dev", self._far)
            _ip("-n", self.name, "link", "set", self._far, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        _ip("link", "set", self._near, "down")

    def mend(self) -> None:
        """Whatever is sent comes through again.

        Who asked in vain where the other end is forgets it: for three seconds more it would say of all that is sent
        that nobody is there.
        """
        _ip("link", "set", self._near, "up")
        _ip("-n", self.name, "neighbour", "flush", "dev", self._far)
        _ip("neighbour", "flush", "dev", self._near)

    def enter(self) -> None:
        """Be a process of the other end: to be called in a new one."""
        descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        _done(_libc.setns(descriptor, CLONE_NEWNET))
        os.close(descriptor)

    def close(self) -> None:
        """Take the namespace away, and the link with it."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self._near], capture_output=True, check=False)


def another_machine(folder: Path) -> Callable[[], None]:
    """What makes a new process one of another machine: it has another name, and was started at another time."""
    boot_id = Path(tempfile.mkstemp(dir=folder)[1])
    boot_id.write_text("00000000-0000-4000-8000-000000000000\n")

    def enter() -> None:
        _done(_libc.unshare(CLONE_NEWNS | CLONE_NEWUTS))
        _done(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        _done(_libc.mount(os.fsencode(boot_id), b"/proc/sys/kernel/random/boot_id", None, MS_BIND, None))
        _done(_libc.sethostname(b"elsewhere", 9))

    return enter


def _done(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
