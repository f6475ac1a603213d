"""The settings as JSON Schema (draft 2020-12), with every plugin's options, for editors that complete and check.

It says no more than `validate` does: what it refuses, `validate` refuses. What only code can judge (whether a sink is
there, whether an expression can be read) it leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, BeforeValidator, PlainValidator, WrapValidator

from elspeth.canonical import JsonObject
from elspeth.plugins import registry
from elspeth.plugins.registry import Kind
from elspeth.settings.model import Settings
from elspeth.settings.normalize import BESIDE, INSIDE

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_FROM_A_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_STEPS: dict[Kind, str] = {"source": "Source", "transform": "Transform", "aggregation": "Aggregation", "sink": "Sink"}
_SECTIONS = {"Source": "sources", "Transform": "transforms", "Aggregation": "aggregations", "Sink": "sinks"}
_OTHER_FORMS = ("branches", "queues")
"""Keys that may be a list of names where the model has a mapping, or the other way round."""


def settings_schema() -> JsonObject:
    """The schema of a pipeline file, with the plugins that are known now."""
    schema = Settings.model_json_schema()
    parts = {name: _widened(part) for name, part in schema.pop("$defs").items()}
    result = _widened(schema)
    for kind, step in _STEPS.items():
        classes = [registry.find(kind, info.name) for info in registry.available() if info.kind == kind]
        parts[step] = _step(parts[step], _SECTIONS[step], classes)
    empty = {"type": "null"}
    sections = {key: {"anyOf": [value, empty]} for key, value in result.pop("properties").items()}
    result.pop("required", None)
    either = {"oneOf": [{"required": ["source"]}, {"required": ["sources"]}]}
    return {"$schema": DIALECT, "title": "Elspeth pipeline", **result, "properties": sections, "required": ["sinks"],
            **either, "$defs": parts}  # fmt: skip


def _step(part: JsonObject, section: str, classes: Iterable[registry.PluginClass]) -> JsonObject:
    """A step with the options of each plugin that it may name. Some keys may stand beside `options` or inside."""
    known = {cls.name: _options(cls.Options) for cls in classes}
    own = part["properties"]
    plugin = {**own["plugin"], "anyOf": [{"enum": sorted(known)}, {"type": "string", "pattern": r"\$\{"}]}
    plugin.pop("type", None)
    inside: JsonObject = {key: {} for key in INSIDE[section]}
    beside = {key: own[key] for key in BESIDE[section] if key in own}
    chosen = []
    for name, options in sorted(known.items()):
        properties = {**options.get("properties", {}), **beside}
        required = [key for key in options.get("required", ()) if key not in inside]
        held: JsonObject = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
        then: JsonObject = {"properties": {"options": {**held, "required": required} if required else held}}
        if required:
            then["required"] = ["options"]
        chosen.append({"if": {"properties": {"plugin": {"const": name}}, "required": ["plugin"]}, "then": then})
    options = {"type": ["object", "null"]}
    return {**part, "properties": {**inside, **own, "plugin": plugin, "options": options}, "allOf": chosen}


def _options(model: type[BaseModel]) -> JsonObject:
    """The options of a plugin, with what they refer to in its place."""
    schema = model.model_json_schema(by_alias=True)
    parts = schema.pop("$defs", {})
    result: JsonObject = _widened(_inlined(schema, parts))
    if any(each.info.mode != "after" for each in model.__pydantic_decorators__.model_validators.values()):
        return {}  # the whole of it is judged by code first
    for name in _read_by_code(model):
        field = model.model_fields[name]
        if (key := field.alias or name) in result.get("properties", {}):
            result["properties"][key] = {"description": field.description or ""}
    return result


def _read_by_code(model: type[BaseModel]) -> set[str]:
    """Options whose value goes through code before its type is looked at: any form may be allowed."""
    validators = model.__pydantic_decorators__.field_validators.values()
    named = {name for each in validators if each.info.mode != "after" for name in each.info.fields}
    kinds = (BeforeValidator, PlainValidator, WrapValidator)
    found = {name for name, field in model.model_fields.items() if any(isinstance(it, kinds) for it in field.metadata)}
    return named | found


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**parts[name], **rest}, parts)
    return {key: _inlined(value, parts) for key, value in schema.items()}


def _widened(schema: Any) -> Any:
    """The same schema for a file: a value may come from a variable, and a number may stand where text is meant."""
    if isinstance(schema, list):
        return [_widened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _inner(key, value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    kind = result.get("type")
    if kind in ("integer", "number", "boolean"):
        return _either(result, _FROM_A_VARIABLE)
    if "enum" in result or "const" in result:
        return _either(result, _FROM_A_VARIABLE)
    if kind == "string":
        return _either(result, _FROM_A_VARIABLE, {"type": ["number", "boolean"]})
    return result


def _inner(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "$defs"):
        return {name: {} if name in _OTHER_FORMS else _widened(part) for name, part in value.items()}
    if key in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems", "not"):
        return _widened(value)
    return value


def _either(schema: JsonObject, *others: JsonObject) -> JsonObject:
    """One of these; what is said of the value stays outside, where editors show it."""
    outside: JsonObject = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    return {**outside, "anyOf": [schema, *others]}
