"""Settings that are right become the graph that they describe."""

from __future__ import annotations

import pytest

from elspeth.graph.labels import route_label
from elspeth.graph.model import DISCARD, Edge, Target
from tests.kit.pipelines.graphs import edges_of, graph_of

THRESHOLD = """
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: free, fields: ["id: int", "amount: int"]}}
  on_validation_failure: quarantine
transforms:
  - {plugin: field_mapper, options: {mapping: {a: b}}, on_error: quarantine}
gates:
  - name: amount_threshold
    condition: "row['amount'] > 1000"
    routes: {"true": high_values, "false": continue}
sinks:
  output: {plugin: csv, options: {path: out.csv}, on_write_failure: quarantine}
  high_values: {plugin: csv, options: {path: high.csv}}
  quarantine: {plugin: csv, options: {path: bad.csv}}
default_sink: output
"""

DIAMOND = """
source: {plugin: csv, options: {}}
gates:
  - {name: split, condition: "True", routes: {"true": fork}, fork_to: [left, right]}
transforms:
  - {name: shout, plugin: value_transform, input: left, on_success: shouted}
coalesce:
  - {name: merge, branches: {left: shouted, right: right}}
sinks: {output: {plugin: csv}}
default_sink: output
"""


def test_steps_left_unwired_follow_one_another_and_end_in_the_default_sink() -> None:
    graph = graph_of(THRESHOLD)
    assert edges_of(graph) == {
        "source:continue": "field_mapper_1",
        "source:error": "quarantine",
        "field_mapper_1:continue": "amount_threshold",
        "field_mapper_1:error": "quarantine",
        "amount_threshold:true": "high_values",
        "amount_threshold:false": "output",
        "output:error": "quarantine",
    }
    assert [node.id for node in graph.nodes] == [
        "source", "field_mapper_1", "amount_threshold", "output", "high_values", "quarantine",
    ]  # fmt: skip
    assert [node.sequence for node in graph.nodes] == list(range(6))


def test_transforms_come_before_aggregations_and_aggregations_before_gates() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates: [{name: g, condition: "row['a'] > 1", routes: {"true": continue, "false": discard}}]
aggregations: [{name: sums, plugin: batch_stats, trigger: {count: 10}}]
transforms: [{plugin: passthrough}, {plugin: passthrough}, {plugin: truncate}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert edges_of(graph) == {
        "source:continue": "passthrough_1",
        "passthrough_1:continue": "passthrough_2",
        "passthrough_2:continue": "truncate_1",
        "truncate_1:continue": "sums",
        "sums:continue": "g",
        "g:true": "output",
        "g:false": DISCARD,
    }


def test_a_node_carries_what_its_section_says() -> None:
    graph = graph_of(THRESHOLD)
    source, mapper, gate = graph.node("source"), graph.node("field_mapper_1"), graph.node("amount_threshold")
    assert source.options["path"] == "in.csv"
    assert source.schema is not None
    assert source.schema["mode"] == "flexible"
    assert source.on_error == Target("quarantine", "source:error")
    assert mapper.options == {"mapping": {"a": "b"}}
    assert mapper.routes == {"continue": (Target("amount_threshold", "field_mapper_1:continue"),)}
    assert gate.condition == "row['amount'] > 1000"
    assert gate.routes == {
        "true": (Target("high_values", "amount_threshold:true"),),
        "false": (Target("output", "amount_threshold:false"),),
    }
    assert graph.node("output").default
    assert not graph.node("high_values").default
    assert Edge("output:error", "output", "quarantine", "error", "divert") in graph.edges


def test_an_unnamed_step_gets_a_number_that_no_name_has_taken() -> None:
    graph = graph_of("""
source: {plugin: csv}
transforms: [{plugin: passthrough}, {name: passthrough_1, plugin: truncate}, {plugin: passthrough}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert [node.id for node in graph.of_kind("transform")] == ["passthrough_2", "passthrough_1", "passthrough_3"]


def test_a_fork_gives_each_branch_an_edge_of_its_own() -> None:
    graph = graph_of(DIAMOND)
    assert graph.node("split").routes == {
        "true": (Target("shout", "split:left", "left"), Target("merge", "split:right", "right"))
    }
    assert edges_of(graph) == {
        "source:continue": "split",
        "split:left": "shout",
        "split:right": "merge",
        "shout:continue": "merge",
        "merge:continue": "output",
    }
    assert {edge.edge_id for edge in graph.edges if edge.mode == "copy"} == {"split:left", "split:right"}
    assert graph.node("merge").branches == ("left", "right")


def test_a_branch_may_lead_straight_to_a_sink_of_its_name() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates: [{name: g, condition: "row['a'] > 1", routes: {"true": fork, "false": continue}, fork_to: [copy, output]}]
sinks: {output: {plugin: csv}, copy: {plugin: csv}}
default_sink: output
""")
    assert edges_of(graph)["g:copy"] == "copy"
    assert edges_of(graph)["g:output"] == "output"
    assert edges_of(graph)["g:false"] == "output"


def test_several_sources_and_a_queue_feed_one_step() -> None:
    graph = graph_of("""
sources:
  north: {plugin: csv, on_success: inbound}
  south: {plugin: csv, on_success: inbound}
queues: [inbound]
transforms: [{name: clean, plugin: passthrough, input: inbound, on_success: output}]
sinks: {output: {plugin: csv}}
""")
    assert edges_of(graph) == {"north:continue": "clean", "south:continue": "clean", "clean:continue": "output"}
    assert [node.id for node in graph.nodes] == ["north", "south", "clean", "output"]
    assert graph.node("output").default


def test_sources_without_on_success_all_feed_the_first_step() -> None:
    graph = graph_of("""
sources: {north: {plugin: csv}, south: {plugin: csv}}
transforms: [{name: clean, plugin: passthrough}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert edges_of(graph)["north:continue"] == edges_of(graph)["south:continue"] == "clean"


def test_named_connections_form_any_graph() -> None:
    graph = graph_of("""
source: {plugin: csv, on_success: raw}
transforms:
  - {name: late, plugin: passthrough, input: checked, on_success: output}
  - {name: early, plugin: passthrough, input: raw, on_success: to_gate}
gates:
  - {name: g, input: to_gate, condition: "row['k']", routes: {a: checked, b: discard, c: continue}, on_success: rest}
sinks: {output: {plugin: csv}, rest: {plugin: csv}}
""")
    assert edges_of(graph) == {
        "source:continue": "early",
        "early:continue": "g",
        "g:a": "late",
        "g:b": DISCARD,
        "g:c": "rest",
        "late:continue": "output",
    }
    assert [node.id for node in graph.nodes][:4] == ["source", "early", "g", "late"]
    assert {node.id for node in graph.nodes if node.default} == {"output", "rest"}


def test_a_step_without_on_success_is_followed_by_the_one_that_names_it_as_input() -> None:
    graph = graph_of(
        DIAMOND.replace("sinks:", "aggregations: [{name: sums, plugin: batch_stats, input: merge}]\nsinks:")
    )
    assert edges_of(graph)["merge:continue"] == "sums"
    assert edges_of(graph)["sums:continue"] == "output"


def test_a_graph_without_state_has_one_hop() -> None:
    graph = graph_of(DIAMOND)
    assert graph.stateful == (False,)
    assert {node.id: node.stage for node in graph.nodes} == {
        "source": 0, "split": 0, "shout": 0, "merge": 0, "output": 1,
    }  # fmt: skip


def test_an_aggregation_runs_in_a_hop_that_keeps_state() -> None:
    graph = graph_of("""
source: {plugin: csv}
transforms: [{name: t, plugin: passthrough}]
aggregations:
  - {name: one, plugin: batch_stats, trigger: {count: 3, timeout_seconds: 2, condition: "row['a'] > 1"}}
  - {name: two, plugin: batch_stats, output_mode: passthrough, expected_output_count: 4}
gates: [{name: g, condition: "row['a'] > 1", routes: {"true": continue, "false": discard}}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert graph.stateful == (False, True, False)
    assert {node.id: node.stage for node in graph.nodes} == {
        "source": 0, "t": 0, "one": 1, "two": 1, "g": 2, "output": 3,
    }  # fmt: skip
    one, two = graph.node("one"), graph.node("two")
    assert (one.trigger_count, one.trigger_seconds, one.condition) == (3, 2, "row['a'] > 1")
    assert (two.output_mode, two.expected_output_count) == ("passthrough", 4)


def test_a_coalesce_behind_an_aggregation_keeps_state() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates: [{name: split, condition: "True", routes: {"true": fork}, fork_to: [left, right]}]
aggregations:
  - {name: one, plugin: x, input: left, on_success: left_done, output_mode: passthrough}
  - {name: two, plugin: x, input: right, on_success: right_done, output_mode: passthrough}
transforms: [{name: after, plugin: passthrough, input: left_done, on_success: left_last}]
coalesce: [{name: merge, branches: {left: left_last, right: right_done}}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert graph.node("after").stage == 2
    assert graph.node("merge").stage == 3
    assert graph.stateful == (False, True, False, True)


def test_a_coalesce_of_two_branches_that_both_waited_keeps_state() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates: [{name: split, condition: "True", routes: {"true": fork}, fork_to: [left, right]}]
aggregations:
  - {name: one, plugin: x, input: left, on_success: l1, output_mode: passthrough}
  - {name: two, plugin: x, input: right, on_success: r1, output_mode: passthrough}
transforms:
  - {name: a, plugin: passthrough, input: l1, on_success: l2}
  - {name: b, plugin: passthrough, input: r1, on_success: r2}
coalesce: [{name: merge, branches: {left: l2, right: r2}}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert {graph.node("a").stage, graph.node("b").stage} == {2}
    assert graph.node("merge").stage == 3


def test_nested_forks_meet_inside_and_then_outside() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates:
  - {name: outer, condition: "True", routes: {"true": fork}, fork_to: [left, right]}
  - {name: inner, input: left, condition: "True", routes: {"true": fork}, fork_to: [up, down]}
coalesce:
  - {name: small, branches: [up, down], on_success: left_again}
  - {name: big, branches: {left: left_again, right: right}}
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert edges_of(graph)["small:continue"] == "big"
    assert graph.stateful == (False,)


@pytest.mark.parametrize(
    ("value", "label"), [(True, "true"), (False, "false"), ("x", "x"), (3, "3"), (2.5, "2.5"), (None, "null")]
)
def test_a_route_label_is_the_value_as_text(value: object, label: str) -> None:
    assert route_label(value) == label


def test_a_coalesce_looks_through_inner_ones_for_its_own_fork() -> None:
    inner = """
  - {name: inner_NAME, input: NAME_summed, condition: "True", routes: {"true": fork}, fork_to: [up_NAME, down_NAME]}"""
    graph = graph_of(f"""
source: {{plugin: csv}}
gates:
  - {{name: outer, condition: "True", routes: {{"true": fork}}, fork_to: [left, right]}}
{inner.replace("NAME", "left")}{inner.replace("NAME", "right")}
aggregations:
  - {{name: one, plugin: x, input: left, on_success: left_summed, output_mode: passthrough}}
  - {{name: two, plugin: x, input: right, on_success: right_summed, output_mode: passthrough}}
coalesce:
  - {{name: small_left, branches: [up_left, down_left], on_success: left_again}}
  - {{name: small_right, branches: [up_right, down_right], on_success: right_again}}
  - {{name: big, branches: {{left: left_again, right: right_again}}}}
sinks: {{output: {{plugin: csv}}}}
default_sink: output
""")
    assert graph.node("small_left").stage == graph.node("small_right").stage == 2
    assert graph.node("big").stage == 3
