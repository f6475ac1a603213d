from __future__ import annotations

import fcntl
import json
import os
import signal
import termios
from array import array
from pathlib import Path

import psutil
import pytest

from elspeth import errors
from elspeth.cli import app
from elspeth.cli.context import CliContext
from elspeth.cli.view import error_text
from tests.kit.processes.running import begin, wait_until


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ElspethError, 1), (errors.SettingsError, 2), (errors.RunInProgress, 3), (errors.RunNotFound, 4),
        (errors.NoCheckpoint, 5), (errors.ConfigurationMismatch, 6), (errors.SourceChanged, 7),
        (errors.OutputDamaged, 8), (errors.TakenOver, 9), (errors.Temporary, 75), (errors.Interrupted, 130),
        (errors.Terminated, 143),
    ],
)  # fmt: skip
def test_every_error_becomes_words_and_its_exit_code(
    kind: type[errors.ElspethError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("what was found", details=["a fact"], next_step="elspeth runs")

    monkeypatch.setattr("elspeth.plugins.registry.available", fail)
    assert app.run(["plugins", "list"]) == code
    told = capsys.readouterr()
    head = "Stopped:" if code in (130, 143) else "Error:"
    assert told.err == f"{head} what was found\n  a fact\nNext: elspeth runs\n"
    assert told.out == ""


def test_an_unexpected_error_is_one_line_that_owns_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("elspeth.plugins.registry.available", lambda: 1 / 0)
    assert app.run(["plugins", "list"]) == 1
    told = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: division by zero; this is a bug in Elspeth" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("line", [["--verbose", "plugins", "list"], ["plugins", "list", "--verbose"]])
def test_verbose_shows_where_an_error_arose(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("elspeth.plugins.registry.available", lambda: 1 / 0)
    assert app.run(line) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "1 / 0" in told


def test_ctrl_c_before_anything_was_begun_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("elspeth.plugins.registry.available", interrupted)
    assert app.run(["plugins", "list"]) == 130
    assert "Stopped:" in capsys.readouterr().err


def test_errors_are_json_lines_where_programs_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise errors.Temporary("the disk is full", details=["0 bytes left"], next_step="make room")

    monkeypatch.setattr("elspeth.plugins.registry.available", fail)
    assert app.run(["plugins", "list", "--log-format", "json"]) == 75
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"], line["details"]) == ("error", "the disk is full", ["0 bytes left"])


def test_the_next_command_names_the_database_that_had_to_be_named() -> None:
    error = errors.RunInProgress("in progress", next_step="finish it: elspeth resume mf3k2a9x   or give it up")
    context = CliContext(given_database="my runs/audit.db")
    assert error_text.next_step(error, CliContext()) == error.next_step
    path = f"{Path.cwd()}/my runs/audit.db"
    command = f"elspeth resume mf3k2a9x --database '{path}'"
    assert error_text.next_step(error, context) == f"finish it: {command}   or give it up"
    assert error_text.refusal(error, context)["next_command"] == command


@pytest.mark.parametrize(
    ("step", "command"),
    [
        ("elspeth runs", "elspeth runs"),
        ("elspeth resume mf3k2a9x  (uses the stored settings)", "elspeth resume mf3k2a9x"),
        ("mend it, then check with: elspeth validate --settings a.yaml", "elspeth validate --settings a.yaml"),
        ("`elspeth plugins list` shows all", "elspeth plugins list"),
        ("make room", None),
    ],
)
def test_the_next_command_for_programs_is_the_command_alone(step: str, command: str | None) -> None:
    assert error_text.refusal(errors.ElspethError("no", next_step=step), CliContext())["next_command"] == command


@pytest.mark.parametrize("kind", [errors.Temporary, errors.PersonNeeded])
def test_what_waits_for_somebody_can_be_resumed(kind: type[errors.ElspethError]) -> None:
    told = error_text.refusal(kind("no", next_step="see to it, then: elspeth resume mf3k2a9x"), CliContext())
    assert (told["resumable"], told["exit_code"]) == (True, kind.exit_code)
    assert told["next_command"] == "elspeth resume mf3k2a9x"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_was_begun_is_told_and_has_its_exit_code(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    settings = tmp_path / "pipeline.yaml"
    os.mkfifo(settings)
    process = begin("run", "--settings", settings, "--execute", "--json", cwd=tmp_path)
    with settings.open("w") as written:  # opens when the command has opened it too
        written.write("# nothing")
        written.flush()
        # It has read this and waits for more: Python handles a signal that comes just before a read after that read.
        wait_until(lambda: not _unread(written.fileno()) and _is_waiting(process.pid), process)
        process.send_signal(number)
        result, told = process.communicate(timeout=600)
    assert process.returncode == code, told
    assert told.strip() == f"Stopped: stopped by {number.name}"
    assert json.loads(result)["exit_code"] == code


def _unread(pipe: int) -> int:
    """Bytes that nobody has read yet."""
    return int(array("i", fcntl.ioctl(pipe, termios.FIONREAD, array("i", [0]).tobytes()))[0])


def _is_waiting(pid: int) -> bool:
    """Whether the process's first thread is in a read (a system call's number), or asleep where that is not told."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] in ("0", "63")  # x86_64, aarch64
    except OSError:
        return psutil.Process(pid).status() == psutil.STATUS_SLEEPING
