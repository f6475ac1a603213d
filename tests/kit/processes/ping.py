"""The ping actor: twenty lines that show all a child can do."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from actors import Child


class Ping(Child):
    """Answers every message with itself, or does what the message says."""

    def on_start(self) -> None:
        self.port.send(b"hello", self.argument)

    def on_frame(self, parts: list[memoryview]) -> None:
        word = bytes(parts[0])
        if word == b"ping":
            self.port.send(b"pong", *parts[1:])
        elif word == b"touch":
            self.port.at(int(parts[1]), int(parts[2]))
        elif word == b"print":
            sys.stdout.write(str(parts[1], "utf-8"))
        else:
            getattr(self, word.decode())(*parts[1:])

    def tell(self, what: memoryview) -> None:
        """Answer what an expression of `sys`, `os` and `fds()`, the numbers of open descriptors, gives here."""
        names = {"sys": sys, "os": os, "fds": self.open_descriptors}
        self.port.send(json.dumps(eval(str(what, "utf-8"), names)).encode())

    def open_descriptors(self) -> list[str]:
        listed = [entry.name for entry in Path("/proc/self/fd").iterdir()]
        return [fd for fd in listed if Path(f"/proc/self/fd/{fd}").is_symlink()]  # without that of the listing

    def fail(self) -> None:
        raise RuntimeError("asked to fail")

    def die(self) -> None:
        self.port.send(b"last words")
        os.kill(os.getpid(), signal.SIGKILL)

    def burst(self, count: memoryview) -> None:
        for number in range(int(count)):
            self.port.send(b"%d" % number)
        os.kill(os.getpid(), signal.SIGKILL)

    def pour(self, megabytes: memoryview) -> None:
        """Say as much as it can; how much that was stands in a file."""
        for number in range(int(megabytes)):
            self.port.send(bytes(1 << 20))
            Path("poured").write_text(str(number + 1))

    def leave(self, code: memoryview) -> None:
        self.port.exit(int(code))

    def spin(self) -> None:
        while True:
            pass

    def beat_for(self, seconds: memoryview) -> None:
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            self.port.beat()
        self.port.send(b"done")

    def wait_for(self, seconds: memoryview) -> None:
        self.port.waiting(True)
        time.sleep(float(seconds))
        self.port.waiting(False)
        self.port.send(b"done")

    def sleep(self) -> None:
        time.sleep(3600)

    def wait_and_spin(self) -> None:
        self.port.waiting(True)
        self.spin()

    def take(self, megabytes: memoryview) -> None:
        self.kept = bytearray(int(megabytes) << 20)
        self.kept[::4096] = b"x" * len(self.kept[::4096])
        self.port.send(b"taken")
        self.sleep()

    def take_shared(self, megabytes: memoryview) -> None:
        self.map = mmap.mmap(-1, int(megabytes) << 20)  # shared memory is not what RLIMIT_DATA counts
        self.map[::4096] = b"x" * len(self.map[::4096])
        self.sleep()

    def hang_up(self) -> None:
        self.port._sock.shutdown(socket.SHUT_WR)
        self.sleep()

    def garble(self) -> None:
        os.write(self.port._sock.fileno(), b"x" * 100)

    def heir(self) -> None:
        """Leave a grandchild behind that holds everything this process could pass on."""
        heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
        self.port.send(b"heir", str(heir.pid).encode())

    def stop_itself(self) -> None:
        self.stop()

    def on_stop(self) -> None:
        self.port.send(b"bye")


class Stuck(Child):
    """Never gets ready: `argument` says which way."""

    def on_start(self) -> None:
        if self.argument == b"spin":
            while True:
                pass
        time.sleep(3600.0)
