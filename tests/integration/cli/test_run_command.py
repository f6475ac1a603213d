from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.processes.running import begin, elspeth, pausing, tree, wait_until

RUN = ("run", "--settings", "pipeline.yaml")
SHAPE = {
    "status", "run_id", "rows", "outcomes", "sinks", "duration_seconds", "database", "exit_code", "resumable",
    "next_command", "error",
}  # fmt: skip


@pytest.mark.parametrize("more", [[], ["--json"], ["--auto-resume"], ["--force-new"]])
def test_without_execute_nothing_is_written(threshold: Path, more: list[str]) -> None:
    before = tree(threshold)
    done = elspeth(*RUN, *more, cwd=threshold)
    assert done.returncode == 0, done.stderr
    assert tree(threshold) == before


def test_the_plan_shows_all_that_would_happen(threshold: Path) -> None:
    (threshold / "output").mkdir()
    (threshold / "output/normal.csv").write_text("old")
    settings = threshold / "pipeline.yaml"
    text = settings.read_text().replace("output/high_values.csv", "more/high_values.csv, mode: append")
    settings.write_text(text + "concurrency: {max_workers: 2}\n")
    (threshold / "more").mkdir()
    (threshold / "more/high_values.csv").write_text("id,customer,amount\n2,Bo,1800\n")
    shown = elspeth(*RUN, cwd=threshold, COLUMNS="120").stdout
    assert "amount_threshold  row['amount'] > 1000" in shown
    assert "input.csv  100 bytes" in shown
    assert "overwritten (3 bytes there now)" in shown
    assert "appended to (29 bytes stay)" in shown
    assert "created" in shown
    assert "runs/audit.db: will be created" in shown
    assert "New folders  runs" in shown
    assert "after every row" in shown
    assert "up to 2" in shown
    assert shown.endswith("nothing was run or written. To run it:\n  elspeth run --settings pipeline.yaml --execute\n")


WIDE = ",".join(f"Column {number}" for number in range(20))


@pytest.mark.parametrize(("header", "line"), [("id,amount", "{0},5"), (f"id,{WIDE}", "{0}" + ",a value" * 20)])
@pytest.mark.parametrize("steps", [0, 2])
def test_plan_and_validate_say_about_how_large_the_audit_trail_will_be(
    tmp_path: Path, header: str, line: str, steps: int
) -> None:
    (tmp_path / "input.csv").write_text(header + "\n" + "".join(line.format(n) + "\n" for n in range(2000)))
    operation = "{{plugin: value_transform, name: s{0}, options: {{operations: [{{target: t{0}, expression: '1'}}]}}}}"
    (tmp_path / "pipeline.yaml").write_text(
        "source: {plugin: csv, options: {path: input.csv, schema: {fields: dynamic}, on_validation_failure: discard}}\n"
        f"transforms: [{', '.join(operation.format(n) for n in range(steps))}]\n"
        "sinks: {output: {plugin: csv, options: {path: output.csv}}}\n"
        "default_sink: output\n"
    )
    size = json.loads(elspeth("run", "--json", cwd=tmp_path).stdout)["plan"]["audit_bytes"]
    assert json.loads(elspeth("validate", "--json", cwd=tmp_path).stdout)["audit_bytes"] == size
    for command in ("run", "validate"):
        assert "(an estimate from the inputs' sizes and the steps)" in elspeth(command, cwd=tmp_path).stdout
    assert (done := elspeth("run", "--execute", cwd=tmp_path)).returncode == 0, done.stderr
    assert 0.5 < size / (tmp_path / "runs" / "audit.db").stat().st_size < 2


def test_plan_and_validate_show_what_the_columns_are_called_in_rows(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("id,Customer ID,1st value\n1,2,3\n")
    (tmp_path / "pipeline.yaml").write_text(
        "source: {plugin: csv, options: {path: input.csv, schema: {fields: dynamic}, on_validation_failure: discard}}\n"
        "sinks: {output: {plugin: csv, options: {path: output.csv}}}\n"
        "default_sink: output\n"
    )
    fields = {"id": "id", "Customer_ID": "Customer ID", "_1st_value": "1st value"}
    assert json.loads(elspeth("run", "--json", cwd=tmp_path).stdout)["plan"]["fields"] == {"source": fields}
    for command in ("run", "validate"):
        shown = elspeth(command, cwd=tmp_path).stdout
        assert "Fields of source: id, 'Customer ID' -> Customer_ID, '1st value' -> _1st_value\n" in shown


def test_the_plan_names_what_cannot_be_promised(threshold: Path) -> None:
    (threshold / "own.py").write_text(
        "from elspeth.plugins.contract import Transform\n"
        "class Dice(Transform):\n"
        '    name = "dice"\n'
        '    determinism = "nondeterministic"\n'
        "    def process(self, row, ctx):\n"
        "        return row\n"
    )
    settings = threshold / "pipeline.yaml"
    settings.write_text(
        settings.read_text() + "plugins: [own.py]\ntransforms: [{plugin: dice}]\ncheckpoint: {enabled: false}\n"
    )
    for command in ("run", "validate"):
        shown = elspeth(command, "--settings", "pipeline.yaml", cwd=threshold).stdout
        assert "dice_1 (dice) is not deterministic" in shown
        assert "without checkpoints a run cannot be resumed" in shown


def test_a_run_ends_with_a_summary_on_stdout_and_all_else_on_stderr(threshold: Path) -> None:
    done = elspeth(*RUN, "--execute", cwd=threshold)
    assert done.returncode == 0, done.stderr
    for name in ("normal.csv", "high_values.csv"):
        assert (threshold / "output" / name).read_bytes() == (threshold / "expected" / name).read_bytes()
    with closing(sqlite3.connect(threshold / "runs/audit.db")) as db:
        (run_id,) = db.execute("SELECT run_id FROM runs").fetchone()
    database = threshold / "runs/audit.db"
    assert done.stdout.startswith(f"Run {run_id} completed after ")
    assert ": 8 rows\n" in done.stdout
    assert "  normal          4  output/normal.csv" in done.stdout
    assert "1 row did not go the normal way: 1 quarantined." in done.stdout
    assert f"Audit trail: {database}" in done.stdout
    assert f"  elspeth resume {run_id} --database {database}\n" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no colours where there is no terminal"


def test_json_is_one_object_of_a_known_shape(threshold: Path) -> None:
    done = elspeth(*RUN, "--execute", "--json", cwd=threshold)
    told = json.loads(done.stdout)
    assert set(told) >= SHAPE
    assert (told["status"], told["rows"], told["exit_code"], told["resumable"]) == ("completed", 8, 0, False)
    assert told["outcomes"] == {"completed": 4, "routed": 3, "quarantined": 1}
    assert told["sinks"] == {"normal": 4, "high_values": 3, "quarantine": 1}
    assert told["database"] == str(threshold / "runs/audit.db")
    assert told["error"] is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("run", "--settings", "nothing.yaml", "--json"), 2),
        (("run", "--settings", "pipeline.yaml", "--auto-resume", "--force-new", "--json"), 2),
        (("resume", "nothing", "--json"), 1),
    ],
)
def test_json_has_its_shape_when_nothing_was_run(threshold: Path, line: tuple[str, ...], code: int) -> None:
    done = elspeth(*line, cwd=threshold)
    told = json.loads(done.stdout)
    assert set(told) >= SHAPE
    assert done.returncode == told["exit_code"] == code
    assert told["status"] == "refused"
    assert told["error"]["message"] in done.stderr


def test_fail_on_rows_makes_rows_that_failed_an_exit_code(threshold: Path) -> None:
    assert elspeth(*RUN, "--execute", "--fail-on-rows", cwd=threshold).returncode == 10
    again = elspeth(*RUN, "--execute", "--fail-on-rows", "--auto-resume", cwd=threshold)
    assert again.returncode == 10, "a container that is started again gets the same answer"
    assert "Nothing was done." in again.stdout


def test_a_setting_and_a_database_can_be_given_on_the_command_line(threshold: Path) -> None:
    done = elspeth(
        *RUN, "--execute", "--set", "sinks.normal.options.path=out/a.csv", "--database", "my audit.db", cwd=threshold
    )
    assert done.returncode == 0, done.stderr
    assert (threshold / "out/a.csv").exists()
    assert (threshold / "my audit.db").exists()
    assert not (threshold / "runs").exists()
    assert f"--database '{threshold}/my audit.db'" in done.stderr


def test_log_lines_are_json_throughout_where_programs_read(threshold: Path) -> None:
    done = elspeth(*RUN, "--execute", "--log-format", "json", cwd=threshold)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    assert all({"at", "run_id", "role", "level", "message"} <= set(line) for line in lines)
    assert lines[0]["next_command"].startswith("elspeth resume ")


def test_a_reader_of_the_summary_that_went_away_does_not_change_the_exit_code(threshold: Path) -> None:
    process = begin(*RUN, "--execute", cwd=threshold)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0, told
    assert "Traceback" not in told
    assert "BrokenPipe" not in told


def test_a_run_goes_on_when_nobody_reads_its_messages(tmp_path: Path) -> None:
    expected = pausing(tmp_path, 50)
    process = begin(*RUN, "--execute", cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    assert process.stderr is not None
    process.stderr.close()
    (tmp_path / "go").touch()
    assert process.stdout is not None
    summary = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0
    assert "completed" in summary
    assert (tmp_path / "output/out.csv").read_text() == expected


def test_an_unfinished_run_is_refused_then_finished_by_the_command_that_is_named(tmp_path: Path) -> None:
    expected = pausing(tmp_path, 50)
    process = begin(*RUN, "--execute", cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)

    alive = elspeth(*RUN, "--execute", "--json", cwd=tmp_path)
    assert alive.returncode == 3
    assert "Run already in progress" in alive.stderr
    assert f"pid {process.pid}" in alive.stderr

    os.kill(process.pid, signal.SIGKILL)
    _, announced = process.communicate()
    dead = elspeth(*RUN, "--execute", "--json", cwd=tmp_path)
    assert dead.returncode == 3
    told = json.loads(dead.stdout)
    assert told["resumable"]
    with closing(sqlite3.connect(tmp_path / "runs/audit.db")) as db:
        (run_id,) = db.execute("SELECT run_id FROM runs").fetchone()
    assert told["next_command"] == f"elspeth resume {run_id}"
    plan = elspeth(*RUN, cwd=tmp_path)
    assert plan.returncode == 0
    assert "--execute would be refused (exit code 3): Run already in progress" in plan.stdout
    assert "To run it" not in plan.stdout

    (tmp_path / "go").touch()
    command = next(line.strip() for line in announced.splitlines() if line.startswith("  elspeth resume"))
    done = elspeth(*command.split()[1:], cwd=tmp_path.parent)  # complete: from any folder
    assert done.returncode == 0, done.stderr
    assert "This was attempt 2." in done.stdout
    assert f"{run_id} worker-1: waiting at row 5\n" in announced, "what children print is there, whole"
    assert (tmp_path / "output/out.csv").read_text() == expected


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_says_how_to_continue(tmp_path: Path, number: signal.Signals, code: int) -> None:
    expected = pausing(tmp_path, 60_000)
    process = begin(*RUN, "--execute", "--json", cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    process.send_signal(number)
    (tmp_path / "go").touch()
    result, told = process.communicate(timeout=600)
    value = json.loads(result)
    assert (process.returncode, value["exit_code"], value["status"]) == (code, code, "interrupted"), told
    assert f"Stopped: stopped by {number.name}\nNext: {value['next_command']}\n" in told
    done = elspeth(*value["next_command"].split()[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output/out.csv").read_text() == expected


@pytest.mark.parametrize("more", [[], ["--execute"]])
def test_a_place_where_no_database_can_be_made_is_told_in_one_sentence(threshold: Path, more: list[str]) -> None:
    (threshold / "runs").write_text("a file")
    done = elspeth(*RUN, *more, cwd=threshold)
    assert done.returncode == 75
    assert "internal error" not in done.stderr
    assert f"{threshold}/runs" in done.stderr
    assert not (threshold / "output").exists()


def test_a_database_that_is_none_is_refused_before_anything_is_written(threshold: Path) -> None:
    (threshold / "notes.txt").write_text("not a database, but long enough to be looked at\n" * 100)
    before = tree(threshold)
    done = elspeth(*RUN, "--execute", "--database", "notes.txt", cwd=threshold)
    assert done.returncode in (1, 2)
    assert "internal error" not in done.stderr
    assert tree(threshold) == before
