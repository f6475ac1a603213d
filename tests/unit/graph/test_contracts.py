"""A field that a step needs is known to be there, or missed, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.graph.build import build
from elspeth.graph.contracts import check_contracts
from elspeth.plugins.contract import Changes
from tests.kit.pipelines.graphs import positions_of, settings_of


class Adds(Changes):
    """A stand-in that needs and adds the fields it is told to."""

    def __init__(self, needs: str = "", adds: str = "", only: bool = False) -> None:
        self.needs = frozenset(needs.split())
        self.adds = frozenset(adds.split())
        self.only = only

    def fields_in(self) -> frozenset[str]:
        return self.needs

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        return self.adds if self.only else fields | self.adds


def problems_of(text: str, **plugins: Any) -> list[str]:
    settings, positions = settings_of(text), positions_of(text)
    return [str(p) for p in check_contracts(build(settings, positions), settings, plugins, positions)]


LINEAR = """
source: {plugin: csv, options: {schema: {mode: MODE, fields: ["id: int", "amount: int", "note: str?"]}}}
transforms: [{name: t, plugin: x, options: {}}]
gates:
  - {name: g, condition: "row['amount'] > 1", routes: {"true": continue, "false": discard}}
sinks: {output: {plugin: csv, options: {}}}
default_sink: output
"""
FIXED, FREE = LINEAR.replace("MODE", "strict"), LINEAR.replace("MODE", "free")
OBSERVED = LINEAR.replace('{mode: MODE, fields: ["id: int", "amount: int", "note: str?"]}', "{mode: observed}")


def test_a_condition_on_a_field_that_a_fixed_schema_does_not_have_is_found_with_its_path_and_line() -> None:
    (problem,) = problems_of(FIXED.replace("row['amount']", "row['amuont']"), t=Adds())
    assert problem.startswith("pipeline.yaml:5: gates.0.condition: 'g' needs the field 'amuont'")
    assert "source -> t" in problem
    assert "did you mean amount?" in problem


@pytest.mark.parametrize(
    ("text", "plugins"),
    [
        (FIXED, {"t": Adds()}),
        (FIXED.replace("row['amount']", "row['new']"), {"t": Adds(adds="new")}),
        (FIXED.replace("row['amount']", "row['new']"), {}),
        (FREE.replace("row['amount']", "row['new']"), {"t": Adds()}),
        (OBSERVED.replace("row['amount']", "row['new']"), {"t": Adds()}),
        (FIXED.replace("row['amount'] > 1", "row.get('new', 1) > 1"), {"t": Adds()}),
        (FIXED.replace("row['amount'] > 1", "'new' in row and row['new'] > 1"), {"t": Adds()}),
        (FIXED.replace("row['amount']", "row['note']"), {"t": Adds()}),
    ],
)
def test_a_field_that_may_be_there_is_no_problem(text: str, plugins: dict[str, Any]) -> None:
    assert problems_of(text, **plugins) == []


def test_a_plugin_that_needs_a_field_which_an_earlier_one_took_away_is_found() -> None:
    text = FIXED.replace("transforms: [", "transforms: [{name: s, plugin: x}, ")
    (problem,) = problems_of(text, s=Adds(adds="amount", only=True), t=Adds(needs="id"))
    assert "'t' needs the field 'id', and rows that come by source -> s have none" in problem


@pytest.mark.parametrize(
    ("text", "finds"),
    [
        (OBSERVED, True),
        (OBSERVED.replace("{mode: observed}", "{mode: observed, guaranteed_fields: [vip]}"), False),
        (OBSERVED.replace("source: {", "source: {guaranteed_fields: [vip], "), False),
        (FREE, True),
        (FREE.replace("id: int", "vip: int"), False),
        (FIXED.replace("note: str?", "vip: str?"), False),
    ],
)
def test_a_required_field_must_be_guaranteed(text: str, finds: bool) -> None:
    text = text.replace("name: t,", "name: t, required_fields: [vip],")
    found = problems_of(text, t=Adds())
    assert bool(found) is finds
    assert all(
        "'t' requires the field 'vip', which nothing guarantees for rows that come by source" in p for p in found
    )


def test_a_required_field_in_the_schema_counts_like_one_beside_it() -> None:
    text = OBSERVED.replace("x, options: {}", "x, options: {schema: {mode: observed, required_fields: [vip]}}")
    (problem,) = problems_of(text, t=Adds())
    assert "'vip'" in problem


def test_what_a_step_guarantees_holds_behind_it() -> None:
    text = OBSERVED.replace("output: {plugin: csv", "output: {plugin: csv, required_fields: [vip]")
    assert len(problems_of(text)) == 1
    assert problems_of(text.replace("name: t,", "name: t, guaranteed_fields: [vip],")) == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ('{mode: strict, fields: ["id: int", "amount: int", "note: str"]}', None),
        ('{mode: strict, fields: ["id: int", "amount: int"]}', "also have 'note'"),
        ('{mode: strict, fields: ["id: int", "amount: int", "note: str", "zip: str"]}', "needs the field 'zip'"),
        ('{mode: strict, fields: ["id: int", "amount: int", "note: str", "zip: str?"]}', None),
        ('{mode: free, fields: ["id: int"]}', None),
        ('{mode: free, fields: ["zip: int"]}', "needs the field 'zip'"),
    ],
)
def test_a_sink_gets_the_fields_that_its_schema_names(schema: str, words: str | None) -> None:
    text = FIXED.replace(
        "output: {plugin: csv, options: {}}", f"output: {{plugin: csv, options: {{schema: {schema}}}}}"
    )
    found = problems_of(text, t=Adds())
    assert len(found) == (words is not None)
    assert all(words in problem for problem in found if words)


TWO_WAYS = """
sources:
  full: {plugin: csv, on_success: in, options: {schema: {mode: strict, fields: ["id: int", "zip: str"]}}}
  bare: {plugin: csv, on_success: in, options: {schema: {mode: strict, fields: ["id: int"]}}}
queues: [in]
gates: [{name: g, input: in, condition: "row['zip'] == 'x'", routes: {"true": continue, "false": discard}}]
sinks: {output: {plugin: csv}}
default_sink: output
"""


def test_a_field_that_only_one_path_lacks_is_found_with_that_path() -> None:
    (problem,) = problems_of(TWO_WAYS)
    assert "rows that come by bare have none" in problem


DIAMOND = """
source: {plugin: csv, options: {schema: {mode: strict, fields: ["id: int"]}}}
gates: [{name: split, condition: "True", routes: {"true": fork}, fork_to: [left, right]}]
transforms:
  - {name: l, plugin: x, input: left, on_success: l1}
  - {name: r, plugin: x, input: right, on_success: r1}
coalesce: [{name: merge, branches: {left: l1, right: r1}, POLICY}]
sinks: {output: {plugin: csv, required_fields: [FIELD]}}
default_sink: output
"""


@pytest.mark.parametrize(
    ("policy", "field", "good"),
    [
        ("policy: require_all", "a", True),
        ("policy: require_all", "b", True),
        ("policy: first", "a", False),
        ("policy: first", "id", True),
        ("policy: require_all, merge: nested", "left", True),
        ("policy: require_all, merge: nested", "a", False),
        ("policy: first, merge: nested", "left", False),
        ("policy: require_all, merge: select, select_branch: left", "id", True),
    ],
)
def test_a_merged_row_has_what_its_branches_bring(policy: str, field: str, good: bool) -> None:
    text = DIAMOND.replace("POLICY", policy).replace("FIELD", field)
    assert bool(problems_of(text, l=Adds(adds="a"), r=Adds(adds="b"))) is not good


def test_many_kinds_of_rows_at_one_node_are_taken_together() -> None:
    names = [f"s{n}" for n in range(100)]
    sources = "\n".join(
        f'  {n}: {{plugin: csv, options: {{schema: {{mode: strict, fields: ["id: int", "{n}: int"]}}}}}}' for n in names
    )
    text = (
        f"sources:\n{sources}\n"
        + """
sinks: {output: {plugin: csv, required_fields: [id, s1]}}
default_sink: output
"""
    )
    (problem,) = problems_of(text)
    assert "'s1'" in problem


def test_what_only_some_rows_of_a_branch_bring_is_not_certain_in_the_merged_row() -> None:
    text = DIAMOND.replace("POLICY", "policy: require_all").replace("FIELD", "a")
    text = text.replace(
        "gates: [",
        'gates: [{name: g, input: l0, condition: "row[\'id\'] > 1", routes: {"true": l2, "false": l1}}, ',
    )
    text = text.replace("on_success: l1}", "on_success: l0}\n  - {name: more, plugin: x, input: l2, on_success: l1}")
    (problem,) = problems_of(text, l=Adds(), more=Adds(adds="a"), r=Adds())
    assert "nothing guarantees" in problem
