"""What the transforms beside field_mapper do to rows."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, RowError
from elspeth.plugins.options import OptionProblems

CTX = Context(run_id="mf3k2a9x", node_id="step")


def changed(plugin: str, row: dict[str, Any], **options: Any) -> Any:
    """What the plugin makes of the row, which it must leave as it is."""
    before = copy.deepcopy(row)
    try:
        return registry.build(registry.find("transform", plugin), options, "transforms[0]").process(row, CTX)
    finally:
        assert row == before


def refused(plugin: str, row: dict[str, Any], **options: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        changed(plugin, row, **options)
    return caught.value


def problems(plugin: str, **options: Any) -> str:
    with pytest.raises(OptionProblems) as caught:
        changed(plugin, {}, **options)
    return "\n".join(caught.value.details)


def test_a_list_of_one_bad_item_is_not_called_empty_too() -> None:
    assert "at least 1" not in problems("type_coerce", conversions=[{"field": "id", "to": "integer"}])
    assert "at least 1" in problems("type_coerce", conversions=[])


def test_passthrough_changes_nothing() -> None:
    assert changed("passthrough", {"a": [1]}) == {"a": [1]}


class TestValueTransform:
    def test_an_operation_sees_the_results_of_the_earlier_ones(self) -> None:
        operations = [
            {"target": "total", "expression": "row['price'] * row['count']"},
            {"target": "price", "expression": "row['total'] / 2"},
        ]
        row = changed("value_transform", {"price": 3, "count": 4}, operations=operations)
        assert list(row.items()) == [("price", 6.0), ("count", 4), ("total", 12)]

    def test_an_expression_without_a_value_refuses_the_row(self) -> None:
        error = refused("value_transform", {"a": 1}, operations=[{"target": "b", "expression": "row['x'] + 1"}])
        assert error.reason.startswith("'b' cannot be computed: the row has no field 'x'")
        assert error.details == {"target": "b", "expression": "row['x'] + 1"}

    def test_a_text_that_is_no_expression_is_named_with_its_place(self) -> None:
        text = problems(
            "value_transform", operations=[{"target": "a", "expression": "1"}, {"target": "b", "expresion": 1}]
        )
        assert "operations[1].expression: missing" in text
        assert (
            "operations[1].expresion: unknown option; allowed are expression, target (did you mean 'expression'?)"
            in text
        )
        assert "operations[0].expression: a call" in problems(
            "value_transform", operations=[{"target": "a", "expression": "open('x')"}]
        )


class TestTypeCoerce:
    @pytest.mark.parametrize(
        ("value", "to", "result"),
        [
            (" +12 ", "int", 12), ("-007", "int", -7), (5, "int", 5), (3.0, "int", 3), (2**70, "int", 2**70),
            ("1.5", "float", 1.5), ("-1e3", "float", -1000.0), (".5", "float", 0.5), ("2.", "float", 2.0),
            (7, "float", 7.0), ("0.000", "float", 0.0), (1.25, "float", 1.25),
            ("Yes", "bool", True), ("off", "bool", False), (1, "bool", True), (0, "bool", False), (True, "bool", True),
            (5, "str", "5"), (1.5, "str", "1.5"), (True, "str", "true"), ("x", "str", "x"), (2**70, "str", str(2**70)),
            (None, "int", None), (None, "str", None),
        ],
    )  # fmt: skip
    def test_an_exact_conversion_is_made(self, value: Any, to: str, result: Any) -> None:
        row = changed("type_coerce", {"v": value, "w": 1}, conversions=[{"field": "v", "to": to}])
        assert row == {"v": result, "w": 1}
        assert type(row["v"]) is type(result)

    @pytest.mark.parametrize(
        ("value", "to", "words"),
        [
            ("1_000", "int", "'1_000' (text)"), ("1.0", "int", "'1.0'"), ("", "int", "''"), ("٣", "int", "'٣'"),
            (1.5, "int", "1.5"), (True, "int", "True (a bool)"), ([1], "int", "(a list)"), ("9" * 5000, "int", "'999"),
            ("nan", "float", "'nan'"), ("inf", "float", "'inf'"), ("1e999", "float", "outside"),
            ("NA", "float", "'NA'"),
            ("1e-999", "float", "outside"), (2**53 + 1, "float", "would be rounded to 9007199254740992.0"),
            (10**400, "float", "outside"), (False, "float", "False"),
            ("maybe", "bool", "'maybe'"), (2, "bool", "2"), (1.0, "bool", "1.0"),
            ({"a": 1}, "str", "(an object)"),
        ],
    )  # fmt: skip
    def test_a_conversion_that_loses_something_refuses_the_row(self, value: Any, to: str, words: str) -> None:
        error = refused("type_coerce", {"v": value}, conversions=[{"field": "v", "to": to}])
        assert error.reason.startswith(f"field 'v' cannot become {to}: ")
        assert words in error.reason

    def test_a_missing_field_refuses_the_row(self) -> None:
        assert "no field 'v'" in refused("type_coerce", {"w": 1}, conversions=[{"field": "v", "to": "int"}]).reason

    def test_an_unknown_type_is_answered_with_a_guess(self) -> None:
        text = problems("type_coerce", conversions=[{"field": "v", "to": "flot"}])
        assert (
            "conversions[0].to: found 'flot', allowed is 'int', 'float', 'decimal', 'bool', 'str', 'date' or 'datetime'"
            in text
        )
        assert "(did you mean 'float'?)" in text


class TestTruncate:
    def test_a_text_is_cut_so_that_it_fits_with_its_suffix(self) -> None:
        row = changed("truncate", {"a": "abcdefgh", "b": "abc", "n": 5}, fields={"a": 5, "b": 3, "n": 3}, suffix="...")
        assert row == {"a": "ab...", "b": "abc", "n": 5}

    def test_without_a_suffix_all_of_the_length_is_kept(self) -> None:
        assert changed("truncate", {"a": "abcdef"}, fields={"a": 4}) == {"a": "abcd"}
        assert changed("truncate", {"a": "abcdef"}, fields={"a": 0}) == {"a": ""}

    def test_strict_refuses_what_is_missing_or_no_text(self) -> None:
        assert "no field 'a'" in refused("truncate", {"b": "x"}, fields={"a": 4}, strict=True).reason
        assert "is no text but a int" in refused("truncate", {"a": 1}, fields={"a": 4}, strict=True).reason
        assert changed("truncate", {"a": None}, fields={"a": 4}, strict=True) == {"a": None}

    def test_a_suffix_longer_than_the_field_is_refused(self) -> None:
        assert "leaves no room for the suffix '...'" in problems("truncate", fields={"a": 2}, suffix="...")


class TestKeywordFilter:
    def test_a_match_names_field_pattern_and_bounded_context(self) -> None:
        text = "x" * 100 + " secret " + "y" * 100
        error = refused(
            "keyword_filter", {"a": "fine", "b": text}, fields="all", blocked_patterns=["nothing", "sec(ret)?"]
        )
        assert error.reason == "field 'b' matches the blocked pattern 'sec(ret)?'"
        assert error.details == {
            "field": "b",
            "pattern": "sec(ret)?",
            "context": "…" + "x" * 29 + " secret " + "y" * 29 + "…",
        }

    def test_a_long_match_is_shown_only_in_part(self) -> None:
        error = refused("keyword_filter", {"a": "k" * 1000}, fields="all", blocked_patterns=["k+"])
        assert len(error.details["context"]) <= 4 * 30 + 2

    def test_only_the_named_fields_are_searched(self) -> None:
        assert changed("keyword_filter", {"a": "ok", "b": "bad"}, fields=["a", "c"], blocked_patterns="bad")
        assert refused("keyword_filter", {"a": "ok", "b": "bad"}, fields="b", blocked_patterns=["bad"])
        assert refused("keyword_filter", {"a": "ok", "b": "bad"}, fields="all", blocked_patterns=["bad"])

    @pytest.mark.parametrize("value", [["x", {"k": "bad 7"}], {"bad 7": 1}, {"a": [["bad 7"]]}])
    def test_nested_values_are_searched(self, value: Any) -> None:
        assert refused("keyword_filter", {"a": value}, fields="all", blocked_patterns=["bad 7"])

    def test_numbers_are_searched_as_they_are_printed(self) -> None:
        assert refused("keyword_filter", {"card": 4111111111111111}, fields="all", blocked_patterns=[r"\d{16}"])
        assert changed(
            "keyword_filter", {"a": True, "b": None, "c": 3.5}, fields="all", blocked_patterns=["True", "None", "4"]
        )

    def test_a_text_too_long_to_be_searched_is_refused(self) -> None:
        error = refused("keyword_filter", {"a": "x" * 11}, fields="all", blocked_patterns=["y"], max_length=10)
        assert error.reason == "field 'a' is 11 characters long; up to 10 are searched"

    def test_a_pattern_that_could_run_away_is_refused_before_the_run(self) -> None:
        assert "could take very long" in problems("keyword_filter", blocked_patterns=["ok", "(a+)+b"])


class TestJsonExplode:
    def test_each_item_becomes_a_row_with_the_other_fields(self) -> None:
        rows = changed("json_explode", {"id": 1, "tags": ["x", {"y": 2}], "z": 3}, array_field="tags")
        assert rows == [
            {"id": 1, "z": 3, "item": "x", "item_index": 0},
            {"id": 1, "z": 3, "item": {"y": 2}, "item_index": 1},
        ]

    def test_the_item_may_take_the_place_of_the_list(self) -> None:
        rows = changed("json_explode", {"t": [5]}, array_field="t", output_field="t", include_index=False)
        assert rows == [{"t": 5}]

    def test_an_empty_list_makes_no_row(self) -> None:
        assert changed("json_explode", {"t": []}, array_field="t") == []

    def test_what_is_no_list_or_would_be_overwritten_refuses_the_row(self) -> None:
        assert "no field 't'" in refused("json_explode", {}, array_field="t").reason
        assert "is no list but a str" in refused("json_explode", {"t": "[1]"}, array_field="t").reason
        assert "'item' already" in refused("json_explode", {"t": [1], "item": 1}, array_field="t").reason
        assert "'item_index' already" in refused("json_explode", {"t": [1], "item_index": 1}, array_field="t").reason
        assert changed("json_explode", {"t": [1], "item_index": 1}, array_field="t", index_field="n")[0]["n"] == 0

    def test_item_and_index_need_two_fields(self) -> None:
        assert "is the output_field already" in problems("json_explode", array_field="t", output_field="item_index")


class TestLineExplode:
    def test_each_line_becomes_a_row(self) -> None:
        rows = changed("line_explode", {"id": 1, "t": "a\r\n\nb\rc\u2028d\n"}, source_field="t")
        assert [(row["line"], row["line_index"]) for row in rows] == [("a", 0), ("", 1), ("b", 2), ("c\u2028d", 3)]
        assert all(row["id"] == 1 and "t" not in row for row in rows)

    def test_skipped_lines_count(self) -> None:
        rows = changed("line_explode", {"t": " a \n \nb"}, source_field="t", strip=True, skip_blank=True)
        assert rows == [{"line": "a", "line_index": 0}, {"line": "b", "line_index": 2}]

    def test_an_empty_text_makes_no_row(self) -> None:
        assert changed("line_explode", {"t": ""}, source_field="t", include_index=False) == []

    def test_what_is_no_text_refuses_the_row(self) -> None:
        assert "is no text but a list" in refused("line_explode", {"t": []}, source_field="t").reason
        assert "no field 't'" in refused("line_explode", {}, source_field="t").reason


@pytest.mark.parametrize("field", ["value_transform", "type_coerce", "truncate", "json_explode", "line_explode"])
def test_fields_that_come_out_are_those_that_are_announced(field: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "value_transform": {"operations": [{"target": "b", "expression": "row['a'] + 'x'"}]},
        "type_coerce": {"conversions": [{"field": "a", "to": "str"}]},
        "truncate": {"fields": {"a": 1}, "strict": True},
        "json_explode": {"array_field": "l"},
        "line_explode": {"source_field": "a"},
    }
    plugin: Any = registry.build(registry.find("transform", field), options[field], "transforms[0]")
    row = {"a": "xy", "l": [1]}
    assert plugin.fields_in() <= set(row)
    result = plugin.process(row, CTX)
    assert set(result[0] if isinstance(result, list) else result) == plugin.fields_out(frozenset(row))
