"""A batch of many rows that gives many rows: what it costs, and what is told of whom."""

from __future__ import annotations

import json
import resource
import sqlite3
from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

ROWS = 12_000
PLUGINS = '''
"""Keeps the first row of each key: what a user writes in ten lines; and a transform to compare its cost with."""

from elspeth.plugins.contract import Aggregation, Made, Transform


class FirstOfKey(Aggregation):
    name = "first_of_key"

    def process(self, rows, ctx):
        kept = {}
        for row in rows:
            kept.setdefault(row["key"], row)
        return list(kept.values())


class PerGroup(Aggregation):
    name = "per_group"

    def process(self, rows, ctx):
        places = {}
        for place, row in enumerate(rows):
            places.setdefault(row["group"], []).append(place)
        return [Made({"group": group, "of": len(of)}, of=of) for group, of in places.items()]


class Mark(Transform):
    name = "mark"

    def process(self, row, ctx):
        return {**row, "marked": True}
'''
PIPELINE = """
plugins: [./mine.py]
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: free, fields: ["id: int", "group: int?"]}}
  on_validation_failure: discard
%s
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
"""
AGGREGATION = "aggregations: [{name: b, plugin: %s, trigger: {count: %s}, on_error: discard}]"


def run(folder: Path, steps: str, rows: list[str]) -> sqlite3.Connection:
    folder.mkdir()
    (folder / "mine.py").write_text(PLUGINS)
    (folder / "in.csv").write_text("".join(f"{row}\n" for row in rows))
    (folder / "pipeline.yaml").write_text(PIPELINE % steps)
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder)
    assert done.returncode == 0, done.stderr
    return sqlite3.connect(folder / "audit.db")


def test_a_row_of_a_batch_costs_less_than_a_kilobyte_more_than_one_that_is_transformed(tmp_path: Path) -> None:
    rows = ["id,key,group", *(f"{n},k{n},{n}" for n in range(ROWS))]
    run(tmp_path / "a", AGGREGATION % ("first_of_key", ROWS), rows).close()
    run(tmp_path / "b", "transforms: [{plugin: mark, on_error: discard}]", rows).close()
    batch, transform = ((tmp_path / name / "audit.db").stat().st_size for name in "ab")
    assert batch - transform < 1000 * ROWS
    assert (tmp_path / "a" / "out.csv").read_text().splitlines() == rows
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert largest < 400, f"a process took {largest:.0f} MB"


@pytest.mark.parametrize("plugin", ["per_group", "batch_stats"])
def test_explain_names_a_row_only_where_it_went_in(tmp_path: Path, plugin: str) -> None:
    step = AGGREGATION % (plugin, 4)
    if plugin == "batch_stats":
        step = step.replace("on_error", "options: {value_field: group, group_by: group}, on_error")
    database = run(tmp_path / "x", step, ["id,group", "0,7", "1,8", "2,7", "3,9"])
    (run_id,) = database.execute("SELECT run_id FROM runs").fetchone()
    made: dict[str, list[str]] = {}
    for token, parent in database.execute("SELECT token_id, parent_token_id FROM token_parents ORDER BY ordinal"):
        made.setdefault(token.rpartition("/")[2], []).append(parent[-1])
    assert made == {"0000": ["0", "2"], "0001": ["1"], "0002": ["3"]}
    asked = ("explain", "--run", run_id, "--database", "audit.db")
    story = json.loads(elspeth(*asked, "--row", "1", "--json", cwd=tmp_path / "x").stdout)
    (batch,) = story["tokens"]["batches"]
    assert [product["token"][-5:] for product in batch["gave"]] == ["/0001"]
    token = f"{run_id}-000000000@b/0001"
    of_token = elspeth(*asked, "--token", token, "--json", cwd=tmp_path / "x")
    assert json.loads(of_token.stdout)["row"] == 1, "told from a row that it was made of"
    text = elspeth(*asked, "--row", "1", cwd=tmp_path / "x").stdout
    assert f"made of {run_id}-000000001:" in text


def test_a_batch_that_does_not_say_is_told_as_a_whole_and_not_row_by_row(tmp_path: Path) -> None:
    database = run(tmp_path / "x", AGGREGATION % ("first_of_key", 40), ["id,key", *(f"{n},k{n}" for n in range(40))])
    (run_id,) = database.execute("SELECT run_id FROM runs").fetchone()
    asked = ("explain", "--run", run_id, "--database", "audit.db")
    text = elspeth(*asked, "--row", "7", cwd=tmp_path / "x").stdout
    assert text.count("made of the batch as a whole:") == 20
    assert "and 20 more rows of the batch, not told here" in text
    last = f"{run_id}-000000000@b/0039"
    text = elspeth(*asked, "--token", last, cwd=tmp_path / "x").stdout
    assert f"{last} (the token asked for)" in text
    checked = elspeth("verify", run_id, "--database", "audit.db", cwd=tmp_path / "x")
    assert checked.returncode == 0, checked.stdout
