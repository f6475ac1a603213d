"""Rows are what the schema says in every spelling of it; headers of the input become names and are restored."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from tests.kit.processes.running import elspeth

TYPES = "id,amount,share,member,note,anything\n"
ROWS = TYPES + "1,10,0.5,yes,first,7\n2,,,0,,\nx,1,1,true,refused,-\n"

TEXT: list[dict[str, Any]] = [
    {"id": "1", "amount": "10", "share": "0.5", "member": "yes", "note": "first", "anything": "7"},
    {"id": "2", "amount": "", "share": "", "member": "0", "note": "", "anything": ""},
    {"id": "x", "amount": "1", "share": "1", "member": "true", "note": "refused", "anything": "-"},
]
TYPED: list[dict[str, Any]] = [
    {"id": 1, "amount": 10, "share": 0.5, "member": True, "note": "first", "anything": "7"},
    {"id": 2, "amount": None, "share": None, "member": False, "note": None, "anything": ""},
]
SOME: list[dict[str, Any]] = [{**TEXT[0], "id": 1}, {**TEXT[1], "id": 2}]

PAIRS = '["id: int", "amount: int?", "share: float?", "member: bool", "note: str?", "anything: any"]'
MAPPINGS = "[{id: int}, {amount: 'int?'}, {share: 'float?'}, {member: bool}, {note: 'str?'}, {anything: any}]"
ONE_MAPPING = "{id: int, amount: 'int?', share: 'float?', member: bool, note: 'str?', anything: any}"
NAMED = (
    '[{name: id, type: int}, {name: amount, type: int, optional: true}, {name: share, type: "float?"},'
    ' "member:bool", "note: str ?", {name: anything, type: any}]'
)
SPELLINGS: list[tuple[str, list[dict[str, Any]]]] = [
    ("options: {path: input.csv}", TEXT),
    ("options: {path: input.csv, schema: {fields: dynamic}}", TEXT),
    ("options: {path: input.csv, schema: {mode: observed}}", TEXT),
    ("options: {path: input.csv, schema: dynamic}", TEXT),
    (f"options: {{path: input.csv, schema: {{mode: strict, fields: {PAIRS}}}}}", TYPED),
    (f"options: {{path: input.csv, schema: {{mode: fixed, fields: {MAPPINGS}}}}}", TYPED),
    (f"options: {{path: input.csv}}\n    schema: {{mode: free, fields: {ONE_MAPPING}}}", TYPED),
    (f"options: {{path: input.csv, schema: {{mode: flexible, fields: {NAMED}}}}}", TYPED),
    ('options: {path: input.csv, schema: {mode: flexible, fields: ["id: int"]}}', SOME),
    ('options: {path: input.csv, schema: {mode: free, fields: ["id: int", "more: int?"]}}',
     [{**row, "more": None} for row in SOME]),
]  # fmt: skip


def ran(folder: Path, pipeline: str) -> None:
    """Run this pipeline, which must get to its end."""
    (folder / "pipeline.yaml").write_text(pipeline)
    done = elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder)
    assert done.returncode == 0, done.stderr


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_schema_means_the_same_in_every_spelling_and_types_come_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text(ROWS)
    sources = "".join(
        f"  s{number:02}:\n    plugin: csv\n    {spelling}\n    on_success: rows\n    on_validation_failure: discard\n"
        for number, (spelling, _) in enumerate(SPELLINGS)
    )
    ran(
        tmp_path,
        f"sources:\n{sources}queues: [rows]\n"
        "transforms: [{name: everything, plugin: passthrough, input: rows, on_success: out}]\n"
        "sinks: {out: {plugin: json, options: {path: out.jsonl, format: jsonl}}}\n"
        "concurrency: {max_workers: 1}\n",
    )
    wanted = [row for _, rows in SPELLINGS for row in rows]
    assert repr(lines(tmp_path / "out.jsonl")) == repr(wanted)  # 1, 1.0 and True are not the same here
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as db:
        refused = db.execute("SELECT node_id, count(*) FROM validation_errors GROUP BY node_id").fetchall()
        errors = {error for (error,) in db.execute("SELECT error FROM validation_errors")}
    assert dict(refused) == {f"s{n:02}": 3 - len(rows) for n, (_, rows) in enumerate(SPELLINGS) if len(rows) < 3}
    assert "field 'id': expected int, found 'x'" in errors


MESSY = """\
Customer ID,Net Amount (EUR),2nd contact,plain,Größe in m²,%
1,10.5,,a,3,x
2,oops,Bo,b,4,y
3,7,Cy,c,5,z
"""
COPIES = """\
source:
  plugin: csv
  options:
    path: messy.csv
    schema: {mode: flexible, fields: ["Customer_ID: int", "Net_Amount_EUR: float", "_2nd_contact: str?"]}
  on_validation_failure: refused
gates:
  - name: copies
    condition: "row['Customer_ID'] > 0"
    routes: {"true": fork, "false": discard}
    fork_to: [normalised, original, named, lines, both]
transforms:
  - name: double
    plugin: value_transform
    input: both
    options: {operations: [{target: twice, expression: "row['Net_Amount_EUR'] * 2"}]}
    on_success: enriched
sinks:
  normalised: {plugin: csv, options: {path: out/normalised.csv}}
  original: {plugin: csv, options: {path: out/original.csv, headers: original}}
  named: {plugin: csv, options: {path: out/named.csv}, headers: {Customer_ID: "Kunde Nr.", plain: "Schlicht, einfach"}}
  lines: {plugin: json, options: {path: out/lines.jsonl, format: jsonl, headers: original}}
  enriched: {plugin: csv, options: {path: out/enriched.csv, headers: original}}
  refused: {plugin: json, options: {path: out/refused.jsonl, format: jsonl, headers: original}}
concurrency: {max_workers: 1}
"""


def test_messy_headers_are_names_inside_and_what_the_sink_says_outside(tmp_path: Path) -> None:
    (tmp_path / "messy.csv").write_text(MESSY)
    ran(tmp_path, COPIES)
    out = tmp_path / "out"

    def header(name: str) -> list[str]:
        with (out / f"{name}.csv").open(newline="") as file:
            return next(csv.reader(file))

    original = MESSY.splitlines()[0].split(",")
    assert header("normalised") == ["Customer_ID", "Net_Amount_EUR", "_2nd_contact", "plain", "Größe_in_m", "column_6"]
    assert header("original") == original
    assert header("enriched") == [*original, "twice"]
    assert header("named") == [
        "Kunde Nr.", "Net_Amount_EUR", "_2nd_contact", "Schlicht, einfach", "Größe_in_m", "column_6",
    ]  # fmt: skip
    assert (out / "original.csv").read_text().splitlines()[1:] == ["1,10.5,,a,3,x", "3,7.0,Cy,c,5,z"]
    assert list(lines(out / "lines.jsonl")[0].items()) == list(
        zip(original, (1, 10.5, None, "a", "3", "x"), strict=True)
    )
    [refused] = lines(out / "refused.jsonl")
    assert [refused[name] for name in original] == ["2", "oops", "Bo", "b", "4", "y"]
    assert refused["_error"] == "field 'Net_Amount_EUR': expected float, found 'oops'"


PLAIN = """\
source:
  plugin: csv
  options: {path: input.csv}
  on_validation_failure: discard
sinks: {out: {plugin: csv, options: {path: out.csv}}}
default_sink: out
"""


def test_headers_that_become_one_name_are_a_problem_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(PLAIN)
    (tmp_path / "input.csv").write_text("net amount,net-amount,id,id\n1,2,3,4\n")
    done = elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 2
    [problem] = told["problems"]
    assert (problem["key"], problem["line"]) == ("source.options.path", 3)
    assert "'net amount' and 'net-amount' both become 'net_amount'; header 'id' appears twice" in problem["message"]
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "runs").exists()
    renamed = "path: input.csv, skip_rows: 1, columns: [net, net_2, id, id_2]"
    (tmp_path / "pipeline.yaml").write_text(PLAIN.replace("path: input.csv", renamed))
    assert elspeth("validate", "--settings", "pipeline.yaml", cwd=tmp_path).returncode == 0


def test_a_header_that_cannot_fit_the_schema_is_a_problem_with_the_name_that_was_meant(tmp_path: Path) -> None:
    schema = "schema: {mode: fixed, fields: ['Net Amount: int', 'curency: str', 'note: str?', 'id: int']}"
    (tmp_path / "pipeline.yaml").write_text(PLAIN.replace("path: input.csv", f"path: input.csv, {schema}"))
    (tmp_path / "input.csv").write_text("id,Net Amount,currency\n1,2,EUR\n")
    told = json.loads(elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=tmp_path).stdout)
    start = "every row of 'source' will be refused: its header has"
    assert [(problem["message"], problem["suggestion"]) for problem in told["problems"]] == [
        (f"{start} no 'Net Amount' (it is called 'Net_Amount' in rows)", ""),
        (f"{start} no 'curency'", "currency"),
        (f"{start} 'Net_Amount', which is not in the schema", ""),
        (f"{start} 'currency', which is not in the schema", ""),
    ]
    (tmp_path / "input.csv").write_text("")
    told = json.loads(elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=tmp_path).stdout)
    assert told["warnings"] == ["source: its file input.csv is empty (0 bytes)."]


def test_names_that_sources_spell_differently_are_told_where_a_sink_writes_originals(tmp_path: Path) -> None:
    for name, header in (("a", "net amount"), ("b", "net-amount")):
        (tmp_path / f"{name}.csv").write_text(f"{header},id\n1,2\n")
    sources = "".join(f"  {x}: {{plugin: csv, options: {{path: {x}.csv}}, on_success: out}}\n" for x in "ab")
    (tmp_path / "pipeline.yaml").write_text(
        f"sources:\n{sources}sinks: {{out: {{plugin: csv, options: {{path: out.csv, headers: original}}}}}}\n"
    )
    told = json.loads(elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=tmp_path).stdout)
    assert told["warnings"] == [
        "'net_amount' is 'net amount' in one source and 'net-amount' in a later one: "
        "`headers: original` writes 'net-amount'."
    ]


PATHS = """\
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int", "amount: int"]}}
  on_validation_failure: discard
transforms:
  - {name: drops, plugin: field_mapper, options: {mapping: {amount: net}}}
  - {name: needs, plugin: passthrough, required_fields: [amount], options: {}}
gates: [{name: asks, condition: "row['gone'] > 1", routes: {"true": out, "false": discard}}]
sinks:
  out: {plugin: csv, options: {path: out.csv, schema: {mode: fixed, fields: ["id: int", "net: int", "fee: int"]}}}
"""


def test_a_field_that_a_path_cannot_have_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(PATHS)
    done = elspeth("validate", "--settings", "pipeline.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 2
    told = "\n".join(f"{problem['key']}: {problem['message']}" for problem in json.loads(done.stdout)["problems"])
    for key, field in (("transforms.1", "amount"), ("gates.0", "gone"), ("sinks.out", "fee")):
        assert any(line.startswith(key) and field in line for line in told.splitlines()), told


SPELT_WRONG = {
    "no mode": "{fields: ['id: int']}",
    "unknown mode": "{mode: strct, fields: ['id: int']}",
    "unknown type": "{mode: fixed, fields: ['id: integer']}",
    "listed twice": "{mode: fixed, fields: ['id: int', 'id: str']}",
    "takes no fields": "{mode: observed, fields: ['id: int']}",
    "unknown key": "{mode: observed, feilds: []}",
}


@pytest.mark.parametrize("words", SPELT_WRONG)
def test_a_schema_that_means_nothing_is_told_with_its_line(words: str, tmp_path: Path) -> None:
    settings = tmp_path / "pipeline.yaml"
    settings.write_text(PLAIN.replace("path: input.csv", f"path: input.csv, schema: {SPELT_WRONG[words]}"))
    with pytest.raises(SettingsProblems) as caught:
        load_pipeline(settings)
    problem = caught.value.problems[0]
    assert problem.line == 3
    assert words.split()[-1] in str(problem)
    assert "schema" in str(problem)
