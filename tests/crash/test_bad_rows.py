"""Rows that are none: set aside with their line and what was there, while the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.oracle.checker import check
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import query, run_id

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
RAW_LIMIT = 64 * 1024

CSV = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: free, fields: ["id: int"]}
    on_validation_failure: refused
sinks:
  good: {plugin: csv, options: {path: output/good.csv}}
  refused: {plugin: json, options: {path: output/refused.jsonl, format: jsonl}}
default_sink: good
"""

JSON = CSV.replace("plugin: csv\n  options:\n    path: input.csv", "plugin: json\n  options:\n    path: input.json")


def test_every_kind_of_line_that_is_no_row_is_set_aside(tmp_path: Path, programs: Programs) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(CSV, encoding="utf-8")
    lines = [
        b"id,note", b"1,good", b"2,too,many", b"3", b"4,a\0nul", b"5,\xff\xfe", b"six,wrong type", b"7,good",
        b"8," + b"x" * 50_000_000, b'9,"never closed', b"10,good",
    ]  # fmt: skip
    (folder / "input.csv").write_bytes(b"\n".join(lines) + b"\n")
    said = programs.call(folder, *RUN).said
    assert "Traceback" not in said
    database = folder / "runs/audit.db"
    assert (folder / "output/good.csv").read_text() == "id,note\n1,good\n7,good\n10,good\n"
    found = query(database, "SELECT line, length(raw_data), destination FROM validation_errors ORDER BY line")
    assert [line for line, _, _ in found] == [3, 4, 5, 6, 7, 9, 10]
    assert all(0 < size <= RAW_LIMIT for _, size, _ in found)
    assert {destination for _, _, destination in found} == {"refused"}
    outcomes = query(database, "SELECT outcome, count(*) FROM token_outcomes GROUP BY outcome ORDER BY outcome")
    assert outcomes == [("completed", 3), ("quarantined", 7)]
    assert check(folder / "pipeline.yaml", database, run_id(database), working_directory=folder, recompute=False) == []


def test_json_that_ends_in_the_middle_keeps_what_was_whole(tmp_path: Path, programs: Programs) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(JSON, encoding="utf-8")
    (folder / "input.json").write_text('[{"id": 1},\n {"id": 2},\n {"id": 3, "note": "unfin', encoding="utf-8")
    programs.call(folder, *RUN)
    database = folder / "runs/audit.db"
    assert (folder / "output/good.csv").read_text() == "id\n1\n2\n"
    ((line, raw, destination),) = query(database, "SELECT line, raw_data, destination FROM validation_errors")
    assert line == 3
    assert "unfin" in raw
    assert destination == "refused"
    assert len((folder / "output/refused.jsonl").read_text().splitlines()) == 1
    assert json.loads((folder / "output/refused.jsonl").read_text())


def test_refused_rows_that_are_discarded_are_on_record(tmp_path: Path, programs: Programs) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    settings = CSV.replace("on_validation_failure: refused", "on_validation_failure: discard")
    settings = "\n".join(line for line in settings.splitlines() if "refused:" not in line) + "\n"
    (folder / "pipeline.yaml").write_text(settings, encoding="utf-8")
    (folder / "input.csv").write_text("id,note\n1,good\ntwo,bad\n", encoding="utf-8")
    programs.call(folder, *RUN)
    database = folder / "runs/audit.db"
    assert query(database, "SELECT line, raw_data, destination FROM validation_errors") == [(3, "two,bad", "discard")]
    assert query(database, "SELECT count(*) FROM token_outcomes WHERE outcome = 'discarded'") == [(1,)]
