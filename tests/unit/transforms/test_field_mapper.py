"""What field_mapper does to rows."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, RowError
from elspeth.plugins.options import OptionProblems

CTX = Context(run_id="mf3k2a9x", node_id="map")


def mapped(row: dict[str, Any], **options: Any) -> dict[str, Any]:
    before = copy.deepcopy(row)
    result = registry.build(registry.find("transform", "field_mapper"), options, "transforms[0]").process(row, CTX)
    assert row == before
    return result


def test_a_renamed_field_keeps_its_place() -> None:
    assert list(mapped({"a": 1, "b": 2, "c": 3}, mapping={"b": "x"}).items()) == [("a", 1), ("x", 2), ("c", 3)]


def test_two_fields_can_be_swapped() -> None:
    assert mapped({"a": 1, "b": 2}, mapping={"a": "b", "b": "a"}) == {"b": 1, "a": 2}


def test_select_only_keeps_the_mapped_fields_in_the_order_of_the_mapping() -> None:
    row = mapped({"a": 1, "b": 2, "c": 3}, mapping={"c": "z", "a": "a"}, select_only=True)
    assert list(row.items()) == [("z", 3), ("a", 1)]


def test_a_dotted_path_lifts_a_nested_value() -> None:
    row = {"user": {"name": "Ann", "tags": ["x", "y"]}, "n": 1}
    assert mapped(row, mapping={"user.name": "name", "user.tags.1": "tag"}) == {**row, "name": "Ann", "tag": "y"}
    assert mapped(row, mapping={"user.name": "name"}, select_only=True) == {"name": "Ann"}


def test_a_key_with_a_dot_wins_over_a_path() -> None:
    assert mapped({"a.b": 1, "a": {"b": 2}}, mapping={"a.b": "x"}) == {"x": 1, "a": {"b": 2}}


def test_a_missing_field_is_left_out_unless_strict() -> None:
    assert mapped({"a": 1}, mapping={"b": "x"}) == {"a": 1}
    assert mapped({"a": 1, "x": 2}, mapping={"b": "x"}) == {"a": 1, "x": 2}
    assert mapped({"a": 1}, mapping={"b": "x", "a": "y"}, select_only=True) == {"y": 1}
    for select_only in (True, False):
        with pytest.raises(RowError, match="no field 'b'"):
            mapped({"a": 1}, mapping={"b": "x"}, strict=True, select_only=select_only)
    with pytest.raises(RowError, match=r"no field 'a\.b'"):
        mapped({"a": {"c": 1}}, mapping={"a.b": "x"}, strict=True)


def test_a_taken_name_gets_the_mapped_value_unless_strict() -> None:
    assert mapped({"a": 1, "b": 2, "c": 3}, mapping={"a": "b"}) == {"b": 1, "c": 3}
    assert mapped({"a": {"x": 1}, "b": 2}, mapping={"a.x": "b"}) == {"a": {"x": 1}, "b": 1}
    with pytest.raises(RowError, match="'b' already"):
        mapped({"a": 1, "b": 2}, mapping={"a": "b"}, strict=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "mapping: missing"),
        ({"mapping": {}}, "mapping: found {}"),
        ({"mapping": {"a": "x", "b": "x"}}, "'a' and 'b' both become 'x'"),
        ({"mapping": {"a": 1}}, "mapping.a: found 1"),
        ({"mapping": {"a": "b"}, "selct_only": True}, "did you mean 'select_only'?"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionProblems) as caught:
        mapped({}, **options)
    assert words in "\n".join(caught.value.details)


def test_the_fields_that_come_out_are_announced() -> None:
    def plugin(**options: Any) -> Any:
        return registry.build(registry.find("transform", "field_mapper"), options, "transforms[0]")

    known = frozenset({"a", "b", "user"})
    renaming = plugin(mapping={"a": "x", "user.name": "name", "gone": "y"})
    assert renaming.fields_out(known) == {"x", "b", "user"}
    assert renaming.fields_possible(known) == {"x", "b", "user", "name"}
    assert renaming.fields_in() == set()
    selecting = plugin(mapping={"a": "x", "user.name": "name"}, select_only=True, strict=True)
    assert selecting.fields_out(known) == selecting.fields_possible(known) == {"x", "name"}
    assert selecting.fields_in() == {"a"}


def test_rows_of_different_shapes_do_not_disturb_one_another() -> None:
    plugin: Any = registry.build(registry.find("transform", "field_mapper"), {"mapping": {"b": "x"}}, "transforms[0]")
    for row, expected in [({"a": 1, "b": 2}, {"a": 1, "x": 2}), ({"b": 3, "a": 4}, {"x": 3, "a": 4}), ({}, {})] * 2:
        assert list(plugin.process(row, CTX).items()) == list(expected.items())
