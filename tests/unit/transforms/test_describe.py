"""What `elspeth plugins inspect` is told."""

from __future__ import annotations

import pytest

from elspeth.plugins import registry
from elspeth.plugins.describe import Option, describe


def test_an_option_has_type_default_and_description() -> None:
    options = {option.name: option for option in describe(registry.find("aggregation", "batch_replicate")).options}
    assert options["default_copies"] == Option(
        name="default_copies",
        type="whole number, at least 0",
        required=False,
        default=1,
        description="Copies of a row that lacks the field.",
    )


def test_nested_options_are_described_too() -> None:
    (conversions, schema) = describe(registry.find("transform", "type_coerce")).options
    assert (conversions.type, conversions.required) == ("list of object (field, to, spelling)", True)
    assert [(part.name, part.type) for part in conversions.within] == [
        ("field", "text"),
        ("to", "'int' or 'float' or 'decimal' or 'bool' or 'str' or 'date' or 'datetime'"),
        ("spelling", "object (format, timezone, ambiguous, nonexistent, years_from) or null"),
    ]
    assert (schema.name, schema.type) == ("schema", "row schema")


def test_what_every_plugin_takes_comes_last() -> None:
    names = [option.name for option in describe(registry.find("aggregation", "batch_top_k")).options]
    assert names == ["field", "k", "group_by", "include_missing", "required_input_fields", "schema"]


def test_an_aggregation_may_say_what_the_fields_of_its_results_mean() -> None:
    assert describe(registry.find("aggregation", "batch_top_k")).result_fields["k"] == "The option `k`."
    assert describe(registry.find("aggregation", "batch_stats")).result_fields == {}
    assert describe(registry.find("transform", "truncate")).result_fields == {}


def test_a_mapping_says_what_its_values_are() -> None:
    options = {option.name: option for option in describe(registry.find("transform", "truncate")).options}
    assert options["fields"].type == "name: whole number, at least 0"


def test_the_description_names_what_the_plugin_promises() -> None:
    described = describe(registry.find("transform", "json_explode"))
    assert described.creates_rows
    assert described.delivery is None
    assert described.determinism == "deterministic"
    assert described.text.startswith("Makes one row of each item of a list")


@pytest.mark.parametrize("key", registry.BUILT_IN, ids=lambda key: "-".join(key))
def test_every_option_of_every_built_in_plugin_is_described(key: tuple[registry.Kind, str]) -> None:
    described = describe(registry.find(*key))
    bare = [option.name for option in described.options if not option.description]
    bare += [part.name for option in described.options for part in option.within if not part.description]
    assert not bare
