"""The counters of real runs: `status` says what is on record, and checkpoints stay small."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.kit.fixtures.unpack import unpack
from tests.kit.oracle import tallies
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import elspeth, killed_run, make
from tests.kit.processes.recorded_run import query, run_id

SLOW = (
    DECIDING.replace(
        "transforms:\n",
        "plugins: [delay.py]\ntransforms:\n  - {plugin: delay, options: {seconds: 0.05, diary: diary}}\n",
    )
    .replace("{frequency: every_n, checkpoint_interval: 50}", "{frequency: every_row}")
    .replace("max_workers: 2", "max_workers: 1")
)
RESUME_ELSEWHERE = ("--working-directory", ".", "--accept-changed-code")


def told(folder: Path) -> dict[str, Any]:
    """What `status` says of nodes, edges and tokens."""
    done = elspeth(folder, "status", "latest", "--json")
    found = json.loads(done.stdout)
    return {
        "nodes": {
            node["node_id"]: [
                node["counts"].get("failed", 0),
                sum(node["counts"].values()),
                round(node["seconds"] * 1e6),
                round(node["longest_seconds"] * 1e6),
            ]
            for node in found["nodes"]
            if node["kind"] not in ("source", "sink") and node["counts"]
        },
        "read": {n["node_id"]: n["counts"]["read"] for n in found["nodes"] if n["counts"].get("read")},
        "written": {n["node_id"]: n["counts"]["written"] for n in found["nodes"] if n["counts"].get("written")},
        "edges": found["edges"],
        "balance": found["balance"],
    }


def on_record(folder: Path) -> dict[str, Any]:
    """The same, counted record by record, by nothing of the product's."""
    database = folder / "runs/audit.db"
    run = run_id(database)
    with closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        nodes, edges, tokens = tallies.counted(db, run, 1 << 40)
        kinds = {row["node_id"]: row["node_type"] for row in db.execute("SELECT * FROM nodes")}
        outcomes = {row[0]: row[1] for row in db.execute("SELECT outcome, count(*) FROM token_outcomes GROUP BY 1")}
        ((rows,),) = [tuple(row) for row in db.execute("SELECT count(*) FROM rows")]
    terminal = sum(count for outcome, count in outcomes.items() if outcome != "buffered")
    return {
        "nodes": {
            node: [failed, visits, microseconds, longest]
            for node, (visits, failed, microseconds, longest) in nodes.items()
            if kinds[node] not in ("source", "sink")
        },
        "read": {node: found[0] for node, found in nodes.items() if kinds[node] == "source"},
        "written": {
            node: found[0] - found[1] for node, found in nodes.items() if kinds[node] == "sink" and found[0] > found[1]
        },
        "edges": dict(edges),
        "balance": {
            "rows": rows, "tokens": tokens, "terminal": terminal, "open": tokens - terminal, "outcomes": outcomes,
        },
    }  # fmt: skip


def test_a_run_that_was_killed_between_two_tallies_says_what_is_on_record_and_so_does_its_resume(
    tmp_path: Path,
) -> None:
    killed_run(make(tmp_path))
    assert told(tmp_path) == on_record(tmp_path)
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "resume", "latest").returncode == 0
    assert told(tmp_path) == on_record(tmp_path)


def test_a_run_of_an_older_elspeth_is_counted_before_and_after_it_is_continued(tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "kept", layout=1)
    before = on_record(folder)
    assert before["nodes"]
    assert told(folder) == before
    done = elspeth(folder, "resume", "latest", *RESUME_ELSEWHERE)
    assert done.returncode == 0, done.stderr
    after = on_record(folder)
    assert after["balance"]["rows"] > before["balance"]["rows"]
    assert told(folder) == after


def test_slow_rows_make_no_checkpoint_larger_and_a_tally_has_few_bytes_a_node_and_an_edge(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "run", SLOW)
    (folder / "input.csv").write_text("id,amount,note\n" + "".join(f"{row},5,plain\n" for row in range(40)))
    (folder / "diary").mkdir()
    assert elspeth(folder, "run", "--settings", "pipeline.yaml", "--execute").returncode == 0
    database = folder / "runs/audit.db"
    (nodes,), (edges,) = query(database, "SELECT count(*) FROM nodes UNION ALL SELECT count(*) FROM edges")
    stored = [
        json.loads(message) for (message,) in query(database, "SELECT message FROM checkpoints ORDER BY checkpoint_id")
    ]
    assert "tally" in stored[1]
    assert "tally" in stored[-1]
    # The second may be sent before the first is known to be there, and then has its tally, too.
    single = ["tally" in after for before, after in pairwise(stored[2:-1]) if after["rows"] == before["rows"] + 1]
    assert len(single) > 20
    assert not any(single)
    for message in stored:
        tally = message.pop("tally", None)
        if tally is not None:
            more = len(json.dumps(tally, separators=(",", ":"))) + len(',"tally":')
            assert more <= 100 * nodes + 40 * edges
    large = {"nodes": {str(at): [10**9, 10**9, 10**15, 10**11] for at in range(100)},
             "edges": {str(at): 10**9 for at in range(100)}, "tokens": 10**10}  # fmt: skip
    assert len(json.dumps(large, separators=(",", ":"))) <= 100 * 100 + 40 * 100
    assert told(folder) == on_record(folder)
