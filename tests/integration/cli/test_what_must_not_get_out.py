"""Credentials stay inside, whoever prints them; and nothing that a row holds acts on a terminal."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

KEY = "sk-l1ve-0123456789/abc+def"

PLUGIN = '''\
import logging
import os
import sys

from pydantic import Field

from elspeth.plugins.contract import PluginOptions, RowError, Transform


class LeakyOptions(PluginOptions):
    api_key: str = Field(description="A credential.")


class Leaky(Transform):
    """Says its key wherever it can."""

    name = "leaky"
    Options = LeakyOptions

    def process(self, row, ctx):
        key = self.options.api_key
        match row["how"]:
            case "raise":
                raise RuntimeError(f"401 for https://service/?api_key={key}")
            case "refuse":
                raise RowError("refused", sent={"Authorization": f"Bearer {key}"})
            case "print":
                print("key is", key)
            case "log":
                logging.getLogger("leaky").error("key is %r", {"key": key})
            case "stderr":
                sys.stderr.write(f"half a line with {key}")
            case "die":
                print("last words:", key, flush=True)
                os._exit(3)
        return row
'''

PIPELINE = """\
plugins: [leaky.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: free, fields: ["how: str"]}, on_validation_failure: discard}
transforms:
  - {plugin: leaky, options: {api_key: "${SERVICE_KEY}"}, on_error: refused}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  refused: {plugin: json, options: {path: output/refused.jsonl}}
default_sink: out
landscape: {dump_to_jsonl: true}
supervisor: {poison_attempts: 2}
"""


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    (tmp_path / "leaky.py").write_text(PLUGIN)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "input.csv").write_text("how\nraise\nrefuse\nprint\nlog\nstderr\ndie\nfine\n")
    return tmp_path


def test_a_credential_that_a_plugin_gives_away_appears_nowhere(leaky: Path) -> None:
    done = elspeth(
        "--verbose", "run", "--settings", "pipeline.yaml", "--execute", cwd=leaky, SERVICE_KEY=KEY
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "key is ${SERVICE_KEY}" in done.stderr, "what it printed is shown, without the key"
    assert "last words: ${SERVICE_KEY}" in done.stderr
    said = done.stdout + done.stderr
    with sqlite3.connect(leaky / "runs" / "audit.db") as database:
        (errors,) = database.execute("SELECT group_concat(error_json) FROM transform_errors").fetchone()
        (deaths,) = database.execute("SELECT group_concat(detail) FROM supervision_events").fetchone()
    database.close()
    assert "401 for https://service/?api_key=${SERVICE_KEY}" in errors
    assert "Bearer ${SERVICE_KEY}" in errors
    assert deaths
    for row in range(7):
        told = elspeth("explain", "--run", "latest", "--row", str(row), cwd=leaky)
        assert told.returncode == 0, told.stderr
        said += told.stdout + told.stderr
    assert elspeth("export", "latest", "--output", "evidence", cwd=leaky).returncode == 0
    assert elspeth("verify", "latest", cwd=leaky).returncode == 0
    said += elspeth("status", "latest", "--json", cwd=leaky).stdout
    files = [path for path in leaky.rglob("*") if path.is_file()]
    assert len(files) > 10
    for form in (KEY, KEY.replace("/", "%2F").replace("+", "%2B"), json.dumps(KEY)[1:-1]):
        assert form not in said
        for path in files:
            assert form.encode() not in path.read_bytes(), path


def test_a_credential_in_the_error_that_ends_a_run_is_not_told(leaky: Path) -> None:
    # The plugin cannot even be set up, in a child: the run ends with its error.
    setup = "    def setup(self, ctx):\n        raise ValueError(self.options.api_key)\n\n"
    text = PLUGIN.replace("    def process", f"{setup}    def process")
    (leaky / "leaky.py").write_text(text)
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", "--verbose", cwd=leaky, SERVICE_KEY=KEY)
    assert done.returncode != 0
    assert KEY not in done.stdout + done.stderr
    assert "${SERVICE_KEY}" in done.stderr


def test_escapes_of_a_row_reach_no_terminal(tmp_path: Path) -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\x9b31m"
    (tmp_path / "pipeline.yaml").write_text(
        "source:\n  plugin: csv\n  options: {path: input.csv, schema: {mode: free, fields: ['id: int']}, "
        "on_validation_failure: bad}\nsinks:\n  out: {plugin: csv, options: {path: out.csv}}\n"
        "  bad: {plugin: json, options: {path: bad.jsonl}}\ndefault_sink: out\n"
    )
    (tmp_path / "input.csv").write_text(f"id,na{nasty}me\n1,{nasty}\nx{nasty},2\n")
    said = [elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)]
    for row in ("0", "1"):
        said.append(elspeth("explain", "--run", "latest", "--row", row, cwd=tmp_path))
        said.append(elspeth("explain", "--run", "latest", "--row", row, "--json", cwd=tmp_path))
    said.append(elspeth("run", "--settings", f"no{nasty}.yaml", cwd=tmp_path))
    said.append(elspeth("status", f"no{nasty}", cwd=tmp_path))
    said.append(elspeth(f"no{nasty}", cwd=tmp_path))
    for done in said:
        for character in "\x1b\x07\x9b\u202e":
            assert character not in done.stdout + done.stderr, done.args
    assert "\\x1b]0;owned" in said[1].stdout or "\\u001b]0;owned" in said[1].stdout, "shown, not swallowed"
    value = json.loads(said[2].stdout)
    assert nasty in value["read"]["values"].values(), "its value is what it was"
