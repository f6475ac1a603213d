"""A run in which nothing went as planned says so: before it starts where that can be known, else when it has ended."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.kit.processes.running import elspeth

PIPELINE = """
source:
  plugin: csv
  options: {path: in.csv, schema: SCHEMA}
  on_validation_failure: discard
STEPS
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
TYPED = '{mode: free, fields: ["amount: int"]}'
GATE = """gates: [{name: big, condition: "CONDITION", routes: {"true": continue, "false": discard}}]"""
ROWS = "id,amount\n" + "".join(f"{n},{n * 10}\n" for n in range(7))


def lay(folder: Path, *, steps: str = "", schema: str = TYPED, rows: str = ROWS) -> Path:
    (folder / "pipeline.yaml").write_text(PIPELINE.replace("SCHEMA", schema).replace("STEPS", steps))
    (folder / "in.csv").write_text(rows)
    return folder


def gate(condition: str) -> str:
    return GATE.replace("CONDITION", condition)


@pytest.mark.parametrize(
    ("schema", "steps", "said"),
    [
        ("{mode: observed}", gate("row['amuont'] == '1'"), "needs the field 'amuont'"),
        (TYPED, gate("row['amuont'] > 1000"), "did you mean amount?"),
        ('{mode: fixed, fields: ["id: int", "amount: int"]}', gate("row['Amount'] > 1"), "in other letters: 'amount'"),
        (
            '{mode: free, fields: ["Amount: int"]}',
            "",
            "header has no 'Amount' (it is there in other letters: 'amount')",
        ),
        ('{mode: free, fields: ["price: int"]}', "", "header has no 'price'"),
        ('{mode: fixed, fields: ["amount: int"]}', "", "its header has 'id', which is not in the schema"),
        (
            TYPED,
            "transforms: [{plugin: field_mapper, options: {mapping: {prize: price}, strict: true}, on_error: discard}]",
            "needs the field 'prize'",
        ),
        (
            TYPED,
            "aggregations: [{name: a, plugin: batch_stats, options: {value_field: amount},"
            " trigger: {condition: \"row['lst'] == 1\"}, on_error: discard}]",
            "needs the field 'lst'",
        ),
    ],
)
def test_a_field_that_no_row_of_this_header_can_have_is_found_before_anything_runs(
    tmp_path: Path, schema: str, steps: str, said: str
) -> None:
    lay(tmp_path, schema=schema, steps=steps)
    for words in (("validate", "--settings", "pipeline.yaml"), RUN[:-1], RUN):
        done = elspeth(*words, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr.replace("\n", " ")
        assert done.stderr.endswith("check with: elspeth validate --settings pipeline.yaml\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "pipeline.yaml"]


def test_a_field_that_is_asked_for_with_get_may_be_missing(tmp_path: Path) -> None:
    lay(tmp_path, steps=gate("row.get('vip', False) or row['amount'] > 20"))
    assert elspeth("validate", "--settings", "pipeline.yaml", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("there", "said"),
    [("id\n7\n", "has no column for 'amount'"), ("id,amount,share\n7,1,1\n", "has the columns 'share'")],
)
def test_an_append_under_a_header_that_does_not_fit_is_found_before_anything_runs(
    tmp_path: Path, there: str, said: str
) -> None:
    lay(tmp_path)
    file = tmp_path / "pipeline.yaml"
    file.write_text(file.read_text().replace("path: out.csv", "path: out.csv, mode: append"))
    (tmp_path / "out.csv").write_text(there)
    for words in (("validate", "--settings", "pipeline.yaml"), RUN):
        done = elspeth(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr.replace("\n", " ")
    assert (tmp_path / "out.csv").read_text() == there
    (tmp_path / "out.csv").write_text("amount,id\n1,1\n")
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0


REFUSE = """transforms:
  - {name: coerce, plugin: type_coerce, options: {conversions: [{field: id, to: int}]}, on_error: discard}"""
LETTERS = "id,amount\n" + "".join(f"x{n},{n}\n" for n in range(7))


def test_where_no_row_went_a_normal_way_the_run_is_no_success_and_stays_none(tmp_path: Path) -> None:
    lay(tmp_path, steps=REFUSE, rows=LETTERS)
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 10
    assert "7 at coerce: " in done.stdout
    assert "--row 0" in done.stdout
    assert "none of them went a normal way" in done.stdout
    again = elspeth(*RUN, "--auto-resume", cwd=tmp_path)
    assert again.returncode == 10, "a container's next start is told the same"
    assert "none of them went a normal way" in again.stdout
    assert elspeth(*RUN, "--auto-resume", "--allow-all-failed", cwd=tmp_path).returncode == 0
    assert elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path).returncode == 10
    purged = elspeth("purge", "--run", "latest", "--database", "audit.db", cwd=tmp_path)
    assert purged.returncode == 0, purged.stderr
    assert elspeth(*RUN, "--auto-resume", cwd=tmp_path).returncode == 10, "also once the reasons are purged"


def purge_whole(folder: Path, **variables: str) -> int:
    words = ("purge", "--run", "latest", "--whole", "--database", "audit.db")
    return elspeth(*words, cwd=folder, **variables).returncode


@pytest.mark.parametrize(("rows", "steps", "code"), [(LETTERS, REFUSE, 10), (LETTERS + "8,8\n", REFUSE, 0)])
def test_what_a_run_came_to_is_known_when_its_rows_are_removed(
    tmp_path: Path, rows: str, steps: str, code: int
) -> None:
    lay(tmp_path, steps=steps, rows=rows)
    assert elspeth(*RUN, cwd=tmp_path).returncode == code
    assert purge_whole(tmp_path) == 0
    with sqlite3.connect(tmp_path / "audit.db") as database:
        assert database.execute("SELECT count(*) FROM token_outcomes").fetchone() == (0,)
    assert purge_whole(tmp_path) == 0, "once more"
    assert elspeth(*RUN, "--auto-resume", cwd=tmp_path).returncode == code
    assert elspeth(*RUN, "--auto-resume", "--allow-all-failed", cwd=tmp_path).returncode == 0
    assert elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path).returncode == code
    assert elspeth("verify", "latest", "--database", "audit.db", cwd=tmp_path).returncode == 0


def test_a_removal_that_died_knows_it_when_it_is_finished(tmp_path: Path) -> None:
    lay(tmp_path, steps=REFUSE, rows=LETTERS)
    assert elspeth(*RUN, cwd=tmp_path).returncode == 10
    mark = tmp_path / "mark"
    purge_whole(tmp_path, CRASH_POINT=f"audit.in_purge:9:{mark}")
    assert mark.exists()
    assert purge_whole(tmp_path) == 0
    assert elspeth(*RUN, "--auto-resume", cwd=tmp_path).returncode == 10


def test_the_result_for_programs_holds_the_reasons(tmp_path: Path) -> None:
    lay(tmp_path, steps=REFUSE, rows=LETTERS + "8,8\n")
    done = elspeth(*RUN, "--json", cwd=tmp_path)
    assert done.returncode == 0, "one row went through"
    result = json.loads(done.stdout)
    assert result["all_failed"] is False
    (reason,) = result["reasons"]
    assert (reason["node"], reason["count"]) == ("coerce", 7)
    explained = elspeth("explain", "--run", "latest", "--row", "0", "--database", "audit.db", cwd=tmp_path)
    assert "coerce" in explained.stdout


@pytest.mark.parametrize(
    ("rows", "steps", "code"),
    [
        (ROWS, gate("row['amount'] > 1000"), 0),  # a gate leaves rows out: that is what it is for
        ("id,amount\n", "", 0),  # no row came
        ("id,amount\n1,x\n2,y\n", "", 10),  # all refused by the source
        ("id,amount\n1,x\n2,5\n", "", 0),
        (LETTERS, REFUSE.replace("discard", "null"), 10),
        (LETTERS, REFUSE.replace("discard", "aside"), 10),
    ],
)
def test_what_is_normal_is_what_the_settings_say(tmp_path: Path, rows: str, steps: str, code: int) -> None:
    lay(tmp_path, rows=rows, steps=steps)
    file = tmp_path / "pipeline.yaml"
    if "aside" in steps:
        aside = "sinks: {aside: {plugin: json, options: {path: aside.jsonl}}, "
        file.write_text(file.read_text().replace("sinks: {", aside))
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == code, done.stderr + done.stdout
    assert elspeth(*RUN, "--allow-all-failed", cwd=tmp_path).returncode == 0


def test_a_run_prints_what_validate_would_warn_of(tmp_path: Path) -> None:
    lay(tmp_path)
    file = tmp_path / "pipeline.yaml"
    waiting = (
        "aggregations: [{name: held, plugin: batch_stats, options: {value_field: amount},"
        " trigger: {timeout_seconds: 60}, on_error: discard}]\nsinks"
    )
    file.write_text(file.read_text().replace("sinks", waiting))
    warning = "held waits for a time-out"
    assert warning in elspeth("validate", "--settings", "pipeline.yaml", cwd=tmp_path).stdout
    assert warning in elspeth(*RUN, cwd=tmp_path).stderr
