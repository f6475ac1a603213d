from __future__ import annotations

import re
import shlex
import subprocess
import sys

import click
import pytest

from elspeth import __version__
from elspeth.cli import app
from elspeth.cli.commands import COMMANDS
from elspeth.cli.view.manual import pages
from tests.kit.processes.running import ELSPETH, environment


def _with_subcommands(name: str | None) -> list[tuple[str, ...]]:
    """The words that call a command of the table, and those of its subcommands; of nothing, of the whole."""
    if name is None:
        return [()]
    command = _find((name,))
    return [(name,), *((name, sub) for sub in command.commands)] if isinstance(command, click.Group) else [(name,)]


def _find(words: tuple[str, ...]) -> click.Command:
    command: click.Command = app.cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"no command {words}"
        command = found
    return command


def _examples(command: click.Command) -> list[str]:
    lines = [line.strip() for line in (command.epilog or "").splitlines()]
    return [line for line in lines if line.startswith("elspeth ")]


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_of_every_command_ends_in_real_examples(name: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    for words in _with_subcommands(name):
        assert app.run([*words, "--help"]) == 0
        shown = capsys.readouterr().out
        examples = _examples(_find(words))
        assert 2 <= len(examples) <= 3, words
        for example in examples:
            assert f"  {example}\n" in shown, "an example is shown as it stands, in one line"


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_example_uses_commands_and_options_that_exist(name: str | None) -> None:
    for example in (example for words in _with_subcommands(name) for example in _examples(_find(words))):
        typed = shlex.split(re.split(r" [>|] ", example)[0])[1:]
        depth = 2 if isinstance(_find((typed[0],)), click.Group) else 1
        command = _find(tuple(typed[:depth]))
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in typed[depth:] if word.startswith("--")} <= known, example


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_that_fits_one_line(name: str) -> None:
    assert COMMANDS[name].summary.endswith(".")
    assert len(COMMANDS[name].summary) < 60


def test_manual_pages_are_the_same_before_and_after_commands_were_called() -> None:
    script = (
        "from elspeth.cli import app\n"
        "from elspeth.cli.view.manual import pages\n"
        "before = dict(pages(app.cli))\n"
        "assert [app.run([*words, '--help']) for words in (['run'], ['plugins', 'list'], [])] == [0, 0, 0]\n"
        "assert dict(pages(app.cli)) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    for name, text in pages(app.cli):
        assert ".B \\-h, \\-\\-help\n" in text, name


def test_version_prints_name_and_version_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from elspeth.cli import app\n"
        "assert app.run(['--version']) == 0\n"
        "heavy = {'pydantic', 'rich', 'pykka', 'sqlite3', 'orjson', 'msgspec', 'yaml', 'peewee', 'psutil', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), timeout=600
    )
    assert done.stdout.splitlines() == [f"elspeth {__version__}", "[]"], done.stderr


def test_help_of_the_whole_imports_no_command() -> None:
    script = "import sys\nfrom elspeth.cli import app\napp.run(['--help'])\nprint('pydantic' in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), timeout=600
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_names_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    app.run(["--help"])
    assert f"\n  {name} " in capsys.readouterr().out


def test_a_misspelt_command_is_refused_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["resmue", "latest"]) == 2
    told = capsys.readouterr()
    assert "There is no command 'resmue'. Did you mean 'resume'?" in told.err
    assert told.out == ""


def test_a_missing_argument_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["resume"]) == 2
    assert "Missing argument 'RUN_ID'" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown_as_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_completion_knows_the_commands() -> None:
    done = subprocess.run(
        [ELSPETH], capture_output=True, text=True, timeout=600,
        env=environment(_ELSPETH_COMPLETE="bash_complete", COMP_WORDS="elspeth re", COMP_CWORD="1"),
    )  # fmt: skip
    assert sorted(done.stdout.split()) == ["plain,replay", "plain,report", "plain,resume"]
