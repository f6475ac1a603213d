"""A private cluster of PostgreSQL in a temporary folder: started, stopped, crashed, and gone whatever happens."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.kit.processes.waiting import wait_until

# A server that is killed loses nothing that it gave the system, so the writing to the disk is left out. Commits stay
# synchronous: otherwise a killed server would lose some.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "64MB",
    "min_wal_size": "4MB",
    "log_min_messages": "log",
    "timezone": "UTC",
}

# Ends the server and removes its folder once nobody holds the other end of its input: a test process that is killed
# cleans up, too. The first line of postmaster.pid is the server's process id; an immediate stop is SIGQUIT.
KEEPER = """
cat >/dev/null
server=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$server" 2>/dev/null
while [ -n "$server" ] && kill -0 "$server" 2>/dev/null; do sleep 0.05; done
rm -rf "$1"
"""


def binaries() -> Path | None:
    """The folder of the newest server here, Debian's first; None where there is none."""
    debian = [found.parent for found in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if debian:
        return max(debian, key=lambda folder: [int(part) for part in folder.parent.name.split(".")])
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found and shutil.which("initdb") else None


def missing() -> str | None:
    """What is missing here for tests with PostgreSQL, said to who reads why they were skipped; None if nothing is."""
    if binaries() is None:
        return "there is no PostgreSQL server here: Debian's package postgresql"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not here: pip install 'elspeth[postgres]'"
    if os.getuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return None


class Server:
    """One cluster. To be used as a context; reachable by a unix socket, as superuser without a password, and by TCP.

    `folder` holds the data, the socket and `log`; `port` is free, and stays the same when it starts again.
    """

    def __init__(self, **settings: str) -> None:
        found = binaries()
        assert found is not None, missing()
        self._binaries = found
        self._settings = SETTINGS | settings
        self._user = _unprivileged() if os.getuid() == 0 else None
        # Not where TMPDIR says: a socket's path has at most 107 bytes, and another user must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="elspeth-pg-", dir="/tmp"))
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "keeper", str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            done = subprocess.run(
                [self._binaries / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                 "--no-sync", "--no-instructions", "--wal-segsize=1", "--auth-local=trust",
                 "--auth-host=scram-sha-256"],
                capture_output=True, text=True, check=False, **self._as_user(),
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The cluster's files."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "log"

    def socket_url(self, database: str = "postgres") -> str:
        """For the superuser, by the unix socket."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections: after a crash, once it has recovered."""
        assert self.process is None, "it runs already"
        tries = 1 if self.port else 5
        for left in reversed(range(tries)):
            self.port = self.port or _free_port()
            options = [f"--{name}={value}" for name, value in self._settings.items()]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [self._binaries / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder, *options],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_user(),
                )  # fmt: skip
            wait_until(lambda: self.accepts() or not self.alive(), "PostgreSQL takes connections or ended")
            if self.alive():
                return
            self.process = None
            if left and b"could not bind" in self.log.read_bytes():
                self.port = 0  # somebody was faster
                continue
            raise AssertionError(self.log.read_text())

    def stop(self, how: str = "immediate") -> None:
        """Stop it: `immediate` is like a crash, `fast` ends its sessions in order, `smart` waits for them."""
        if self.process is not None:
            self.process.send_signal({"immediate": signal.SIGQUIT, "fast": signal.SIGINT, "smart": signal.SIGTERM}[how])
            self.process.wait()
            self.process = None

    def restart(self, how: str = "immediate") -> None:
        """Stop and start it, under the same address."""
        self.stop(how)
        self.start()

    def kill_backend(self, pid: int) -> None:
        """SIGKILL to one backend: the server then ends all others and recovers, which is waited for."""
        before = self._recoveries()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self._recoveries() > before, "the server noticed")
        wait_until(self.accepts, "the server recovered")

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self.process is not None and self.process.poll() is None

    def accepts(self) -> bool:
        """Whether it takes connections now."""
        words = [self._binaries / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]
        return subprocess.run(words, check=False).returncode == 0

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait()

    def _recoveries(self) -> int:
        return self.log.read_bytes().count(b"all server processes terminated; reinitializing")

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.folder}
        groups = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return {"cwd": self.folder, "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}, **groups}


def _unprivileged() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
