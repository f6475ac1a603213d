"""Pipelines that look things up, drop duplicates, sort and measure: killed and resumed, as if undisturbed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.processes import program
from tests.kit.processes.recorded_run import comparable_records, differences, outputs, run_id

EXAMPLE = program.ROOT / "ops" / "examples" / "tickets"
ROWS = 400
REST = """\
default_sink: out
checkpoint: {frequency: every_n, checkpoint_interval: 30}
concurrency: {max_workers: 2}
supervisor: {max_restarts: 10}
"""
SOURCE = """\
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: free, fields: ["id: int", "price: int"]}}
  on_validation_failure: aside
"""

ROW_BY_ROW = (
    SOURCE
    + """\
transforms:
  - plugin: lookup
    options: {path: customers.csv, keys: {customer: id}, fields: {name: customer_name}, on_missing: drop}
  - plugin: value_transform
    options:
      operations:
        - {target: kind, expression: "'bill' if contains(lower(row['subject']), 'invoice') else 'other'"}
  - {plugin: filter, options: {condition: "row['price'] > 100", rejected: cheap}}
  - {plugin: deduplicate, options: {keys: [customer, kind, price], duplicates: twice}}
  - {plugin: drop_fields, options: {fields: [subject]}}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  cheap: {plugin: json, options: {path: output/cheap.jsonl, format: jsonl}}
  twice: {plugin: json, options: {path: output/twice.jsonl, format: jsonl}}
  aside: {plugin: json, options: {path: output/aside.jsonl, format: jsonl}}
"""
    + REST
)

IN_BATCHES = (
    SOURCE
    + """\
transforms:
  - {plugin: deduplicate, options: {keys: [customer, price], keep: last, duplicates: twice}}
aggregations:
  - name: sorted
    plugin: sort
    trigger: {count: 40}
    output_mode: transform
    options: {by: [customer, {field: price, descending: true}]}
  - name: top
    plugin: limit
    trigger: {count: 40}
    output_mode: transform
    options: {count: 3, group_by: [customer]}
  - name: measured
    plugin: batch_stats
    trigger: {count: 10}
    output_mode: transform
    options: {group_by: [customer], fields: {price: [min, max, median, stdev], subject: [distinct, first, last]}}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  twice: {plugin: json, options: {path: output/twice.jsonl, format: jsonl}}
  aside: {plugin: json, options: {path: output/aside.jsonl, format: jsonl}}
"""
    + REST
)

REPORTS = (
    SOURCE
    + """\
transforms:
  - plugin: value_transform
    options: {operations: [{target: line, expression: "row['subject'] if row['price'] != 100 else None"}]}
aggregations:
  - name: reports
    plugin: report_assemble
    trigger: {count: 7}
    output_mode: transform
    on_error: aside
    options: {text_field: line, title: A report}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  aside: {plugin: json, options: {path: output/aside.jsonl, format: jsonl}}
"""
    + REST
)

TYPED = (
    """\
source:
  plugin: csv
  options:
    path: input.csv
    decimal_comma: true
    dates: {opened: {format: "%d.%m.%Y %H:%M", timezone: Europe/Berlin}}
    schema: {mode: free, fields: ["id: int", "price: decimal", "opened: datetime"]}
  on_validation_failure: aside
"""
    """\
transforms:
  - plugin: value_transform
    options:
      operations:
        - {target: gross, expression: "round(row['price'] * decimal('1.19'), 2)"}
        - {target: day, expression: "date('2024-02-28') if row['gross'] < 100 else date('2024-03-01')"}
  - {plugin: filter, options: {condition: "row['price'] != 75 and days_between(row['day'], date('2024-03-01')) <= 2"}}
  - {plugin: deduplicate, options: {keys: [customer, price], duplicates: twice}}
aggregations:
  - name: sorted
    plugin: sort
    trigger: {count: 20}
    output_mode: transform
    options: {by: [gross]}
  - name: measured
    plugin: batch_stats
    trigger: {count: 10}
    output_mode: transform
    options: {value_field: gross, group_by: [day], fields: {price: [sum, mean, max], day: [min, distinct]}}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
  twice: {plugin: json, options: {path: output/twice.jsonl, format: jsonl}}
  aside: {plugin: json, options: {path: output/aside.jsonl, format: jsonl}}
""" + REST
)

FANNED_OUT = """\
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: free, fields: ["id: int", "price: int"]}}
  on_validation_failure: aside
  on_success: [raw, work]
transforms:
  - name: double
    plugin: value_transform
    input: work
    options: {operations: [{target: twice, expression: "row['price'] * 2"}]}
    on_success: [all, one, other]
  - {name: shorten, plugin: drop_fields, input: one, options: {fields: [subject]}, on_success: one_done}
  - name: line
    plugin: value_transform
    input: report
    options: {operations: [{target: line, expression: "str(row['sum'])"}]}
    on_success: told
gates:
  - {name: dear, input: met, condition: "row['twice'] > 200", routes: {"true": [high, measured], "false": measured}}
aggregations:
  - name: measure
    plugin: batch_stats
    input: measured
    trigger: {count: 9}
    output_mode: transform
    options: {value_field: twice}
    on_success: [sums, report]
  - name: tell
    plugin: report_assemble
    input: told
    trigger: {count: 4}
    output_mode: transform
    options: {text_field: line}
    on_success: reports
coalesce:
  - {name: meet, branches: {one: one_done, other: other}, policy: require_all, merge: union, on_success: met}
sinks:
  raw: {plugin: csv, options: {path: output/raw.csv}}
  all: {plugin: json, options: {path: output/all.jsonl, format: jsonl}}
  high: {plugin: csv, options: {path: output/high.csv}}
  sums: {plugin: csv, options: {path: output/sums.csv}}
  reports: {plugin: json, options: {path: output/reports.jsonl, format: jsonl}}
  aside: {plugin: json, options: {path: output/aside.jsonl, format: jsonl}}
checkpoint: {frequency: every_n, checkpoint_interval: 30}
concurrency: {max_workers: 2}
supervisor: {max_restarts: 10}
"""
PIPELINES = {
    "row by row": ROW_BY_ROW,
    "in batches": IN_BATCHES,
    "reports": REPORTS,
    "typed": TYPED,
    "fanned out": FANNED_OUT,
}
DEATHS = [
    ("stage.after_flush", 3), ("stage.before_send", 5), ("audit.in_transaction", 4), ("audit.after_commit", 3),
    ("sink.after_flush", 4), ("main.after_durable", 4),
]  # fmt: skip


def lay_out(folder: Path, settings: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(settings)
    (folder / "customers.csv").write_text("id,name\n" + "".join(f"c{n},Customer {n}\n" for n in range(8)))
    chance = random.Random(7)
    with (folder / "input.csv").open("w") as file:
        file.write("id,customer,price,subject,opened\n")
        for number in range(ROWS):
            price = "dear" if not number % 50 else chance.randrange(60, 160, 5)
            subject = chance.choice(["An INVOICE", "a question", "My invoice", ""])
            opened = f"{1 + number % 31:02}.03.2024 {number % 7:02}:30"
            file.write(f"{number},c{chance.randrange(10)},{price},{subject},{opened}\n")
    return folder


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    with program.programs() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    with program.programs() as started:
        for name, settings in PIPELINES.items():
            folders[name] = lay_out(tmp_path_factory.mktemp("undisturbed") / "run", settings)
            started.call(folders[name], "run", "--settings", "pipeline.yaml", "--execute")
            assert violations(folders[name]) == []
    return folders


def violations(folder: Path) -> list[str]:
    database = folder / "runs/audit.db"
    settings = folder / "pipeline.yaml"
    return check(settings, database, run_id(database), working_directory=folder, recompute=False)


def test_typed_values_come_out_as_the_source_spelled_them_in_their_one_form(undisturbed: dict[str, Path]) -> None:
    with (undisturbed["typed"] / "output" / "twice.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    assert rows
    given = {f"{1 + row['id'] % 31:02}T{row['id'] % 7:02}:30:00": row["opened"] for row in rows}
    assert all(
        opened[:19] == f"2024-03-{text}" and opened[19:] in ("+01:00", "+02:00") for text, opened in given.items()
    )
    assert all(row["gross"] == str(round(Decimal(row["price"]) * Decimal("1.19"), 2)) for row in rows)
    aside = (undisturbed["typed"] / "output" / "aside.jsonl").read_text()
    assert "in Europe/Berlin clocks never showed that time" in aside


@pytest.mark.parametrize(("point", "passing"), DEATHS)
@pytest.mark.parametrize("name", PIPELINES)
def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(
    name: str, point: str, passing: int, tmp_path: Path, programs: program.Programs, undisturbed: dict[str, Path]
) -> None:
    folder, mark = lay_out(tmp_path / "run", PIPELINES[name]), tmp_path / "mark"
    words: tuple[str, ...] = ("run", "--settings", "pipeline.yaml", "--execute")
    for number in range(2):  # and once more, in the resume
        arms = {"CRASH_POINT": f"{point}:{passing if not number else 2}:{mark}{number}", "CRASH_GROUP": "1"}
        programs.start(folder, *words, **arms).ends_with(-9)
        assert Path(f"{mark}{number}").exists()
        words = ("resume", run_id(folder / "runs/audit.db"))
    programs.start(folder, *words).ends_with(0)
    assert violations(folder) == []
    assert outputs(folder) == outputs(undisturbed[name])
    databases = (undisturbed[name] / "runs/audit.db", folder / "runs/audit.db")
    expected, found = (comparable_records(database, run_id(database)) for database in databases)
    assert differences(found, expected) == []
    programs.call(folder, "verify", "latest", "--outputs")


@pytest.mark.parametrize(
    "point", ["worker.before_send", "stage.before_send", "stage.after_flush", "main.before_durable"]
)
def test_the_example_of_tickets_killed_and_resumed_gives_what_is_expected(
    point: str, tmp_path: Path, programs: program.Programs
) -> None:
    folder, mark = tmp_path / "tickets", tmp_path / "mark"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("output", "runs", "state"))
    arms = {"CRASH_POINT": f"{point}:1:{mark}", "CRASH_GROUP": "1"}
    programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **arms).ends_with(-9)
    assert mark.exists()
    programs.start(folder, "resume", run_id(folder / "runs/audit.db")).ends_with(0)
    for expected in (EXAMPLE / "expected").iterdir():
        assert (folder / "output" / expected.name).read_bytes() == expected.read_bytes(), expected.name
    assert violations(folder) == []


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stage_that_dies_inside_a_run_is_restored(
    name: str, tmp_path: Path, programs: program.Programs, undisturbed: dict[str, Path]
) -> None:
    folder, mark = lay_out(tmp_path / "run", PIPELINES[name]), tmp_path / "mark"
    arms = {"CRASH_POINT": f"stage.before_send:4:{mark}"}
    programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **arms).ends_with(0)
    assert mark.exists()
    assert violations(folder) == []
    assert outputs(folder) == outputs(undisturbed[name])
