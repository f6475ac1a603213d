"""Stops a run whose plugin looks for a file that is not on its worker's machine, before a row is blamed for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from elspeth.calls.errors import RunStops
from elspeth.errors import SettingsError
from elspeth.plugins.contract import Plugin

_FROM_HERE = "elspeth."


def stop_at_missing_files(plugin: Plugin, node: str) -> None:
    """Have this plugin of a user's end the run where a file it wants is not there: on the head machine it may well be.

    Raised by the plugin then is `RunStops`. What it catches itself cannot be told from a file that is nowhere.
    """
    if type(plugin).__module__.startswith(_FROM_HERE):
        return
    for method in ("setup", "process"):
        function = getattr(plugin, method, None)
        if function is not None:
            setattr(plugin, method, _stopping(function, node))


def _stopping(function: Callable[..., Any], node: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            missing = _missing(error)
            if missing is None:
                raise
            raise RunStops(_not_here(node, missing)) from error

    return call


def _missing(error: BaseException | None) -> FileNotFoundError | None:
    """The missing file that an exception comes of."""
    while error is not None and not isinstance(error, FileNotFoundError):
        error = error.__cause__ or error.__context__
    return error


def _not_here(node: str, error: FileNotFoundError) -> SettingsError:
    return SettingsError(
        f"the plugin of {node} looks for the file {error.filename}, which is not on the machine of its worker",
        details=["a worker on another machine has the files that a plugin's reference_files() names, and no others"],
        next_step="name it there, or have workers on this machine only, then resume",
    )


def forbid(paths: Iterable[str]) -> None:
    """From now on whoever opens one of these absolute paths of the head machine ends the run.

    A copy came along, and what lies under that path on this machine is another file, if there is any.
    """
    forbidden = frozenset(paths)

    def opening(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and os.fspath(path) in forbidden:
                raise RunStops(
                    SettingsError(
                        f"a plugin opens {os.fspath(path)} itself, on a machine where that is another file or none",
                        details=["a copy came along: ctx.file(path) says where it is"],
                        next_step="have the plugin open ctx.file(path), or name the file by a relative path; "
                        "then resume",
                    )
                )

    sys.addaudithook(opening)
