"""`elspeth explain` tells what happened to a row, in order and whole."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.evidence.conftest import Ask, Evidence
from tests.kit.processes.running import elspeth


def explain(ask: Ask, evidence: Evidence, name: str, row: int) -> dict[str, Any]:
    code, story = ask("explain", "--database", evidence.database, "--run", evidence.runs[name], "--row", str(row))
    assert code == 0
    return dict(story)


def test_the_story_begins_with_the_row_as_it_was_read(ask: Ask, pristine: Evidence) -> None:
    read = explain(ask, pristine, "threshold", 1)["read"]
    assert (read["file"], read["line"]) == ("input.csv", 3)
    assert read["values"] == {"id": 2, "customer": "Bo", "amount": 1800}
    assert len(read["hash"]) == 64


def test_a_gate_shows_its_condition_the_values_in_it_and_the_answer(ask: Ask, pristine: Evidence) -> None:
    (visit,) = explain(ask, pristine, "threshold", 1)["tokens"]["passages"]
    assert visit["gate"]["condition"] == "row['amount'] > 1000"
    assert (visit["gate"]["values"], visit["gate"]["answer"]) == ({"amount": 1800}, True)
    assert [route["to"] for route in visit["routes"]] == ["high_values"]


def test_the_end_is_a_row_of_an_output_that_is_there(ask: Ask, pristine: Evidence) -> None:
    for row in range(8):
        story = explain(ask, pristine, "threshold", row)
        end = story["tokens"]["end"]
        lines = (pristine.folder / "threshold" / end["file"]).read_text().splitlines()
        assert str(story["read"]["values"]["id"]) in lines[end["sink_row"]]


def test_a_refused_line_shows_why_and_how_it_stood_there(ask: Ask, pristine: Evidence) -> None:
    story = explain(ask, pristine, "threshold", 3)
    assert "expected int, found 'n/a'" in story["refused"]["error"]
    assert "Dee" in story["refused"]["raw"]
    assert story["tokens"]["end"]["outcome"] == "quarantined"


def test_branches_and_what_they_were_merged_into_stand_below_the_fork(ask: Ask, pristine: Evidence) -> None:
    tree = explain(ask, pristine, "second_opinions", 1)["tokens"]
    assert [life["how"] for life in tree["becomes"]] == ["fork", "fork", "merge"]
    merged = tree["becomes"][-1]
    assert merged["parents"] == [tree["token"] + ".income", tree["token"] + ".history"]
    assert merged["passages"][0]["returned"]["history_ok"] is True
    assert merged["end"]["sink"] == "approved"


def test_what_a_node_changed_is_shown_as_a_difference(ask: Ask, pristine: Evidence) -> None:
    child = explain(ask, pristine, "expand", 0)["tokens"]["becomes"][0]
    changes = {change["field"]: change["change"] for change in child["passages"][0]["changes"]}
    assert changes == {"items": "removed", "item": "added", "item_index": "added"}
    assert [visit["node"] for visit in child["passages"]] == ["json_explode_1", "field_mapper_1"]


def test_every_row_that_was_expanded_to_is_told(ask: Ask, pristine: Evidence) -> None:
    tree = explain(ask, pristine, "expand", 0)["tokens"]
    assert tree["end"]["outcome"] == "expanded"
    assert [life["end"]["sink_row"] for life in tree["becomes"]] == [1, 2]


def test_a_batch_shows_place_size_trigger_and_what_it_gave(ask: Ask, pristine: Evidence) -> None:
    (batch,) = explain(ask, pristine, "batches", 1)["tokens"]["batches"]
    assert (batch["place"], batch["size"], batch["trigger"]) == (2, 4, "count")
    assert {life["end"]["sink"] for life in batch["gave"]} == {"totals"}


def test_a_failure_shows_node_reason_and_where_it_went(ask: Ask, pristine: Evidence) -> None:
    with closing(sqlite3.connect(pristine.database)) as database:
        ((row,),) = database.execute(
            "SELECT row_index FROM rows JOIN transform_errors ON token_id = row_id WHERE rows.run_id = ? LIMIT 1",
            (pristine.runs["quarantine"],),
        )
    (visit,) = explain(ask, pristine, "quarantine", row)["tokens"]["passages"]
    assert (visit["status"], visit["node"], visit["refused_to"]) == ("failed", "house_rules", "held_back")
    assert visit["error"]["reason"]


def test_a_token_shows_only_what_led_to_it_and_came_of_it(ask: Ask, pristine: Evidence) -> None:
    row = f"{pristine.runs['second_opinions']}-000000001"
    _, story = ask(
        "explain",
        "--database",
        pristine.database,
        "--run",
        pristine.runs["second_opinions"],
        "--token",
        f"{row}.income",
    )
    assert [life["token"] for life in story["tokens"]["becomes"]] == [f"{row}.income", f"{row}+opinions"]
    assert story["tokens"]["left_out"] == 1
    _, merged = ask(
        "explain", "--database", pristine.database, "--run", pristine.runs["second_opinions"], "--token",
        f"{row}+opinions",
    )  # fmt: skip
    assert [life["token"] for life in merged["tokens"]["becomes"]] == [
        f"{row}.history",
        f"{row}.income",
        f"{row}+opinions",
    ]


def test_rows_are_found_by_content_and_it_says_that_it_looked_at_all(
    ask: Ask, pristine: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pristine.runs["second_opinions"]
    _, several = ask("explain", "--database", pristine.database, "--run", run, "--where", "defaults=0")
    assert ([match["row"] for match in several["matches"]], several["scanned"]) == ([0, 1, 2], 6)
    _, one = ask("explain", "--database", pristine.database, "--run", run, "--where", "defaults=0", "--where", "id=3")
    assert one["row"] == 2


def test_a_row_that_is_not_there_is_an_error_that_says_which_are(words: Callable[..., str], pristine: Evidence) -> None:
    from tests.kit.processes.running import elspeth

    done = elspeth("explain", "--run", "latest", "--row", "99", "--database", pristine.database, cwd=pristine.folder)
    assert done.returncode == 1
    assert "rows 0 to 5" in done.stderr


def test_the_words_tell_what_the_json_holds(words: Callable[..., str], pristine: Evidence) -> None:
    run = pristine.runs["second_opinions"]
    text = words("explain", "--database", pristine.database, "--run", run, "--row", "2")
    for part in ("input.csv, line 4", "row['amount'] > 100, with amount = 9000", "+ income_ok: false", "└─ merged from",
                 "sink review"):  # fmt: skip
        assert part in text


def test_a_death_that_the_row_was_blamed_for_is_told(ask: Ask, evidence: Evidence) -> None:
    run = evidence.runs["threshold"]
    with closing(sqlite3.connect(evidence.database)) as database, database:
        detail = json.dumps({"row_index": 1, "deaths": 2, "reason": "SIGKILL", "pid": 7})
        database.execute(
            "INSERT INTO supervision_events (event_id, run_id, attempt, child, event, detail, at, commit_no)"
            " VALUES (?, ?, 1, 'workers', 'suspect', ?, '2026-01-01T00:00:00.000Z', 1)",
            (f"{run}!0001.000900", run, detail),
        )
    (death,) = explain(ask, evidence, "threshold", 1)["deaths"]
    assert (death["deaths"], death["reason"]) == (2, "SIGKILL")
    assert explain(ask, evidence, "threshold", 2)["deaths"] == []


def test_a_story_by_key_looks_at_no_table_as_a_whole(pristine: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement goes by a key: SQLite's plan has a SCAN for none of them, small tables of the run aside."""
    from elspeth.audit.explain.lineage import Lineage

    connection = sqlite3.connect(pristine.database)
    context: set[str] = set()
    connection.set_trace_callback(context.add)
    for name, run in pristine.runs.items():
        Lineage(connection, run).row(1 if name != "expand" else 0)
    connection.set_trace_callback(None)
    scans = [
        (statement, row[3])
        for statement in context
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        if row[3].startswith("SCAN")
        and "subquery" not in row[3].lower()
        and "(" not in row[3]
        and f") AS {row[3].split()[1]}" not in statement  # what a part of the statement found by a key
    ]
    connection.close()
    assert context
    assert scans == []


def test_a_story_is_told_without_importing_anything_heavy(pristine: Evidence) -> None:
    program = (
        "import sys; from elspeth.cli import app;"
        f" code = app.run(['explain', '--row', '0', '--database', {str(pristine.database)!r}]);"
        " heavy = {'peewee', 'pydantic', 'rich', 'msgspec', 'orjson', 'yaml', 'psutil', 'pykka'};"
        " print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_step_shows_what_it_changed_and_in_full_the_rest_too(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("id,customer,amount,note\n1,Ada,5,x\n")
    (tmp_path / "pipeline.yaml").write_text(
        "source: {plugin: csv, options: {path: input.csv, schema: {fields: dynamic}, on_validation_failure: discard}}\n"
        "transforms:\n"
        "  - {plugin: field_mapper, name: rename, options: {mapping: {customer: name}}}\n"
        "  - plugin: value_transform\n"
        "    name: raise_it\n"
        "    options: {operations: [{target: note, expression: \"'y'\"}]}\n"
        "sinks: {output: {plugin: csv, options: {path: output.csv}}}\n"
        "default_sink: output\n"
    )
    assert (done := elspeth("run", "--execute", cwd=tmp_path)).returncode == 0, done.stderr
    short, full = (
        [line.strip() for line in elspeth("explain", "--row", "0", *more, cwd=tmp_path).stdout.splitlines()]
        for more in ([], ["--full"])
    )
    for shown in (short, full):
        steps = shown[shown.index("1. rename (field_mapper)") :]
        assert [line for line in steps if line[0] in "+-~"] == ["- customer: Ada", "+ name: Ada", "~ note: x -> y"]
    assert short.count("(3 fields unchanged)") == 2
    assert "amount: 5" not in short
    assert full.count("amount: 5") == 2
    assert not any("unchanged" in line for line in full)
