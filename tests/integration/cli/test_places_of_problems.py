"""A problem that shows only when files are looked at stands at the option that it is about, with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elspeth.cli import app

SETTINGS = """\
source:
  plugin: csv
  options:
    path: in.csv
    encoding: utf-8
providers:
  model: {kind: openai, base_url: "http://localhost:1/v1"}
transforms:
  - plugin: llm
    options:
      provider: model
      model: small
      prompt_template: "{{ row.text }}"
      lookups:
        kinds: kinds.json
      multi_query:
        first:
          prompt_template: "{{ row.text }}"
        second:
          response: {format: text}
  - plugin: passthrough
    options: {}
sinks:
  out:
    plugin: csv
    options:
      path: out.csv
      collision_policy: overwrite
default_sink: out
"""

PLUGIN = '''
from elspeth.errors import SettingsError
from elspeth.plugins.contract import Transform

class BadFiles(Transform):
    """Refuses its files."""
    name = "bad_files"
    def process(self, row, ctx):
        """Nothing."""
        return row
    def check_references(self):
        """Never passes."""
        raise SettingsError("its files are bad.", next_step="mend them")
'''

LONG = "{{ 'x' * 10**9 }}"
CASES = {
    "the prompt of a question": ('"{{ row.text }}"\n        second', f'"{LONG}"\n        second',
                                 "transforms.0.options.multi_query.first.prompt_template", 18),
    "the prompt of the step": ('model: small\n      prompt_template: "{{ row.text }}"',
                               f'model: small\n      prompt_template: "{LONG}"',
                               "transforms.0.options.prompt_template", 13),
    "a table": ("kinds: kinds.json", "kinds: none.json", "transforms.0.options.lookups.kinds", 15),
    "an encoding": ("encoding: utf-8", "encoding: utf-16", "source.options.encoding", 5),
    "a policy": ("collision_policy: overwrite", "collision_policy: fail", "sinks.out.options.collision_policy", 28),
    "an option that is not written": ("    encoding: utf-8\n", "    compression: none\n", "source.options.path", 4),
    "a plugin that names no option": ("passthrough\n    options", "bad_files\n    options", "transforms.1.options", 22),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_problem_stands_at_its_option(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad, key, line = CASES[what]
    (tmp_path / "in.csv").write_text("text\nx\n")
    (tmp_path / "kinds.json").write_text("{}")
    (tmp_path / "out.csv").write_text("text\n")
    if what == "an option that is not written":
        (tmp_path / "in.csv").write_bytes("\ufeffx\n".encode("utf-16-le"))
    text = SETTINGS.replace(good, bad)
    assert text != SETTINGS
    if what == "a plugin that names no option":
        (tmp_path / "bad_files.py").write_text(PLUGIN)
        text += "plugins: [bad_files.py]\n"
    (tmp_path / "pipeline.yaml").write_text(text)
    assert app.run(["validate", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["key"], problem["line"]) == (key, line)
    assert ".." not in problem["message"]
