"""Every way in which wiring can be wrong is found, with its key, its line, and what exists instead."""

from __future__ import annotations

import re

import pytest

from tests.kit.pipelines.graphs import graph_of, problems_of

GOOD = """
source: {plugin: csv, on_success: raw, on_validation_failure: bad}
transforms:
  - {name: clean, plugin: passthrough, input: raw, on_success: cleaned, on_error: bad}
  - {name: l, plugin: passthrough, input: left, on_success: left_done}
gates:
  - {name: g, input: cleaned, condition: "row['a'] > 1", routes: {"true": split_here, "false": discard}}
  - {name: split, input: split_here, condition: "True", routes: {"true": fork}, fork_to: [left, right]}
coalesce:
  - {name: merge, branches: {left: left_done, right: right}, on_success: merged}
queues: [merged]
aggregations:
  - {name: sums, plugin: batch_stats, input: merged, trigger: {count: 3}}
sinks:
  output: {plugin: csv, on_write_failure: bad}
  bad: {plugin: csv}
default_sink: output
"""


def test_the_good_pipeline_of_these_tests_is_good() -> None:
    assert len(graph_of(GOOD).nodes) == 9


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "words"),
    [
        # ways that lead nowhere
        ("on_success: raw", "on_success: rwa", "source.on_success", 2, "leads nowhere.*found rwa.*did you mean raw"),
        ("on_success: cleaned", "on_success: split", "transforms.0.on_success", 4, "is a step and not a connection"),
        ("on_success: cleaned", "on_success: fork", "transforms.0.on_success", 4, "only a gate's routes"),
        ('"true": split_here', '"true": out_put', "gates.0.routes.true", 7, "leads nowhere.*did you mean output"),
        ('"true": split_here', '"true": continue', "gates.1.input", 8, "nothing leads there"),
        ("fork_to: [left, right]", "fork_to: [left, right, up]", "gates.1.fork_to.2", 8, "nobody takes this branch"),
        ("fork_to: [left, right]", "fork_to: [left, right, left]", "gates.1.fork_to.2", 8, "stands here twice"),
        ("fork_to: [left, right]", "fork_to: [left, right, error]", "gates.1.fork_to.2", 8, "cannot be a branch"),
        ("on_success: merged", "on_success: merdeg", "coalesce.0.on_success", 10, "leads nowhere.*did you mean merged"),
        # steps that no row reaches
        ("input: cleaned", "input: claened", "gates.0.input", 7, "nothing leads there.*did you mean cleaned"),
        ("right: right}", "right: rihgt}", "coalesce.0.branches.right", 10, "no fork and no step.*did you mean right"),
        ("input: raw, ", "", "transforms.0", 4, "no row reaches this step"),
        # one row, two takers
        ("input: left,", "input: cleaned,", "gates.0.input", 7, "'l' takes this connection already"),
        ("right: right}", "right: left_done}", "coalesce.0.branches.right", 10, "takes this connection already"),
        ("right: right}", "right: right, left: left}", "transforms.1.on_success", 5, "leads nowhere"),
        # circles
        ("input: merged,", "input: merged, on_success: raw,", "aggregations.0.on_success", 13, "circle: clean -> g"),
        ("bad: {plugin: csv}", "bad: {plugin: csv, on_write_failure: output}", "sinks.bad", 16, "output -> bad -> out"),
        # sinks
        ("default_sink: output", "default_sink: outptu", "default_sink", 17, "no such sink.*did you mean output"),
        ("default_sink: output\n", "", "aggregations.0", 13, "rows reach the end of 'sums' and no sink"),
        ("on_error: bad", "on_error: bda", "transforms.0.on_error", 4, "no such sink.*did you mean bad"),
        ("on_error: bad", "on_error: cleaned", "transforms.0.on_error", 4, "allowed: output, bad, discard"),
        ("on_validation_failure: bad", "on_validation_failure: bax", "source.on_validation_failure", 2, "no such sink"),
        ("on_write_failure: bad", "on_write_failure: output", "sinks.output.on_write_failure", 15, "what it refused"),
        ("default_sink:", "landscape: {export: {enabled: true, sink: nope}}\ndefault_sink:",
         "landscape.export.sink", 17, "no such sink"),
        # gates
        (', "false": discard', "", "gates.0.routes", 7, 'no route "false".*allowed: false, true'),
        ('{"true": fork}', "{}", "gates.1.routes", 8, "needs routes"),
        (", fork_to: [left, right]", "", "gates.1.routes.true", 8, "a fork needs its branches"),
        ('"true": fork', '"true": discard', "gates.1.fork_to", 8, "no route of this gate forks"),
        ("name: g,", "name: g, on_success: output,", "gates.0.on_success", 7, "no route of this gate continues"),
        ("row['a'] > 1", "row['a'] > x", "gates.0.condition", 7, "the name 'x'.*column 12"),
        ("trigger: {count: 3}", "trigger: {condition: 'f()'}", "aggregations.0.trigger.condition", 13, "a call"),
        ("condition: \"row['a'] > 1\", routes: {", "on_error: bad, condition: \"row['a']\", routes: {error: bad, ",
         "gates.0.routes.error", 7, "on_error"),
        ('{"true": fork}', '{"true": fork, left: bad}', "gates.1.fork_to.0", 8, "name of a route of this gate"),
        # names
        ("name: split,", "name: clean,", "gates.1", 8, "name of another step .transform in line 4"),
        ("name: split,", "name: output,", "sinks.output", 15, "name of another step .gate in line 8"),
        ("name: split,", "name: discard,", "gates.1", 8, "a meaning of its own"),
        ("input: split_here", "input: output", "gates.1.input", 8, "is a sink: rows end there"),
        ("input: split_here", "input: continue", "gates.1.input", 8, "a meaning of its own"),
        ("queues: [merged]", "queues: [mergde]", "queues.0", 11, "no step leads to this queue.*did you mean merged"),
        ("queues: [merged]", "queues: [bad]", "queues.0", 11, "cannot be the name of a queue"),
        # schemas
        ("name: clean,", "name: clean, options: {schema: {mode: strikt}},",
         "transforms.0.options.schema", 4, "unknown mode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_key_and_line(old: str, new: str, key: str, line: int, words: str) -> None:
    assert old in GOOD
    problems = problems_of(GOOD.replace(old, new, 1))
    matching = [p for p in problems if p.key.startswith(key) and p.line == line and re.search(words, str(p))]
    assert matching, "\n".join(map(str, problems))


def test_all_problems_come_in_one_go() -> None:
    text = (
        GOOD.replace("on_success: raw", "on_success: rwa")
        .replace('"false": discard', '"false": nowhere')
        .replace("on_error: bad", "on_error: missing")
        .replace("default_sink: output", "default_sink: typo")
    )
    problems = [str(problem) for problem in problems_of(text)]
    for words in ("found rwa", "found nowhere", "found missing", "found typo", "found raw"):
        assert any(words in problem for problem in problems), problems


def test_rows_that_were_never_forked_cannot_arrive_in_a_branch() -> None:
    (problem,) = problems_of("""
source: {plugin: csv, on_success: x}
coalesce: [{name: merge, branches: [x]}]
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert "no gate has forked" in problem.message


def test_a_branch_that_is_forked_again_must_be_merged_before_it_arrives() -> None:
    (problem,) = problems_of("""
source: {plugin: csv}
gates:
  - {name: outer, condition: "True", routes: {"true": fork}, fork_to: [left, right]}
  - {name: inner, input: left, condition: "True", routes: {"true": fork}, fork_to: [up, down]}
coalesce: [{name: merge, branches: {left: up, right: right}}]
sinks: {output: {plugin: csv}, down: {plugin: csv}}
default_sink: output
""")
    assert "branch 'left' is fed by the branch 'up' of 'inner'" in problem.message


def test_a_step_inside_a_branch_goes_on_behind_the_gate_that_made_the_branch() -> None:
    graph = graph_of("""
source: {plugin: csv}
transforms: [{name: first, plugin: x}, {name: flag, plugin: x, input: special}]
gates:
  - {name: one, condition: "row['a'] > 1", routes: {"true": special, "false": continue}}
  - {name: two, condition: "row['a'] > 2", routes: {"true": discard, "false": continue}}
sinks: {output: {plugin: csv}}
default_sink: output
""")
    assert graph.node("flag").routes["continue"][0].node == "two"


def test_the_sink_of_an_exported_audit_trail_is_used_but_no_part_of_the_graph() -> None:
    graph = graph_of("""
source: {plugin: csv}
sinks: {output: {plugin: csv}, trail: {plugin: json}}
default_sink: output
landscape: {export: {enabled: true, sink: trail}}
""")
    assert {node.id for node in graph.of_kind("sink")} == {"output"}


def test_a_sink_does_not_take_rows_and_the_audit_trail() -> None:
    (problem,) = problems_of("""
source: {plugin: csv}
sinks: {output: {plugin: csv}}
default_sink: output
landscape: {export: {enabled: true, sink: output}}
""")
    assert "takes rows" in problem.message


def test_a_route_keeps_its_place_in_the_file() -> None:
    graph = graph_of("""
source: {plugin: csv}
gates: [{name: g, condition: "row['k']", routes: {b: continue, a: other, c: continue}}]
sinks: {output: {plugin: csv}, other: {plugin: csv}}
default_sink: output
""")
    assert list(graph.node("g").routes) == ["b", "a", "c"]


def test_two_steps_of_one_name_are_not_taken_for_a_circle() -> None:
    (problem,) = problems_of("""
source: {plugin: csv}
aggregations: [{name: sums, plugin: x, on_success: sums}]
sinks: {sums: {plugin: csv}}
""")
    assert "name of another step" in problem.message
