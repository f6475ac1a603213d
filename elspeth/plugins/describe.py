"""What a plugin is and takes, as data for `elspeth plugins inspect`: options with types, defaults and descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from elspeth.plugins import contract, registry

_TYPES = {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "null"}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
}
_LAST = ("required_input_fields", "schema")
_SCHEMA = "The row schema: `dynamic`, or mode (strict, fixed, free, flexible, observed) and fields."


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `type` is in words; `default` is None, too, where `required` is true. `within` are its parts."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    within: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """All that can be said of a plugin without running it. `text` is the whole docstring, unindented.

    `result_fields` maps the fields of an aggregation's results to what they mean, where it tells.
    """

    kind: registry.Kind
    name: str
    version: str
    api_version: int
    determinism: contract.Determinism
    delivery: contract.Delivery | None
    creates_rows: bool
    text: str
    module: str
    source_hash: str
    options: tuple[Option, ...]
    result_fields: dict[str, str]


def describe(cls: registry.PluginClass) -> Description:
    """The description of a plugin class."""
    return Description(
        kind=registry.kind_of(cls),
        name=cls.name,
        version=cls.version,
        api_version=cls.api_version,
        determinism=cls.determinism,
        delivery=cls.delivery if issubclass(cls, contract.Sink) else None,
        creates_rows=issubclass(cls, contract.Transform) and cls.creates_rows,
        text=_unindented(cls.__doc__ or ""),
        module=cls.__module__,
        source_hash=registry.source_hash(cls),
        options=_options(cls.Options),
        result_fields=dict(cls.result_fields) if issubclass(cls, contract.Aggregation) else {},
    )


def _options(model: type[BaseModel]) -> tuple[Option, ...]:
    schema = model.model_json_schema(by_alias=True)
    options = _of_object(schema, schema.get("$defs", {}))
    # What every plugin takes comes last, after what is its own.
    return tuple(sorted(options, key=lambda option: _LAST.index(option.name) if option.name in _LAST else -1))


def _of_object(schema: dict[str, Any], parts: dict[str, Any]) -> tuple[Option, ...]:
    required = schema.get("required", [])
    return tuple(
        Option(
            name=name,
            type="row schema" if name == "schema" else _words(value, parts),
            required=name in required,
            default=value.get("default"),
            description=value.get("description", _SCHEMA if name == "schema" else ""),
            within=_within(value, parts),
        )
        for name, value in schema.get("properties", {}).items()
    )


def _within(schema: dict[str, Any], parts: dict[str, Any]) -> tuple[Option, ...]:
    """The options of the objects that the value is, or is a list or mapping of."""
    schema = _followed(schema, parts)
    if "properties" in schema:
        return _of_object(schema, parts)
    below = [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())]
    return next((found for part in below if isinstance(part, dict) and (found := _within(part, parts))), ())


def _words(schema: dict[str, Any], parts: dict[str, Any]) -> str:
    schema = _followed(schema, parts)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(choice, parts) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(map(repr, schema["enum"]))
    if "const" in schema:
        return repr(schema["const"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"list of {_words(items, parts)}" if items else "list"
    if kind == "object":
        if "properties" in schema:
            return f"object ({', '.join(schema['properties'])})"
        values = schema.get("additionalProperties")
        return f"name: {_words(values, parts)}" if isinstance(values, dict) and values else "object"
    limits = [words.format(schema[key]) for key, words in _LIMITS.items() if key in schema]
    return ", ".join([_TYPES.get(str(kind), str(kind or "anything")), *limits])


def _followed(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return {**parts[reference.rpartition("/")[2]], **schema} if reference else schema


def _unindented(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join([*lines[:1], *(line.removeprefix("    ") for line in lines[1:])])
