from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib import import_module

import pytest

from elspeth.errors import Temporary
from elspeth.roles.role import Role
from elspeth.runs.lifecycle.fork_server import MODULES, fork_server


def after(statement: str, expression: str) -> str:
    script = f"import os, sys; {statement}; print({expression})"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_every_role_of_a_run_is_imported_before_children_are_forked() -> None:
    for module in MODULES:
        import_module(module)
    roles = {role.__module__ for role in Role.__subclasses__() if role.__module__.startswith("elspeth.")}
    assert roles - {"elspeth.roles.operator"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_imported_for_children_starts_no_thread(module: str) -> None:
    assert after(f"import {module}", "len(os.listdir('/proc/self/task'))").strip() == "1"


def test_what_starts_first_waits_for_no_large_import() -> None:
    loaded = set(after("import elspeth.cli.commands.run, elspeth.cli.commands.resume", "*sys.modules").split())
    assert loaded.isdisjoint(
        {"pydantic", "yaml", "sqlite3", "msgspec", "pykka", "psutil", "elspeth.runs.lifecycle.drive"}
    )
    assert {"click", "elspeth.runs.lifecycle.fork_server"} <= loaded


def test_a_run_waits_for_no_import_of_what_only_other_runs_need() -> None:
    loaded = set(after("import elspeth.cli.commands.run_action", "*sys.modules").split())
    others = (
        "elspeth.audit.writer",
        "elspeth.audit.verify",
        "elspeth.runs.lifecycle.cluster",
        "actors.places.far.place",
    )
    assert loaded.isdisjoint(others)
    assert "elspeth.runs.lifecycle.drive" in loaded


def test_no_room_for_the_first_process_is_told_as_what_may_go_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "posix_spawn", refuse)
    with pytest.raises(Temporary, match="no process could be started: Resource temporarily unavailable"):
        fork_server()
