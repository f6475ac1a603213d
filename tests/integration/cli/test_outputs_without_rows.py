"""A CSV output to which no row came has the header that its rows would have had, where that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.settings import effective
from tests.kit.processes.running import begin, elspeth, pausing, wait_until

BEGIN = """
source: {plugin: csv, options: {path: in.csv, SCHEMA}, on_validation_failure: ON}
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
default_sink: out
"""
FREE = 'schema: {mode: free, fields: ["v: int"]}'
GATE = """
gates:
  - name: big
    condition: "row['v'] > 100"
    routes: {"true": large, "false": continue}
    on_error: FAILED
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute", "--allow-all-failed")


def go(folder: Path, steps: str, sinks: str, rows: str = "id,v\n1,2\n", *, on: str = "discard", schema: str = FREE,
       header: str = "") -> None:  # fmt: skip
    text = BEGIN.replace("SCHEMA", schema).replace("ON", on) + steps.replace("FAILED", "discard") + "sinks:\n" + sinks
    (folder / "pipeline.yaml").write_text(text)
    (folder / "in.csv").write_text(rows)
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == 0, done.stderr


def sink(name: str, options: str = "", more: str = "") -> str:
    return f"  {name}: {{plugin: csv, options: {{path: {name}.csv{options}}}{more}}}\n"


def test_the_header_of_the_input_where_no_row_was_routed(tmp_path: Path) -> None:
    go(tmp_path, GATE, sink("out") + sink("large"))
    assert (tmp_path / "out.csv").read_text() == "id,v\n1,2\n"
    assert (tmp_path / "large.csv").read_text() == "id,v\n"


def test_an_input_of_nothing_but_a_header(tmp_path: Path) -> None:
    go(tmp_path, "", sink("out", ", headers: original, delimiter: ';'"), "Id Number,v\n")
    assert (tmp_path / "out.csv").read_text() == "Id Number;v\n"


def test_optional_fields_that_are_filled_in_and_a_declared_order(tmp_path: Path) -> None:
    schema = 'schema: {mode: free, fields: ["v: int", "note: str?"]}'
    options = ", schema: {mode: free, fields: ['v: int']}"
    go(tmp_path, GATE, sink("out") + sink("large", options), schema=schema)
    assert (tmp_path / "out.csv").read_text() == "id,v,note\n1,2,\n"
    assert (tmp_path / "large.csv").read_text() == "v,id,note\n"


def test_a_quarantine_where_nothing_was_refused(tmp_path: Path) -> None:
    go(tmp_path, "", sink("out") + sink("aside"), on="aside")
    assert (tmp_path / "aside.csv").read_text() == "id,v,_line,_error,_raw\n"
    go(tmp_path, GATE.replace("FAILED", "aside"), sink("out") + sink("large") + sink("aside"), on="aside")
    assert (tmp_path / "aside.csv").read_text() == "id,v,_line,_error,_raw,_node\n"
    go(tmp_path, GATE.replace("FAILED", "aside"), sink("out") + sink("large") + sink("aside"))
    assert (tmp_path / "aside.csv").read_text() == "id,v,_error,_node\n"


def test_the_header_is_that_which_a_row_would_have_brought(tmp_path: Path) -> None:
    """The same pipelines with rows: what stands over none is what stands over some."""
    steps = GATE.replace("FAILED", "aside")
    sinks = sink("out") + sink("large") + sink("aside")
    go(tmp_path, steps, sinks, "id,v\n", on="aside")
    without = {path.name: path.read_text().splitlines() for path in tmp_path.glob("[ola]*.csv")}
    go(tmp_path, steps, sinks, "id,v\nx,n/a\n1,2\n3,400\n", on="aside")
    for name, lines in without.items():
        assert len(lines) == 1
        assert (tmp_path / name).read_text().splitlines()[0] == lines[0]


def operations(*targets: str) -> str:
    made = ", ".join(f"{{target: {target}, expression: \"row['v'] + 1\"}}" for target in targets)
    return f"{{plugin: value_transform, options: {{operations: [{made}]}}}}"


def mapper(mapping: str, more: str = "") -> str:
    return f"{{plugin: field_mapper, options: {{mapping: {{{mapping}}}{more}}}}}"


TABLE = "{plugin: lookup, options: {path: table.csv, keys: {id: k}, fields: {b: b, a: a}}}"


@pytest.mark.parametrize(
    ("steps", "header"),
    [
        ([operations("w", "id", "x")], "id,v,w,x"),
        ([mapper("id: key")], "key,v"),
        ([mapper("v: w, id: key", ", select_only: true")], "w,key"),
        ([mapper("absent: w")], "id,v"),
        ([TABLE], "id,v,b,a"),
        (["{plugin: drop_fields, options: {fields: [id]}}", operations("id")], "v,id"),
        ([mapper("v: list"), "{plugin: json_explode, options: {array_field: list}}"], "id,item,item_index"),
        ([mapper("v: t"), "{plugin: line_explode, options: {source_field: t}}"], "id,line,line_index"),
        ([mapper("id: v")], "v"),  # a name that is taken
        ([mapper("absent.part: w")], "id,v"),
        ([mapper("id.part: w")], ""),  # lifted, if it is there
    ],
    ids=str,
)
def test_steps_tell_what_becomes_of_the_order(steps: list[str], header: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("k,a,b\n1,x,y\n")
    text = f"transforms: [{', '.join(steps)}]\n"
    go(tmp_path, text, sink("out"), "id,v\n")
    assert (tmp_path / "out.csv").read_text() == (f"{header}\n" if header else "")
    if header and not any("explode" in step for step in steps):
        go(tmp_path, text, sink("out"), "id,v\n1,2\n")
        assert (tmp_path / "out.csv").read_text().splitlines()[0] == header, "that of a row"


def test_none_where_a_step_does_not_tell_in_which_order(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from elspeth.plugins.contract import Transform\n\n\nclass Own(Transform):\n    name = 'own'\n\n"
        "    def process(self, row, ctx):\n        return {'w': 1, **row}\n\n"
        "    def fields_out(self, fields):\n        return fields | {'w'}\n"
    )
    go(tmp_path, "plugins: [own.py]\ntransforms: [{plugin: own}]\n", sink("out"), "id,v\n")
    assert (tmp_path / "out.csv").read_bytes() == b""


@pytest.mark.parametrize(("merge", "header"), [("nested", "second,first"), ("union", "id,v")])
def test_branches_that_meet(merge: str, header: str, tmp_path: Path) -> None:
    steps = (
        "gates: [{name: both, condition: 'True', routes: {'true': fork}, fork_to: [first, second]}]\n"
        f"coalesce: [{{name: meet, branches: [second, first], merge: {merge}}}]\n"
    )
    go(tmp_path, steps, sink("out"), "id,v\n")
    assert (tmp_path / "out.csv").read_text() == header + "\n"


def test_append_to_a_file_that_is_empty_or_missing_or_has_a_header(tmp_path: Path) -> None:
    options = ", mode: append"
    (tmp_path / "large.csv").write_bytes(b"")
    go(tmp_path, GATE, sink("out", options) + sink("large", options))
    assert (tmp_path / "large.csv").read_text() == "id,v\n"
    go(tmp_path, GATE, sink("out", options) + sink("large", options), "id,v\n5,600\n")
    assert (tmp_path / "large.csv").read_text() == "id,v\n5,600\n"
    go(tmp_path, GATE, sink("out", options) + sink("large", options), "id,v\n7,8\n")
    assert (tmp_path / "large.csv").read_text() == "id,v\n5,600\n"
    assert (tmp_path / "out.csv").read_text() == "id,v\n1,2\n7,8\n"


def test_it_can_be_left_out(tmp_path: Path) -> None:
    go(tmp_path, GATE, sink("out") + sink("large", ", empty_header: declared"))
    assert (tmp_path / "large.csv").read_bytes() == b""
    stored = effective.as_stored({"sinks": {"out": {"plugin": "csv", "options": {"path": "x"}}}})
    assert stored["sinks"]["out"]["options"]["empty_header"] == "declared", "runs that began before there was one"


def test_a_run_that_was_resumed_writes_it_too(tmp_path: Path) -> None:
    pausing(tmp_path, 9)
    with (tmp_path / "pausing.py").open("a") as plugin:
        plugin.write("\n    def fields_out(self, fields):\n        return fields\n")
    settings = tmp_path / "pipeline.yaml"
    gate = 'gates: [{name: big, condition: "row[\'id\'] > 100", routes: {"true": large, "false": continue}}]\nsinks:\n'
    text = settings.read_text().replace(
        "sinks:\n", gate + "  large: {plugin: csv, options: {path: output/large.csv}}\n"
    )
    settings.write_text(text)
    process = begin("run", "--settings", "pipeline.yaml", "--execute", cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    process.kill()
    process.communicate(timeout=60)
    (tmp_path / "go").touch()
    done = elspeth("resume", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output" / "large.csv").read_text() == "id\n"
