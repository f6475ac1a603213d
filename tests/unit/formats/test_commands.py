"""The spellings of commands that people have in their scripts."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from elspeth.cli import app
from tests.kit.processes.running import EXAMPLES, elspeth, tree


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, whose database is in data/."""
    folder = tmp_path_factory.mktemp("finished") / "threshold"
    shutil.copytree(EXAMPLES / "threshold", folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    url = "landscape.url=sqlite:///data/audit.db"
    done = elspeth("run", "-s", "pipeline.yaml", "-x", "-f", "json", "--set", url, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    copy = tmp_path / "threshold"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("ELSPETH_LANDSCAPE__URL", raising=False)
    return copy


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code = app.run([*words, "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out)


def test_s_is_settings_for_every_command_that_takes_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move("pipeline.yaml", "other.yaml")
    assert ask(capsys, "validate", "-s", "other.yaml")["settings"] == "other.yaml"
    assert ask(capsys, "run", "-s", "other.yaml")["status"] == "planned"
    assert app.run(["graph", "-s", "other.yaml"]) == 0
    assert "amount_threshold" in capsys.readouterr().out
    assert elspeth("resume", "latest", "-s", "other.yaml", cwd=folder).returncode == 0


SHORT = {"--settings": "-s", "--execute": "-x", "--json": "--format"}


def test_every_command_that_has_the_long_spelling_has_the_short_one() -> None:
    context = click.Context(app.cli)
    found = set()
    for name in app.cli.list_commands(context):
        command = app.cli.get_command(context, name)
        assert command is not None
        options = {word for each in command.params if isinstance(each, click.Option) for word in each.opts}
        for long, short in SHORT.items():
            assert (long in options) <= (short in options), f"elspeth {name} has {long} and not {short}"
            found |= {(name, long)} if long in options else set()
        assert isinstance(command, click.Group) or "--json-logs" in options, name
    assert found >= {("run", "--settings"), ("graph", "--settings"), ("resume", "--execute"), ("purge", "--json")}


def test_x_is_execute_and_changes_nothing_on_resume(folder: Path) -> None:
    for more in ((), ("-x",), ("--execute",)):
        done = elspeth("resume", "latest", *more, "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "completed"


@pytest.mark.parametrize("spelling", ["-n", "--dry-run"])
def test_n_and_dry_run_show_the_plan_and_write_nothing(
    spelling: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(folder)
    assert ask(capsys, "run", spelling)["status"] == "planned"
    assert tree(folder) == before


def test_a_dry_run_that_executes_is_bad_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(folder)
    assert app.run(["run", "-n", "-x"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert tree(folder) == before


@pytest.mark.parametrize("spelling", [("-f", "json"), ("--format", "json"), ("--format=json",)])
def test_f_and_format_json_are_the_same_as_json(
    spelling: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["validate", "pipeline.yaml", "--json"]) == 0
    expected = capsys.readouterr().out
    assert app.run(["validate", "pipeline.yaml", *spelling]) == 0
    assert capsys.readouterr().out == expected
    assert app.run(["validate", "pipeline.yaml", "--format", "text"]) == 0
    assert capsys.readouterr().out.startswith("valid:")


def test_graph_takes_f_for_its_own_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["graph", "-s", "pipeline.yaml", "-f", "mermaid"]) == 0
    assert capsys.readouterr().out.startswith("flowchart")


def test_the_database_is_also_looked_for_in_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not (folder / "runs").exists()
    assert Path(ask(capsys, "runs")["database"]) == folder / "data" / "audit.db"


def test_explain_takes_a_row_by_its_id(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_index = ask(capsys, "explain", "--run", "latest", "--row", "3")
    assert by_index["row"] == 3
    assert ask(capsys, "explain", "--run", "latest", "--row", by_index["row_id"]) == by_index


@pytest.mark.parametrize("row", ["somebody-000000001", "three", "-1", "1.5"])
def test_what_is_neither_an_index_nor_an_id_is_bad_usage(
    row: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["explain", "--run", "latest", f"--row={row}"]) == 2
    assert "counted from 0, or an id such as" in capsys.readouterr().err


def test_purge_takes_retention_days_and_yes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "purge", "--retention-days", "1", "--yes")["runs"] == []
    assert len(ask(capsys, "purge", "--retention-days", "0", "--yes")["runs"]) == 1


def test_purge_takes_one_way_of_saying_which_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--retention-days", "1", "--older-than", "1d"], ["--older-than", "1d", "--run", "latest"]):
        assert app.run(["purge", *words]) == 2
        assert "give one of --older-than AGE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("days", "ended", "purged"), [(30, "-29 days", 0), (30, "-31 days", 1), (None, "-9999 days", 0)]
)
def test_without_an_age_purge_goes_by_the_retention_days_of_each_run(
    days: int | None, ended: str, purged: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect("data/audit.db")) as connection, connection:
        document = json.loads(connection.execute("SELECT settings_json FROM runs").fetchone()[0])
        document["payload_store"]["retention_days"] = days
        connection.execute(
            "UPDATE runs SET settings_json = ?, completed_at = strftime('%Y-%m-%dT%H:%M:%S.000Z', 'now', ?)",
            (json.dumps(document), ended),
        )
    assert len(ask(capsys, "purge", "--dry-run")["runs"]) == purged


def test_env_file_is_read_in_place_of_the_usual_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("pipeline.yaml").read_text().replace("path: input.csv", "path: ${INPUT}")
    Path("pipeline.yaml").write_text(text)
    Path(".env").write_text("INPUT=nowhere.csv\n")
    Path("other.env").write_text("INPUT=input.csv\n")
    assert any("nowhere.csv" in line for line in ask(capsys, "validate")["warnings"])
    assert not any("nowhere.csv" in line for line in ask(capsys, "validate", "--env-file", "other.env")["warnings"])
    assert ask(capsys, "run", "--env-file", "other.env", "--force-new")["next_command"].endswith("--env-file other.env")


def test_an_env_file_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["validate", "--env-file", "missing.env"]) == 2
    assert "missing.env: cannot be read: No such file" in capsys.readouterr().err


def test_json_logs_is_the_same_as_log_format_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["validate", "missing.yaml", "--json-logs"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)
