"""A batch with more results than fit into one body of records."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.kit.processes.running import elspeth

ROWS = 12_000

PLUGIN = '''
from elspeth.plugins.contract import Aggregation

class FirstPerKey(Aggregation):
    """Keeps the first row of each key."""

    name = "first_per_key"

    def process(self, rows, ctx):
        first = {}
        for row in rows:
            first.setdefault(row["key"], row)
        return list(first.values())
'''

SETTINGS = f"""
plugins: [./first.py]
source: {{plugin: csv, options: {{path: in.csv, schema: {{mode: strict, fields: ["key: int"]}}}}}}
aggregations: [{{name: first, plugin: first_per_key, trigger: {{count: {ROWS}}}, output_mode: transform}}]
sinks: {{out: {{plugin: csv, options: {{path: out.csv}}}}}}
default_sink: out
landscape: {{url: "sqlite:///./audit.db"}}
"""


def test_more_than_ten_thousand_results_of_one_batch_are_on_record_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(PLUGIN)
    (tmp_path / "pipeline.yaml").write_text(SETTINGS)
    (tmp_path / "in.csv").write_text("key\n" + "".join(f"{key}\n" for key in range(ROWS)))
    run = elspeth("run", "--execute", "pipeline.yaml", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [int(row["key"]) for row in csv.DictReader(file)] == list(range(ROWS))
    with closing(sqlite3.connect(tmp_path / "audit.db")) as database:
        made = database.execute(
            "SELECT s.output_data FROM node_states s WHERE s.token_id LIKE '%@first/%' ORDER BY s.token_id"
        ).fetchall()
        outcomes = database.execute("SELECT outcome, count(*) FROM token_outcomes GROUP BY 1 ORDER BY 1").fetchall()
    assert made == [(f'{{"key":{key}}}',) for key in range(ROWS)]
    assert outcomes == [("buffered", ROWS), ("completed", ROWS), ("consumed_in_batch", ROWS)]
    assert elspeth("verify", "latest", "--database", "audit.db", cwd=tmp_path).returncode == 0
