"""A list under `on_success`, or of a gate's route: a copy of the row goes to every named place, as by a fork."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from elspeth.testing.in_process import Finished, run_in_process

SOURCE = "source: {{plugin: csv, options: {{path: in.csv, schema: {{mode: free, fields: ['id: int']}}}}, " \
    "on_validation_failure: discard{more}}}\n"  # fmt: skip


def sinks(*names: str) -> str:
    listed = ", ".join(f"{name}: {{plugin: json, options: {{path: {name}.json}}}}" for name in names)
    return f"sinks: {{{listed}}}\n"


STEP = "{{plugin: passthrough, name: {name}, input: {input}, on_success: {to}}}"


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Finished]:
    """Run a pipeline over the rows 1, 2 and 3."""
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("id\n1\n2\n3\n")

    def run(text: str) -> Finished:
        Path("p.yaml").write_text(text)
        return run_in_process(Path("p.yaml"))

    return run


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """What is wrong with a pipeline."""
    monkeypatch.chdir(tmp_path)

    def problems(text: str) -> list[Any]:
        Path("p.yaml").write_text(text)
        with pytest.raises(SettingsProblems) as caught:
            load_pipeline(Path("p.yaml"), environ={}, dotenv=False)
        return [(problem.key, problem.message, problem.found) for problem in caught.value.problems]

    return problems


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def test_a_row_goes_to_a_file_and_to_a_step(go: Any) -> None:
    done = go(
        SOURCE.format(more=", on_success: start")
        + "transforms:\n- {plugin: passthrough, name: first, input: start, on_success: [kept, next]}\n"
        "- {plugin: value_transform, name: second, input: next, on_success: out, "
        "options: {operations: [{target: x, expression: \"row['id'] * 2\"}]}}\n" + sinks("kept", "out")
    )
    assert done.rows["kept"] == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [row["x"] for row in done.rows["out"]] == [2, 4, 6]


def test_the_record_shows_it_like_a_fork(go: Any) -> None:
    done = go(SOURCE.format(more=", on_success: [a, b]") + sinks("a", "b"))
    tokens = [(token[0], token[2]) for token in done.records["tokens"]]
    assert tokens[:3] == [("debugged-000000000", None), ("debugged-000000000.a", "a"), ("debugged-000000000.b", "b")]
    assert ("debugged-000000000.a", "debugged-000000000", 0) in [tuple(each) for each in done.records["token_parents"]]
    outcomes = {name: outcome.outcome for name, outcome in done.outcomes.items()}
    assert outcomes["debugged-000000000"] == "forked"
    assert outcomes["debugged-000000000.a"] == outcomes["debugged-000000000.b"] == "completed"


def test_each_place_has_a_copy_of_its_own(go: Any) -> None:
    done = go(
        SOURCE.format(more=", on_success: [a, away]")
        + "transforms: [{plugin: value_transform, input: away, on_success: b, "
        "options: {operations: [{target: id, expression: '0'}]}}]\n" + sinks("a", "b")
    )
    assert (ids(done.rows["a"]), ids(done.rows["b"])) == ([1, 2, 3], [0, 0, 0])


def test_of_an_aggregation_and_of_a_coalesce(go: Any) -> None:
    done = go(
        SOURCE.format(more=", on_success: [one, two, sums]")
        + "aggregations: [{plugin: batch_stats, name: s, input: sums, on_success: [a, b],"
        " options: {value_field: id}}]\n"
        "coalesce: [{name: met, branches: [one, two], on_success: [c, d]}]\n" + sinks("a", "b", "c", "d")
    )
    assert [row["sum"] for row in done.rows["a"]] == [row["sum"] for row in done.rows["b"]] == [6]
    assert ids(done.rows["c"]) == ids(done.rows["d"]) == [1, 2, 3]


def test_of_a_gate_by_a_route_and_by_on_success(go: Any) -> None:
    done = go(
        SOURCE.format(more="")
        + "gates: [{name: g, condition: \"row['id'] > 1\", routes: {'true': [a, b], 'false': continue}, "
        "on_success: [b, c]}]\n" + sinks("a", "b", "c")
    )
    assert [ids(done.rows[name]) for name in "abc"] == [[2, 3], [1, 2, 3], [1]]
    routed = [token for token, outcome in done.outcomes.items() if outcome.outcome == "routed"]
    assert routed == [f"debugged-00000000{row}.{name}" for row in (1, 2) for name in "ab" if name == "a"]


def test_its_branches_meet_in_a_coalesce_inside_of_another_fork(go: Any) -> None:
    done = go(
        SOURCE.format(more=", on_success: start")
        + "gates: [{name: g, input: start, condition: 'True', routes: {'true': fork, 'false': out}, fork_to: [l, r]}]\n"
        "transforms:\n- {plugin: passthrough, name: left, input: l, on_success: [x, y]}\n"
        "- {plugin: value_transform, name: mark, input: x, on_success: marked, "
        "options: {operations: [{target: m, expression: \"row['id'] + 1\"}]}}\n"
        "coalesce:\n- {name: inner, branches: {x: marked, y: y}, on_success: l_done}\n"
        "- {name: outer, branches: {l: l_done, r: r}, on_success: out}\n" + sinks("out")
    )
    assert done.rows["out"] == [{"id": n, "m": n + 1} for n in (1, 2, 3)]


def test_a_list_of_one_is_that_one(go: Any) -> None:
    done = go(SOURCE.format(more=", on_success: [a]") + sinks("a"))
    assert ids(done.rows["a"]) == [1, 2, 3]
    assert {outcome.outcome for outcome in done.outcomes.values()} == {"completed"}


GATE = "gates: [{{name: g, condition: 'True', routes: {{'true': {true}, 'false': {false}}}}}]\n"
WRONG: dict[str, tuple[str, tuple[str, str, str]]] = {
    "twice": (
        SOURCE.format(more=", on_success: [a, a]") + sinks("a"),
        ("source.on_success.1", "stands here twice", "a"),
    ),
    "unknown": (
        SOURCE.format(more=", on_success: [a, nowhere]") + sinks("a"),
        (
            "source.on_success.1",
            "nobody takes this branch: no coalesce lists it, no step has it as input, and no sink has its name",
            "nowhere",
        ),
    ),
    "unknown of a gate": (
        SOURCE.format(more="") + GATE.format(true="[a, nowhere]", false="a") + sinks("a"),
        (
            "gates.0.routes.true.1",
            "nobody takes this branch: no coalesce lists it, no step has it as input, and no sink has its name",
            "nowhere",
        ),
    ),
    "both a sink and a connection": (
        SOURCE.format(more=", on_success: [a, b]")
        + f"transforms: [{STEP.format(name='t', input='b', to='a')}]\n"
        + sinks("a", "b"),
        ("transforms.0.input", "is a sink: rows end there, and no step can take them up", "b"),
    ),
    "a word": (
        SOURCE.format(more=", on_success: [a, discard]") + sinks("a"),
        ("source.on_success.1", "is a word with a meaning of its own and cannot be a branch", "discard"),
    ),
    "continue in a list": (
        SOURCE.format(more="") + GATE.format(true="[a, continue]", false="a") + sinks("a"),
        ("gates.0.routes.true.1", "is a word with a meaning of its own and cannot be a branch", "continue"),
    ),
    "the name of a route": (
        SOURCE.format(more="")
        + "gates: [{name: g, condition: \"row['x']\", routes: {a: b, c: [a, b]}}]\n"
        + sinks("a", "b"),
        ("gates.0.routes.c.0", "is the name of a route of this gate as well", "a"),
    ),
    "the name of a side output": (
        SOURCE.format(more="")
        + "transforms: [{plugin: filter, options: {condition: 'True', rejected: b}, on_success: [rejected, a]}]\n"
        + sinks("a", "b", "rejected"),
        ("transforms.0.on_success.0", "is the name of a side output of this step as well", "rejected"),
    ),
    "nothing": (
        SOURCE.format(more=", on_success: []") + sinks("a"),
        ("source.on_success", "cannot be where rows go", "an empty list"),
    ),
    "no name": (
        SOURCE.format(more=", on_success: [a, 'b c']") + sinks("a"),
        ("source.on_success", "cannot be where rows go", "b c"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_said(name: str, wrong: Any) -> None:
    text, expected = WRONG[name]
    assert wrong(text) == [expected]


def test_steps_that_make_several_rows_cannot_stand_in_a_branch_that_meets_again(wrong: Any) -> None:
    text = (
        SOURCE.format(more=", on_success: [x, y]")
        + "transforms: [{plugin: line_explode, input: x, on_success: x_done, options: {source_field: t}}]\n"
        "coalesce: [{name: met, branches: {x: x_done, y: y}, on_success: a}]\n" + sinks("a")
    )
    assert "stands in a branch that 'met' merges" in wrong(text)[0][1]
