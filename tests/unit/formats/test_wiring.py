"""What files of this format must name although no row goes there: a warning, not an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.formats.conftest import problems, read, run, warnings

GATE = """
source: {plugin: csv, options: {path: in.csv}}
gates:
  - {name: g, condition: "%s", routes: {%s}}
sinks:
  out: {plugin: json, options: {path: out.json}}
  never: {plugin: json, options: {path: never.json}}
default_sink: out
"""
SPARE = """
source: {plugin: csv, options: {path: in.csv}}
sinks:
  out: {plugin: json, options: {path: out.json}}
  spare: {plugin: csv, options: {path: spare.csv}%s}
  further: {plugin: json, options: {path: further.json}}
default_sink: out
"""


@pytest.mark.parametrize(
    ("condition", "routes", "never"),
    [("True", "'true': continue, 'false': never", "false"), ("1 > 2", "'true': never, 'false': out", "true")],
)
def test_a_route_that_a_condition_can_never_take_is_a_warning(
    condition: str, routes: str, never: str, folder: Path
) -> None:
    if condition == "1 > 2":
        routes, never = f"{routes}, maybe: never", "maybe"
    found = warnings(GATE % (condition, routes))
    assert found == {f"gates.0.routes.{never}": f'the condition is never "{never}"'}


def test_a_route_that_is_missing_is_an_error_still(folder: Path) -> None:
    found = problems(GATE % ("row['a'] == '1'", "'true': out, maybe: never"))
    assert [problem.key for problem in found] == ["gates.0.routes"]


def test_such_a_file_runs_and_the_sink_of_that_route_stays_empty(folder: Path) -> None:
    Path("in.csv").write_text("a\n1\n")
    run(GATE % ("True", "'true': continue, 'false': never"))
    assert json.loads(Path("out.json").read_text()) == [{"a": "1"}]
    assert json.loads(Path("never.json").read_text()) == []


def test_an_unused_sink_is_a_warning(folder: Path) -> None:
    found = warnings(SPARE % "")
    assert found == dict.fromkeys(("sinks.spare", "sinks.further"), "nothing leads to this sink: it is left alone")


def test_a_sink_that_only_an_unused_one_leads_to_is_unused(folder: Path) -> None:
    found = warnings(SPARE % ", on_write_failure: further")
    assert set(found) == {"sinks.spare", "sinks.further"}
    assert {node.id for node in read(SPARE % ", on_write_failure: further").graph.nodes} == {"source", "out"}


def test_a_default_sink_that_no_row_reaches_is_a_warning(folder: Path) -> None:
    text = SPARE.replace("path: in.csv}", "path: in.csv}, on_success: spare") % ""
    found = warnings(text)
    assert found["sinks.out"] == "nothing leads to this sink, not even as default_sink: it is left alone"


def test_a_run_leaves_the_file_of_an_unused_sink_as_it_is(folder: Path) -> None:
    Path("in.csv").write_text("a\n1\n")
    Path("spare.csv").write_text("of last year\n")
    run(SPARE % ", on_write_failure: further")
    assert json.loads(Path("out.json").read_text()) == [{"a": "1"}]
    assert Path("spare.csv").read_text() == "of last year\n"
    assert not Path("further.json").exists()
