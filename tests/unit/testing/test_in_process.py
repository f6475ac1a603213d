"""A whole pipeline runs in the process that asks for it, and leaves nothing on disk."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth.testing import run_in_process

PLUGIN = """
import os
from elspeth.plugins.contract import Transform

class Where(Transform):
    name = "where_am_i"

    def process(self, row, ctx):
        return {**row, "pid": os.getpid(), "now": ctx.now}
"""
PIPELINE = """
plugins: [where.py]
source:
  plugin: csv
  options: {path: rows.csv, schema: {mode: free, fields: ["n: int"]}, on_validation_failure: aside}
transforms: [{plugin: where_am_i}]
aggregations: [{name: pairs, plugin: batch_replicate, trigger: {count: 2}, output_mode: passthrough,
                options: {include_copy_index: false}}]
sinks: {out: {plugin: csv, options: {path: output/out.csv}}, aside: {plugin: json, options: {path: output/aside.jsonl}}}
default_sink: out
"""


def test_steps_run_here_and_nothing_is_written(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[attr-defined]
    Path("where.py").write_text(PLUGIN)
    Path("rows.csv").write_text("n\n1\nx\n2\n3\n")
    Path("pipeline.yaml").write_text(PIPELINE)
    before = sorted(path.name for path in tmp_path.rglob("*") if "__pycache__" not in str(path))
    finished = run_in_process(Path("pipeline.yaml"))
    assert [row["n"] for row in finished.rows["out"]] == [1, 2, 3]
    assert {row["pid"] for row in finished.rows["out"]} == {os.getpid()}
    assert all(row["now"] for row in finished.rows["out"])
    assert [row["n"] for row in finished.rows["aside"]] == ["x"]
    assert sorted(end.outcome for end in finished.outcomes.values()) == ["completed"] * 3 + ["quarantined"]
    assert len(finished.records["rows"]) == 4
    assert sorted(path.name for path in tmp_path.rglob("*") if "__pycache__" not in str(path)) == before
