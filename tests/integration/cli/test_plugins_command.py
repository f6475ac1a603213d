from __future__ import annotations

import json
from pathlib import Path

import pytest

from elspeth.cli import app
from elspeth.plugins import registry
from elspeth.plugins.registry import BUILT_IN

OWN = '''\
from elspeth.plugins.contract import Transform


class Shout(Transform):
    """Says it louder."""

    name = "shout"

    def process(self, row, ctx):
        return row
'''


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_list_fits_the_terminal_and_names_every_plugin(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(registry, "_from_files", {})  # what other tests have loaded
    assert app.run(["plugins", "list"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    for kind, name in BUILT_IN:
        assert any(line.split()[:2] == [kind, name] for line in shown.splitlines()), (kind, name)


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
@pytest.mark.parametrize("columns", [70, 100])
def test_every_plugin_can_be_inspected_within_the_terminal(
    kind: str, name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert app.run(["plugins", "inspect", name, "--kind", kind]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{kind} {name}\n")
    assert max(map(len, shown.splitlines())) <= max(columns, 78)  # a source hash has 64 digits


def test_a_name_of_two_kinds_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["plugins", "inspect", "csv", "--json"]) == 0
    assert [plugin["kind"] for plugin in json.loads(capsys.readouterr().out)] == ["source", "sink"]


def test_options_of_a_plugin_come_with_type_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    app.run(["plugins", "inspect", "csv", "--kind", "sink", "--json"])
    (plugin,) = json.loads(capsys.readouterr().out)
    path = next(option for option in plugin["options"] if option["name"] == "path")
    assert path["required"]
    assert path["description"]
    assert plugin["delivery"] == "exactly_once"


def test_plugins_of_a_file_of_ones_own_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    assert app.run(["plugins", "list", "--kind", "transform", "--json", "--file", str(file)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {plugin["kind"] for plugin in listed} == {"transform"}
    (own,) = (plugin for plugin in listed if plugin["name"] == "shout")
    assert own["origin"] == f"file {file}"
    assert own["summary"] == "Says it louder."


def test_an_unknown_plugin_is_bad_usage_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["plugins", "inspect", "field_maper"]) == 2
    told = capsys.readouterr().err
    assert "did you mean 'field_mapper'?" in told
    assert "Next: elspeth plugins list" in told


@pytest.mark.parametrize("words", [("plugins", "list"), ("plugins", "inspect", "csv"), ("schema",)])
def test_a_plugin_file_that_is_not_there_is_to_be_corrected_where_it_was_named(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run([*words, "--file", "gone.py"]) == 2
    said = capsys.readouterr().err
    assert "The plugin file gone.py cannot be read: No such file or directory." in said
    assert "Correct --file; paths are relative to the working directory." in said
    assert "settings" not in said
