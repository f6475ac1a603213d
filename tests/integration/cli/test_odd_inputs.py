"""Inputs that are not what they seem: found before anything is written, or told with what stood in the file."""

from __future__ import annotations

import codecs
import gzip
import json
import sqlite3
from pathlib import Path

import pytest

from tests.kit.processes.running import PAUSING, begin, elspeth, wait_until

PIPELINE = """
source: {plugin: PLUGIN, options: {path: INPUTOPTIONS}, on_validation_failure: aside}
sinks: {out: {plugin: json, options: {path: out.jsonl}}, aside: {plugin: json, options: {path: aside.jsonl}}}
default_sink: out
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def lay(folder: Path, name: str, content: bytes, plugin: str, options: str = "") -> None:
    (folder / "pipeline.yaml").write_text(
        PIPELINE.replace("PLUGIN", plugin).replace("INPUT", name).replace("OPTIONS", options)
    )
    (folder / name).write_bytes(content)


WIDE = "id,v\n1,2\n"
FOUND = [
    ("in.csv", WIDE.encode("utf-16"), "csv", "", "encoding: utf-16"),
    ("in.csv", WIDE.encode("utf-16-le"), "csv", "", "encoding: utf-16-le"),
    ("in.txt", WIDE.encode("utf-16-be"), "text", "", "encoding: utf-16-be"),
    ("in.txt", WIDE.encode("utf-16"), "text", "", "encoding: utf-16"),
    ("in.jsonl", '{"a": 1}\n'.encode("utf-16"), "json", "", "byte-order mark of UTF-16"),
    ("in.csv", WIDE.encode("utf-8-sig"), "csv", ", encoding: latin-1", "encoding: utf-8"),
    ("in.csv", gzip.compress(WIDE.encode(), mtime=0), "csv", "", "compressed with gzip"),
    ("in.jsonl", gzip.compress(b"{}", mtime=0), "json", "", "compressed with gzip"),
    ("in.csv", b"PK\x03\x04\x14\x00\x06\x00", "csv", "", "an Excel workbook"),
    ("in.txt", b"PAR1\x15\x04\x15\x00", "text", "", "a Parquet file"),
    ("in.csv", b"sep=;\nid;v\n1;2\n", "csv", "", "skip_rows: 1 and delimiter: ';'"),
    ("in.csv", b"id,v\r1,2\r", "csv", "", "carriage return alone"),
    ("in.csv", b"id;v\n1;2\n", "csv", "", "Set delimiter: ';'"),
    ("in.csv", b"id\tv\n1\t2\n", "csv", "", "Set delimiter: 'tab'"),
    ("in.csv", b"", "csv", ", on_empty: refuse", "is empty (0 bytes)"),
    ("in.csv", b"\n\r\n\n", "csv", ", on_empty: refuse", "ends before a header"),
    ("in.csv", b"a note\nid,v\n", "csv", ", skip_rows: 5, on_empty: refuse", "ends before a header"),
    ("in.csv", "id,v\n1,2\n".encode("utf-32"), "csv", "", "UTF-32"),
    ("in.jsonl", codecs.BOM_UTF32_BE + '{"id": 1}'.encode("utf-32-be"), "json", "", "UTF-32"),
    ("in.jsonl", b"", "json", ", on_empty: refuse", "is empty (0 bytes)"),
]


@pytest.mark.parametrize(("name", "content", "plugin", "options", "said"), FOUND, ids=map(str, range(len(FOUND))))
def test_what_can_be_known_of_an_input_is_said_before_an_output_is_touched(
    tmp_path: Path, name: str, content: bytes, plugin: str, options: str, said: str
) -> None:
    lay(tmp_path, name, content, plugin, options)
    (tmp_path / "out.jsonl").write_text("of last week\n")
    for words in (("validate", "--settings", "pipeline.yaml"), RUN):
        done = elspeth(*words, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr.replace("\n", " ")
    assert (tmp_path / "out.jsonl").read_text() == "of last week\n"
    assert not (tmp_path / "audit.db").exists()


@pytest.mark.parametrize(
    ("name", "content", "plugin"),
    [("in.csv", b"PK,v\n1,2\n", "csv"), ("in.txt", b"BZh is a word\n", "text"), ("in.csv", b"a\n1\n", "csv")],
)
def test_text_that_only_begins_like_something_else_is_read(
    tmp_path: Path, name: str, content: bytes, plugin: str
) -> None:
    lay(tmp_path, name, content, plugin)
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0


def test_an_empty_input_is_said(tmp_path: Path) -> None:
    lay(tmp_path, "in.csv", b"", "csv")
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 0
    assert "in.csv is empty (0 bytes)" in done.stderr


def test_the_evidence_of_a_refused_row_is_the_line_as_it_was_read(tmp_path: Path) -> None:
    schema = ', null_values: [NA], schema: {mode: free, fields: ["id: int", "v: float"]}'
    lines = ["007,NA", "1,9007199254740993", '2,"x""y"', "3,4,5", '4,"A" B']
    lay(tmp_path, "in.csv", "\n".join(["id,v", "0,0.1", *lines]).encode(), "csv", schema)
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "aside.jsonl").read_text().splitlines()]
    assert [row["_raw"] for row in rows] == lines
    assert {tuple(row) for row in rows} == {("id", "v", "_line", "_error", "_raw")}, "all of one shape"
    with sqlite3.connect(tmp_path / "audit.db") as database:
        assert [raw for (raw,) in database.execute("SELECT raw_data FROM validation_errors")] == lines


def test_refused_rows_of_every_kind_go_into_one_csv(tmp_path: Path) -> None:
    lay(tmp_path, "in.csv", b'id,amount\n1,"A" B\n2,n/a\n3,5\n4\n', "csv",
        ', schema: {mode: free, fields: ["amount: int"]}')  # fmt: skip
    settings = tmp_path / "pipeline.yaml"
    settings.write_text(settings.read_text().replace("{plugin: json, options: {path: aside.jsonl}}",
                                                     "{plugin: csv, options: {path: aside.csv}}"))  # fmt: skip
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0
    lines = (tmp_path / "aside.csv").read_text().splitlines()
    assert lines[0] == "id,amount,_line,_error,_raw"
    assert [line.split(",")[:3] for line in lines[1:]] == [["", "", "2"], ["2", "n/a", "3"], ["4", "", "5"]]


MIXED = b'id,amount\nx,6\n1,"A" B\n2,n/a\n3,5\n4\n'
COERCE = "transforms: [{plugin: type_coerce, options: {conversions: [{field: id, to: int}]}, on_error: aside}]\nsinks:"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("", [["id", "amount", "_line"], ["x", "6", ""], ["", "", "3"], ["2", "n/a", "4"], ["4", "", "6"]]),
        (
            ', schema: {mode: fixed, fields: ["id: str", "amount: str"]}',
            [["id", "amount"], ["x", "6"], ["", ""], ["2", "n/a"], ["4", ""]],
        ),
    ],
)
def test_one_csv_takes_what_the_source_and_what_a_step_refused(
    tmp_path: Path, schema: str, expected: list[list[str]]
) -> None:
    lay(tmp_path, "in.csv", MIXED, "csv", ', schema: {mode: free, fields: ["amount: int"]}')
    settings = tmp_path / "pipeline.yaml"
    text = settings.read_text().replace("sinks:", COERCE)
    before, after = "plugin: json, options: {path: aside.jsonl", f"plugin: csv, options: {{path: aside.csv{schema}"
    settings.write_text(text.replace(before, after))
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0
    lines = [line.split(",")[:3] for line in (tmp_path / "aside.csv").read_text().splitlines()]
    assert lines == expected
    with sqlite3.connect(tmp_path / "audit.db") as database:
        outcomes = dict(database.execute("SELECT outcome, count(*) FROM token_outcomes GROUP BY outcome"))
    assert outcomes == {"quarantined": 4, "completed": 1}


@pytest.mark.parametrize(("option", "refused"), [("", 2), (", duplicate_keys: last", 0)])
def test_a_key_that_stands_twice_is_no_row_unless_the_last_value_is_asked_for(
    tmp_path: Path, option: str, refused: int
) -> None:
    lines = [b'{"a": 1, "a": 2}', b'{"a" :1,"b":{"c":"x\\":"}}', b'{"a": [{"b": 1, "b" : 1}]}', b'{"a": "b\\":"}']
    lay(tmp_path, "in.jsonl", b"\n".join(lines), "json", option)
    assert elspeth(*RUN, cwd=tmp_path).returncode == 0
    aside = tmp_path / "aside.jsonl"
    assert len(aside.read_text().splitlines()) == refused
    if refused:
        assert json.loads(aside.read_text().splitlines()[0])["_error"] == "has the key 'a' twice"


@pytest.mark.parametrize(("last", "code"), [("7,x", 7), ("7,x\n", 0)])
def test_a_line_that_goes_on_after_it_was_read_leaves_the_run_incomplete(tmp_path: Path, last: str, code: int) -> None:
    rows = "".join(f"{n},x\n" for n in range(7)) + last
    lay(tmp_path, "in.csv", f"id,v\n{rows}".encode(), "csv", ', schema: {mode: free, fields: ["id: int"]}')
    settings = tmp_path / "pipeline.yaml"
    steps = "plugins: [./pausing.py]\ntransforms: [{plugin: pausing, on_error: discard}]\nsinks:"
    settings.write_text(settings.read_text().replace("sinks:", steps))
    (tmp_path / "pausing.py").write_text(PAUSING)
    process = begin(*RUN, cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    with (tmp_path / "in.csv").open("a") as file:
        file.write("34\n8,y\n")
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=600)
    assert process.returncode == code, said
    with sqlite3.connect(tmp_path / "audit.db") as database:
        ((status, completed_at),) = database.execute("SELECT status, completed_at FROM runs").fetchall()
    if code:
        assert "its last line had no line end" in said
        assert (status, completed_at) == ("failed", None)
        (tmp_path / "in.csv").write_text(f"id,v\n{rows}")
        assert elspeth("resume", "latest", "--database", "audit.db", cwd=tmp_path).returncode == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize(("content", "more"), [(b"\n\r\n\n", ""), (b"a note\nid,v\n", ", skip_rows: 5")])
def test_an_input_that_ends_before_a_header_is_said_and_has_not_grown(
    tmp_path: Path, content: bytes, more: str
) -> None:
    lay(tmp_path, "in.csv", content, "csv", more)
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "in.csv ends before a header: no row will come" in done.stderr
    assert "grown" not in done.stdout + done.stderr
