"""What a child is, before it is a process: plain data, validated when it is written down."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

Restart = Literal["permanent", "transient", "temporary"]

HERE = ""
"""The name of the place that every supervisor has: the machine that it runs on."""

MEMORY_FLOOR = 32 * 1024 * 1024
"""An interpreter with nothing to do needs about this much; a lower limit could never start."""


class SpecError(ValueError):
    """A child spec that cannot be used: names the child, the field and the value found."""


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that a child on another machine finds in its working directory.

    `name` is its path there, relative and without "..", `path` where it is on this machine, `sha256` the hash of its
    content in hexadecimal digits: where the content is another one by the time it is read, the child is refused.
    """

    name: str
    path: str
    sha256: str

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if "\0" in self.name or any(part in ("", ".", "..") for part in parts):
            raise SpecError(f"a given file is named {self.name!r}; it must be a relative path without '..'")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise SpecError(f"the given file {self.name!r} has the hash {self.sha256!r}; it must be a SHA-256 in hex")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child spec in the sense of OTP (https://www.erlang.org/doc/design_principles/sup_princ).

    `name` is unique within a supervisor. `target` is "package.module:ClassName" of a `Child` subclass, `argument` is
    handed to it as it is. `restart` says what follows its end: a `permanent` child is started again whatever it ended
    of, a `transient` one unless it ended with exit code 0, a `temporary` one by nobody but `Supervisor.restart_child`.
    `shutdown_seconds` is how long an asked child may take to stop before SIGKILL. `hang_seconds` without progress on
    something it was given make a child hung (None: never). `memory_limit_bytes` bounds its private memory.
    An `expendable` child is what the kernel takes first when memory runs out. `title` is what `ps` shows. `place` names
    one of the supervisor's places; this machine, if it is left out. A child of another machine works in a folder of its
    own, which is gone when it ends, and finds `files` in it; one of this machine works where its parent does, without.

        ChildSpec("store", "shop.store:Store", b"/var/lib/shop", hang_seconds=30.0, memory_limit_bytes=512 << 20)
        ChildSpec("import", "shop.jobs:Import", restart="transient")  # until it has succeeded once

    Raises `SpecError`.
    """

    name: str
    target: str
    argument: bytes = b""
    restart: Restart = "permanent"
    shutdown_seconds: float = 5.0
    hang_seconds: float | None = 300.0
    memory_limit_bytes: int | None = None
    expendable: bool = False
    title: str = ""
    place: str = HERE
    files: tuple[GivenFile, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            self._refuse("name", self.name, "a printable name")
        module, _, cls = self.target.partition(":")
        if not (cls.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            self._refuse("target", self.target, '"package.module:ClassName"')
        if not isinstance(self.argument, bytes):
            self._refuse("argument", self.argument, "bytes")
        if self.restart not in get_args(Restart):
            self._refuse("restart", self.restart, " or ".join(get_args(Restart)))
        if not (math.isfinite(self.shutdown_seconds) and self.shutdown_seconds >= 0):
            self._refuse("shutdown_seconds", self.shutdown_seconds, "seconds, 0 or more")
        if self.hang_seconds is not None and not (math.isfinite(self.hang_seconds) and self.hang_seconds > 0):
            self._refuse("hang_seconds", self.hang_seconds, "seconds above 0, or None for never")
        if self.memory_limit_bytes is not None and self.memory_limit_bytes < MEMORY_FLOOR:
            self._refuse("memory_limit_bytes", self.memory_limit_bytes, f"at least {MEMORY_FLOOR} bytes, or None")

    def _refuse(self, field: str, found: object, wanted: str) -> None:
        raise SpecError(f"child {self.name!r}: {field} is {found!r}; it must be {wanted}")


def not_in_time(spec: ChildSpec) -> str:
    """The reason for killing a child that was asked to stop."""
    return f"killed:did not stop in {spec.shutdown_seconds:g} s"
