"""A step for a field that no row can have is told of: it would do nothing, and nobody would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

PIPELINE = """
source: {plugin: csv, options: {path: in.csv, schema: dynamic}, on_validation_failure: discard}
landscape: {url: "sqlite:///./audit.db"}
default_sink: out
sinks: {out: {plugin: csv, options: {path: out.csv}}}
transforms: [{name: step, plugin: PLUGIN, options: OPTIONS}]
"""


def warned(folder: Path, plugin: str, options: str, header: str = "id,Amount Due,note") -> str:
    (folder / "pipeline.yaml").write_text(PIPELINE.replace("PLUGIN", plugin).replace("OPTIONS", options))
    (folder / "in.csv").write_text(header + "\n1,2,3\n")
    done = elspeth("validate", "pipeline.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("plugin", "options", "words"),
    [
        ("field_mapper", "{mapping: {nope: text}}", "'nope', so it does nothing about it (did you mean 'note'?)."),
        ("drop_fields", "{fields: [id, NOTE]}", "'NOTE', so it does nothing about it (it is there in other letters"),
        ("truncate", "{fields: {amount: 9}}", "'amount', so it does nothing about it"),
        ("keyword_filter", "{fields: [id, secret], blocked_patterns: [x]}", "'secret', so it does nothing about it."),
    ],
)
def test_a_field_that_is_in_no_header(plugin: str, options: str, words: str, tmp_path: Path) -> None:
    assert f"No row that reaches step will have {words}" in warned(tmp_path, plugin, options)
    done = elspeth("run", "pipeline.yaml", "--execute", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"No row that reaches step will have {words}" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        ("field_mapper", "{mapping: {note: text, id.part: part}}"),
        ("drop_fields", "{fields: [id, Amount_Due]}"),
        ("truncate", "{fields: {note: 9}}"),
        ("keyword_filter", "{fields: all, blocked_patterns: [x]}"),
    ],
)
def test_nothing_is_said_of_a_field_that_is_there_or_may_be(plugin: str, options: str, tmp_path: Path) -> None:
    assert "so it does nothing" not in warned(tmp_path, plugin, options)


def test_nothing_is_said_where_rows_may_have_any_field(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from elspeth.plugins.contract import Transform\n\n\nclass Own(Transform):\n    name = 'own'\n\n"
        "    def process(self, row, ctx):\n        return {**row, 'nope': 1}\n"
    )
    options = "{fields: [nope]}}, {plugin: drop_fields, options: {fields: [never]}"
    assert "so it does nothing" in warned(tmp_path, "drop_fields", options)
    text = (tmp_path / "pipeline.yaml").read_text().replace("transforms: [", "transforms: [{plugin: own}, ")
    (tmp_path / "pipeline.yaml").write_text("plugins: [own.py]\n" + text)
    done = elspeth("validate", "pipeline.yaml", cwd=tmp_path)
    assert "so it does nothing" not in done.stdout
