"""What stops the work and is no row's fault: the run stops in order, no row is blamed, and a resume goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.kit.processes.running import elspeth

PIPELINE = """
source: {plugin: text, options: {path: in.txt}, on_validation_failure: discard}
transforms: [{name: same, plugin: passthrough, on_error: set_aside}]
sinks: {out: {plugin: json, options: {path: out.jsonl}}, set_aside: {plugin: json, options: {path: aside.jsonl}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
payload_store: {backend: filesystem, base_path: state/payloads, inline_limit_bytes: 100}
concurrency: {max_workers: 1}
"""


def test_a_payload_store_that_cannot_be_written_blames_no_row(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "in.txt").write_text("".join(f"{'x' * 200}{n}\n" for n in range(5)))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "payloads").write_text("a file where a folder should be")
    stopped = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)
    assert stopped.returncode == 75, stopped.stderr
    assert "state/payloads" in stopped.stderr
    assert "resume" in stopped.stderr + stopped.stdout
    (tmp_path / "state" / "payloads").unlink()
    resumed = elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5
    with sqlite3.connect(tmp_path / "audit.db") as database:
        assert database.execute("SELECT DISTINCT outcome FROM token_outcomes").fetchall() == [("completed",)]
        events = [event for (event,) in database.execute("SELECT event FROM supervision_events")]
    assert not {"suspect", "quarantined", "restarted"} & set(events)
