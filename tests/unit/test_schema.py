"""Row schemas: every spelling, every conversion, and the fast functions against the slow statement of the rules."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.schema import (
    FieldSpec,
    RowSchema,
    SchemaError,
    compile_checker,
    compile_reader,
    normalise_headers,
)
from elspeth.schema.values import check_value, mismatches, read_value

TWO = (FieldSpec("id", "int"), FieldSpec("note", "str", optional=True))


@pytest.mark.parametrize(
    "spec", [None, "dynamic", {"fields": "dynamic"}, {"mode": "observed"}, {"mode": "dynamic"}, {}]
)
def test_every_spelling_of_take_what_comes_is_observed(spec: Any) -> None:
    assert RowSchema.parse(spec) == RowSchema("observed")


@pytest.mark.parametrize("mode", ["fixed", "strict", "flexible", "free"])
@pytest.mark.parametrize(
    "fields",
    [
        ["id: int", "note: str?"],
        [{"id": "int"}, {"note": "str?"}],
        {"id": "int", "note": "str?"},
        ["id:int", {"name": "note", "type": "str", "optional": True}],
    ],
)
def test_every_spelling_of_fields_has_one_normal_form(mode: str, fields: Any) -> None:
    expected = "fixed" if mode in ("fixed", "strict") else "flexible"
    schema = RowSchema.parse({"mode": mode, "fields": fields})
    assert (schema.mode, schema.fields) == (expected, TWO)
    assert RowSchema.from_dict(schema.to_dict()) == schema


def test_guaranteed_and_required_fields_survive_the_round_trip() -> None:
    schema = RowSchema.parse({"mode": "observed", "guaranteed_fields": ["a", "b"], "required_fields": ["c"]})
    assert (schema.guaranteed_fields, schema.required_fields) == (("a", "b"), ("c",))
    assert RowSchema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (7, "expected a mapping"),
        ({"mode": "strickt", "fields": ["a: int"]}, "did you mean 'strict'"),
        ({"feilds": ["a: int"]}, "did you mean 'fields'"),
        ({"fields": ["a: int"]}, "no mode"),
        ({"mode": "fixed"}, "at least one field"),
        ({"mode": "fixed", "fields": "dynamic"}, "needs a list of fields"),
        ({"mode": "observed", "fields": ["a: int"]}, "takes no fields"),
        ({"mode": "free", "fields": ["a: integer"]}, "field 'a' has the unknown type 'integer'"),
        ({"mode": "free", "fields": ["a: flot"]}, "did you mean 'float'"),
        ({"mode": "free", "fields": ["a"]}, 'written "name: type"'),
        ({"mode": "free", "fields": ["a: int", "a: str"]}, "'a' is listed twice"),
        ({"mode": "free", "fields": [": int"]}, "name must be text"),
        ({"mode": "free", "fields": 3}, "must be a list"),
        ({"mode": "free", "fields": ["a: int"], "required_fields": "a"}, "list of field names"),
    ],
)
def test_a_schema_that_cannot_be_read_is_refused_in_words(spec: Any, words: str) -> None:
    with pytest.raises(ValueError, match="schema: ") as caught:
        RowSchema.parse(spec)
    assert words in str(caught.value)


def one(kind: str, value: Any) -> Any:
    return compile_reader(RowSchema.parse({"mode": "fixed", "fields": {"f": kind}}))({"f": value})["f"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "12", 12),
        ("int", " -7 ", -7),
        ("int", "+3", 3),
        ("int", "007", 7),
        ("int", "123456789012345678901234567890", 123456789012345678901234567890),
        ("int", 5, 5),
        ("float", "1", 1.0),
        ("float", " 1.5e3 ", 1500.0),
        ("float", 3, 3.0),
        ("float", 0.5, 0.5),
        ("bool", "TRUE", True),
        ("bool", "no", False),
        ("bool", "1", True),
        ("bool", " 0", False),
        ("bool", True, True),
        ("str", "", ""),
        ("str", " x ", " x "),
        ("any", "12", "12"),
        ("any", [1], [1]),
        ("any", None, None),
        ("int?", "", None),
        ("int?", "  ", None),
        ("str?", "", None),
        ("str?", "  ", "  "),
        ("float?", None, None),
    ],
)
def test_text_becomes_the_value_it_says(kind: str, text: Any, value: Any) -> None:
    found = one(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "1.5"), ("int", "1."), ("int", "1e3"), ("int", "1_000"), ("int", ""), ("int", "٣"), ("int", "²"),
        ("int", True), ("int", 1.0), ("int", None), ("int", [1]), ("int", "0x10"), ("int", "9" * 5000),
        ("float", "nan"), ("float", "inf"), ("float", "-Infinity"), ("float", "1e400"), ("float", "1_0"),
        ("float", "٣"), ("float", math.nan), ("float", math.inf), ("float", False), ("float", 2**53 + 1),
        ("float", 10**400), ("float", "1,5"), ("bool", "maybe"), ("bool", 1), ("bool", ""), ("bool", "2"),
        ("str", 1), ("str", None), ("int?", "x"), ("bool?", "x"), ("float?", "nan"), ("str?", 1),
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_the_type_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(SchemaError, match="field 'f': expected"):
        one(kind, value)


def test_every_bad_field_is_named_with_what_was_found_and_expected() -> None:
    read = compile_reader(RowSchema.parse({"mode": "fixed", "fields": ["id: int", "amount: float", "ok: bool?"]}))
    with pytest.raises(SchemaError) as caught:
        read({"id": "x" * 500, "ok": "maybe", "extra": 1})
    assert [m.field for m in caught.value.mismatches] == ["id", "amount", "ok", "extra"]
    assert [m.expected for m in caught.value.mismatches] == ["int", "float", "bool or nothing", "no such field"]
    assert caught.value.mismatches[1].found == "no such field"
    assert len(str(caught.value)) < 400


def test_the_order_of_a_row_is_kept_and_missing_optional_fields_come_last() -> None:
    read = compile_reader(RowSchema.parse({"mode": "free", "fields": ["note: str?", "id: int"]}))
    row = {"zone": "b", "id": "4"}
    assert list(read(row).items()) == [("zone", "b"), ("id", 4), ("note", None)]
    assert row == {"zone": "b", "id": "4"}, "the row given is not changed"


def test_promised_fields_must_be_present_even_when_nothing_else_is_known() -> None:
    schema = RowSchema.parse({"mode": "observed", "guaranteed_fields": ["a"], "required_fields": ["b"]})
    row = {"a": None, "b": 1}
    assert compile_reader(schema)(row) is row
    for function in (compile_reader(schema), compile_checker(schema)):
        with pytest.raises(SchemaError, match="field 'b': expected any value, found no such field"):
            function({"a": 1})


def test_a_checker_never_takes_text_for_a_number() -> None:
    check = compile_checker(RowSchema.parse({"mode": "fixed", "fields": ["id: int", "x: float", "note: str?"]}))
    check({"id": 1, "x": 2})
    check({"id": 1, "x": 2.0, "note": None})
    for bad in ({"id": "1", "x": 2.0}, {"id": 1, "x": 2.0, "z": 1}, {"id": 1}, {"id": 1, "x": math.nan}):
        with pytest.raises(SchemaError):
            check(bad)


def test_the_names_in_a_schema_are_never_executed() -> None:
    name = "');raise SystemExit('"
    read = compile_reader(RowSchema.parse({"mode": "fixed", "fields": {name: "int"}, "required_fields": [name + "x"]}))
    with pytest.raises(SchemaError):
        read({name: "1"})


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers(), max_size=1),
    st.sampled_from(["1", "-1", " 2 ", "1.0", "1e5", "nan", "inf", "true", "No", "", " ", "1_0", "٣"]),
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "c", "d"])
SPECS = st.lists(
    st.builds(FieldSpec, NAMES, st.sampled_from(["int", "float", "str", "bool", "any"]), st.booleans()),
    unique_by=lambda spec: spec.name,
    min_size=1,
)


@given(st.sampled_from(["fixed", "flexible"]), SPECS, st.lists(NAMES), st.dictionaries(NAMES, VALUES))
def test_the_fast_functions_do_what_the_rules_say(
    mode: Any, specs: list[FieldSpec], promised: list[str], row: dict[str, Any]
) -> None:
    schema = RowSchema(mode, tuple(specs), tuple(promised))
    for function, value_of in ((compile_reader(schema), read_value), (compile_checker(schema), check_value)):
        bad = mismatches(schema, row, value_of)
        if bad:
            with pytest.raises(SchemaError) as caught:
                function(row)
            assert caught.value.mismatches == tuple(bad)
            continue
        result: Any = function(row)
        if value_of is read_value:
            present = {spec.name: read_value(row[spec.name], spec) for spec in specs if spec.name in row}
            assert repr(result) == repr({**row, **present} | {s.name: None for s in specs if s.name not in row})
            compile_checker(schema)(result)


def test_clean_headers_stay_exactly_as_they_are() -> None:
    names = ["id", "Amount", "_x", "größe", "class"]
    assert normalise_headers(names) == {name: name for name in names}


def test_messy_headers_become_identifiers_and_keep_their_original() -> None:
    assert normalise_headers([" Order ID ", "% done", "2nd", "", "a.b-c", "***", "Fläche in m²", "a _ b"]) == {
        "Order_ID": " Order ID ", "done": "% done", "_2nd": "2nd", "column_4": "", "a_b_c": "a.b-c", "column_6": "***",
        "Fläche_in_m": "Fläche in m²", "a___b": "a _ b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a b", "a-b"], "'a b' and 'a-b' both become 'a_b'"),
        (["a", "b", "a"], "'a' appears twice"),
        (["", "column_1"], "both become"),
        (["a b", "c", "a-b", "c"], "both become 'a_b'; header 'c' appears twice"),
    ],
)
def test_headers_that_collide_are_reported_with_both_names(names: list[str], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        normalise_headers(names)
    assert words in str(caught.value)


@given(st.lists(st.text(max_size=8), unique=True))
def test_whatever_the_headers_are_the_names_are_identifiers(names: list[str]) -> None:
    try:
        found = normalise_headers(names)
    except ValueError:
        return
    assert list(found.values()) == names
    assert all(name.isidentifier() for name in found)
