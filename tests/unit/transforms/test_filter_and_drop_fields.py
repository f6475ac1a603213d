"""Rows that a condition lets through or sends elsewhere, and rows that lose fields."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, RowError, SideOutput
from elspeth.plugins.options import OptionProblems

CONTEXT = Context("run", "step")


def build(name: str, **options: Any) -> Any:
    return registry.build(registry.find("transform", name), options, "step")


def test_a_row_goes_on_as_it_is_where_the_condition_is_true_and_leaves_by_the_side_output_where_it_is_false() -> None:
    plugin = build("filter", condition="row['n'] > 1")
    row = {"n": 2}
    assert plugin.process(row, CONTEXT) is row
    rejected = plugin.process({"n": 1}, CONTEXT)
    assert isinstance(rejected, SideOutput)
    assert (rejected.name, dict(rejected.details)) == ("rejected", {"condition": "row['n'] > 1"})


@pytest.mark.parametrize(
    ("condition", "row", "words"),
    [
        (
            "row['sise'] > 1",
            {"size": 2},
            "has no value: the row has no field 'sise'; did you mean 'size'?",
        ),
        ("lower(row['n']) == 'a'", {"n": 2}, "lower takes a text, not 2 (int)"),
        ("row['n']", {"n": "false"}, "the condition gives 'false' (str), neither true nor false"),
        ("row['n']", {"n": None}, "the condition gives 'None' (NoneType), neither true nor false"),
        ("row['n'] and row['m'] > 1", {"n": 0, "m": 1}, "the condition gives '0' (int), neither true nor false"),
    ],
)
def test_a_row_on_which_the_condition_is_not_true_or_false_is_refused(
    condition: str, row: dict[str, Any], words: str
) -> None:
    with pytest.raises(RowError) as caught:
        build("filter", condition=condition).process(row, CONTEXT)
    assert words in caught.value.reason


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("row['n'] >", "not an expression"),
        ("'yes'", "is never just true or false"),
        ("'yes' if row['n'] else True", "is never just true or false"),
        ("matches('(a+)+b', row['n'])", "could take very long"),
    ],
)
def test_a_condition_that_can_be_no_filter_is_refused_with_the_settings(condition: str, words: str) -> None:
    with pytest.raises(OptionProblems) as caught:
        build("filter", condition=condition)
    assert words in str(caught.value.details)


def test_fields_are_taken_out_and_the_others_keep_their_order() -> None:
    plugin = build("drop_fields", fields=["b", "x"])
    assert list(plugin.process({"c": 1, "b": 2, "a": 3}, CONTEXT)) == ["c", "a"]
    row = {"a": 1}
    assert plugin.process(row, CONTEXT) is row
    assert plugin.fields_out(frozenset({"a", "b"})) == {"a"}


def test_a_field_that_must_be_there_to_be_dropped_is_missed() -> None:
    with pytest.raises(RowError, match="the row has no field 'b'"):
        build("drop_fields", fields=["a", "b"], strict=True).process({"a": 1}, CONTEXT)
