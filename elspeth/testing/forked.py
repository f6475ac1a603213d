"""A process that does something, says so, and is killed: what a plugin has to survive, done for real."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class ProcessFailed(str):
    """What went wrong in the process, in place of what it was to say."""

    __slots__ = ()


@contextmanager
def forked(life: Callable[[Callable[[Any], None]], None]) -> Iterator[Iterator[Any]]:
    """Fork a process that calls `life(answer)`; yields each answer, then True once it is through, or a `ProcessFailed`.

    At the end of the block it is killed with SIGKILL, wherever it stands; if it is through it waits for that.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _live(life, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, encoding="utf-8") as lines:
            yield _heard(lines)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _heard(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        said = json.loads(line)
        yield ProcessFailed(said["broken"]) if "broken" in said else said["answer"]


def _live(life: Callable[[Callable[[Any], None]], None], writer: int) -> NoReturn:
    """The child: it never returns into what was being done in the process it was forked from."""
    try:

        def say(what: dict[str, Any]) -> None:
            os.write(writer, json.dumps(what).encode() + b"\n")

        try:
            life(lambda value: say({"answer": value}))
            say({"answer": True})
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            say({"broken": "".join(traceback.format_exception_only(error)).strip()})
        while True:
            signal.pause()
    finally:
        os._exit(1)
