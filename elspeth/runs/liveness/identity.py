"""Says who drives an attempt, so exactly that no other process, here or elsewhere, can be mistaken for it."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from actors.identity import Identity
from elspeth.audit.store.attempts.starts import AttemptDriver, AttemptStart
from elspeth.concealment import without_url_passwords

_COMMAND_LENGTH = 2_000

# What container engines put over these files comes from a folder named after the container.
_ENGINE_FILES = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ENGINES = re.compile(r"docker|containerd|crio|libpod|kubepods|podman")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptIdentity(AttemptDriver):
    """The main process of an attempt as something that can be looked at."""

    @property
    def process(self) -> Identity:
        """The same as the identity of a process, which can be looked at and killed."""
        return Identity(
            pid=self.pid,
            start_time=self.process_start_time,
            boot_id=self.boot_id,
            pid_namespace=self.pid_namespace,
            host=self.host,
            start_ticks=self.process_start_ticks,
        )

    def start(self, overrides_json: str | None = None) -> AttemptStart:
        """What is recorded of it when the attempt begins."""
        return AttemptStart(**asdict(self), overrides_json=overrides_json)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> AttemptIdentity:
        """The identity in a row of `run_attempts`, whose other columns are ignored. Raises `KeyError` for a lack."""
        return cls(**{field.name: columns[field.name] for field in fields(cls)})


def current(lock: Path | str) -> AttemptIdentity:
    """The identity of this process, which holds, or is about to take, the lock at this path or of this name."""
    here = Identity.of(os.getpid())
    return AttemptIdentity(
        host=here.host,
        boot_id=here.boot_id,
        pid_namespace=here.pid_namespace,
        pid=here.pid,
        process_start_time=here.start_time,
        process_start_ticks=here.start_ticks,
        container_id=container_id(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup")),
        user=user_name(os.getuid()),
        uid=os.getuid(),
        command_line=command_line(),
        lock_path=lock if isinstance(lock, str) else str(lock.absolute()),
    )


def command_line() -> str:
    """The command that this process was started with, as it would be typed, bounded in length, without passwords."""
    return shlex.join([Path(sys.argv[0]).name, *map(without_url_passwords, sys.argv[1:])])[:_COMMAND_LENGTH]


def user_name(uid: int) -> str:
    """The user's name, or the number as text: inside containers a user often has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def container_id(mountinfo: str, cgroup: str) -> str | None:
    """The id of the container a process is in, from the text of its `mountinfo` and `cgroup` in /proc (proc(5)).

    None outside of containers, and where the engine leaves no trace of the id.
    """
    for line in mountinfo.splitlines():
        columns = line.split(" ")
        # The mount point is asked for, too: on the host itself, folders of all its containers are mounted somewhere.
        if len(columns) > 4 and columns[4] in _ENGINE_FILES and (found := _ID.search(columns[3])):
            return found[0]
    for line in cgroup.splitlines():
        if _ENGINES.search(line) and (ids := _ID.findall(line)):
            return str(ids[-1])
    return None


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
