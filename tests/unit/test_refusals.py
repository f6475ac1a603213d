"""What Python says when memory is used up is one sentence and exit code 75, in whatever form it says it."""

from __future__ import annotations

import errno
import importlib.abc
import sys
from collections.abc import Callable

import pytest

from elspeth import refusals
from elspeth.cli import app
from elspeth.cli.context import CliContext
from elspeth.errors import ElspethError
from elspeth.refusals import refusal


def out_of_memory() -> Exception:
    return OSError(errno.ENOMEM, "Cannot allocate memory", "elspeth/cli/view")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        out_of_memory(),
        ImportError("_pydantic_core.so: failed to map segment from shared object"),
        ImportError("libsqlite3.so.0: cannot allocate memory in static TLS block"),
        SystemError("error return without exception set"),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
def test_too_little_memory_is_named_in_whatever_form_it_comes(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "address_space_limit", lambda: 64 << 20)
    found = refusal(error)
    assert found is not None
    assert "out of memory" in found.message
    assert "ulimit -v" in found.next_step
    assert found.exit_code == 75


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'nothing'"), SystemError("bad argument"), OSError(), ValueError()], ids=repr
)
def test_what_has_nothing_to_do_with_memory_is_none_of_it(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "address_space_limit", lambda: 64 << 20)
    assert refusal(error) is None


def test_a_system_error_without_a_limit_is_somebodys_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "address_space_limit", lambda: None)
    assert refusal(SystemError("error return without exception set")) is None


@pytest.mark.parametrize(("limit", "refused"), [(None, False), (95 << 20, True), (96 << 20, False)])
def test_a_limit_that_leaves_no_room_for_a_command_is_named_before_anything_is_imported(
    limit: int | None, refused: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refusals, "address_space_limit", lambda: limit)
    code = app.run(["--version"])
    assert code == (75 if refused else 0)
    assert ("ulimit -v, is 95 MiB; a command needs at least 96 MiB" in capsys.readouterr().err) is refused


class Refusing(importlib.abc.MetaPathFinder):
    """Raises where a module is looked for."""

    def __init__(self, name: str, error: Callable[[], Exception]) -> None:
        self._name, self._error = name, error

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == self._name:
            raise self._error()


def without_words(monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]) -> None:
    """The module with the words for errors cannot be imported."""
    name = "elspeth.cli.view.error_text"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("elspeth.cli.view.error_text", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(name, error), *sys.meta_path])


def test_an_error_is_said_where_the_module_with_its_words_finds_no_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_words(monkeypatch, out_of_memory)
    assert app._fail(ElspethError("no such run", next_step="elspeth runs"), CliContext()) == 1
    assert capsys.readouterr().err == "Error: no such run\nNext: elspeth runs\n"


def test_a_mistake_in_that_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    without_words(monkeypatch, lambda: ValueError("ours"))
    with pytest.raises(ValueError, match="ours"):
        app._fail(ElspethError("no such run"), CliContext())


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (MemoryError(), 75, "out of memory"),
        (out_of_memory(), 75, "out of memory"),
        (OSError(errno.EMFILE, "Too many open files"), 75, "this process may open no more files"),
    ],
)
def test_what_the_system_refuses_while_an_error_is_said_is_said_all_the_same(
    error: Exception, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def ends(_: object) -> int:
        raise error

    monkeypatch.setattr(app, "run", ends)
    monkeypatch.setattr(app.faulthandler, "register", lambda *_, **__: None)
    monkeypatch.setattr(app.streams, "guard", lambda: None)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr(app.output, "leave_quietly", lambda: None)
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == code
    assert capfd.readouterr().err == f"Error: {says}\n"
