"""Side outputs of transforms: rows leave as they came, for a sink, a connection or nowhere, and it is on record."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from elspeth.errors import SettingsError
from elspeth.graph.flows import arriving
from elspeth.plugins.contract import Context, Row, SideOutput, Transform
from elspeth.plugins.transforms.filter import Filter
from tests.kit.pipelines.graphs import edges_of, graph_of, problems_of
from tests.kit.pipelines.single_steps import StepsUnderTest, token

FILTERED = """
source: {plugin: "null"}
transforms:
  - {name: big, plugin: filter, options: {condition: "row['n'] > 1", %s}}
  - {name: double, plugin: value_transform, options: {operations: [{target: m, expression: "row['n'] * 2"}]}}
sinks: {out: {plugin: "null"}, small: {plugin: "null"}}
default_sink: out
"""


def filtered(rejected: str = "small") -> StepsUnderTest:
    return StepsUnderTest(FILTERED % f"rejected: {rejected}")


def test_a_row_that_is_filtered_out_goes_to_its_sink_as_it_came_with_the_condition_on_record() -> None:
    run = filtered()
    run.feed({"n": 2}, {"n": 1})
    assert run.rows == {"out": [{"n": 2, "m": 4}], "small": [{"n": 1}]}
    assert run.ends == {token(0): ("completed", "out"), token(1): ("routed", "small")}
    [event] = run.records("routing_events")
    assert (event["edge_id"], event["mode"]) == ("big:rejected", "move")
    assert json.loads(event["reason_json"]) == {"reason": "the condition is not met", "condition": "row['n'] > 1"}
    [state] = [state for state in run.records("node_states") if state["token_id"] == token(1)]
    assert (state["node_id"], state["status"], state["input_hash"]) == ("big", "completed", state["output_hash"])


def test_it_is_discarded_where_nothing_else_is_said() -> None:
    run = StepsUnderTest(FILTERED.replace(", %s", "").replace(', small: {plugin: "null"}', ""))
    run.feed({"n": 1})
    assert run.ends == {token(0): ("discarded", None)}
    assert [event["edge_id"] for event in run.records("routing_events")] == ["big:rejected"]


def test_it_may_go_on_to_another_step() -> None:
    text = FILTERED % "rejected: aside"
    more = "  - {name: mark, plugin: passthrough, input: aside, on_success: small}\nsinks:"
    run = StepsUnderTest(text.replace("sinks:", more, 1))
    run.feed({"n": 1})
    assert run.ends == {token(0): ("completed", "small")}
    assert [state["node_id"] for state in run.records("node_states")] == ["big", "mark"]


def test_a_side_output_that_leads_nowhere_is_found_with_the_settings_and_one_that_does_is_an_edge() -> None:
    problem, *_ = problems_of(FILTERED % "rejected: smal")
    assert "leads nowhere" in problem.message
    assert problem.key.endswith("options.rejected")
    assert edges_of(graph_of(FILTERED % "rejected: small"))["big:rejected"] == "small"


class Adding(Transform):
    """A transform that says it adds a field."""

    name: ClassVar[str] = "adding"

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        return fields | {"added"}


def test_what_a_step_adds_is_not_looked_for_behind_its_side_outputs() -> None:
    plugins = {"big": Adding(None)}
    flows = arriving(graph_of(FILTERED % "rejected: small"), plugins, {"source": {"n": "n"}})
    assert [flow.certain for flow in flows["double"]] == [{"n", "added"}]
    assert [flow.certain for flow in flows["small"]] == [{"n"}]
    assert flows["small"][0].way == "source -> big"


def test_a_side_output_that_no_class_names_is_the_rows_failure() -> None:
    def process(row: Row, ctx: Context) -> Any:
        return SideOutput("nowhere", "because")

    run = StepsUnderTest(FILTERED % "rejected: small", double=process)
    run.feed({"n": 2})
    assert run.ends == {token(0): ("failed", None)}
    [record] = run.records("transform_errors")
    assert "answered the side output 'nowhere'; its class names none" in json.loads(record["error_json"])["reason"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "small"}, "has a side output 'error', a word with a meaning of its own"),
        ({"continue": "small"}, "has a side output 'continue', a word with a meaning of its own"),
        (None, "side_outputs of 'filter' failed: TypeError"),
    ],
)
def test_a_class_that_says_its_side_outputs_wrongly_is_named(
    answer: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Filter, "side_outputs", classmethod(lambda cls, options: answer))
    with pytest.raises(SettingsError) as caught:
        graph_of(FILTERED % "rejected: small")
    assert words in caught.value.message


@pytest.mark.parametrize("on_missing", ["error", "empty", "drop"])
def test_a_lookup_has_a_side_output_only_where_rows_may_leave_by_it(on_missing: str) -> None:
    text = f"""
source: {{plugin: "null"}}
transforms:
  - name: find
    plugin: lookup
    options: {{path: c.csv, keys: {{a: b}}, fields: {{c: d}}, on_missing: {on_missing}}}
sinks: {{out: {{plugin: "null"}}}}
default_sink: out
"""
    assert ("find:missing" in edges_of(graph_of(text))) is (on_missing == "drop")
