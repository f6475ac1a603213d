"""A whole pipeline runs in the process that asks for it, and leaves nothing on disk."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

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


FAILING = """
from elspeth.plugins.contract import RowError, Transform

class Where(Transform):
    name = "where_am_i"

    def process(self, row, ctx):
        if row["n"] == 2:
            raise RowError("not two")
        return {"n": 6 // (row["n"] - 3)}
"""


def test_what_a_plugin_raises_is_its_rows_failure_or_raised_with_its_own_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("where.py").write_text(FAILING)
    Path("rows.csv").write_text("n\n1\n2\n3\n")
    Path("pipeline.yaml").write_text(PIPELINE)
    finished = run_in_process(Path("pipeline.yaml"))
    assert [end.outcome for end in finished.outcomes.values()].count("failed") == 2
    with pytest.raises(ZeroDivisionError) as caught:
        run_in_process(Path("pipeline.yaml"), raising=True)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(last.filename).name, last.name) == ("where.py", "process")
    Path("rows.csv").write_text("n\n1\n2\n")
    assert [end.outcome for end in run_in_process(Path("pipeline.yaml"), raising=True).outcomes.values()].count(
        "failed"
    )
    Path("where.py").write_text(FAILING.replace("- 3", "- 9"))
    Path("rows.csv").write_text("n\n3\n")
    assert run_in_process(Path("pipeline.yaml"), raising=True).rows["out"] == [{"n": -1}]
