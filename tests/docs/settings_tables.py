"""The settings as the reference shows them: each key with its type and its default, read from the model itself."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import BaseModel

from elspeth.settings import cluster, model, services, telemetry

HEADINGS: dict[str, type[BaseModel]] = {
    "Top level": model.Settings,
    "Sources": model.Source,
    "Transforms": model.Transform,
    "Gates": model.Gate,
    "Aggregations": model.Aggregation,
    "Triggers": model.Trigger,
    "Coalesce": model.Coalesce,
    "Sinks": model.Sink,
    "Landscape settings": model.Landscape,
    "Export settings": model.Export,
    "Checkpoint settings": model.Checkpoint,
    "Concurrency settings": model.Concurrency,
    "Cluster settings": cluster.Cluster,
    "Cluster resources": cluster.Resources,
    "Cluster runtime": cluster.Runtime,
    "Supervisor settings": model.Supervisor,
    "Retry settings": model.Retry,
    "Payload store settings": model.PayloadStore,
    "Provider settings": services.Provider,
    "Rate limit settings": services.RateLimit,
    "Limits of a provider": services.Limit,
    "Budget settings": services.Budget,
    "Telemetry settings": telemetry.Telemetry,
    "Prometheus settings": telemetry.Prometheus,
    "OTLP settings": telemetry.Otlp,
}
NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


class Key(NamedTuple):
    """A line of a table, without the meaning."""

    name: str
    type: str
    default: str


def keys(section: type[BaseModel]) -> list[Key]:
    """The keys of a section, in the order of the model."""
    schema = section.model_json_schema()
    required = set(schema.get("required", ()))
    return [
        Key(name, _type(part), "required" if name in required else _default(section, name))
        for name, part in schema["properties"].items()
    ]


def _default(section: type[BaseModel], name: str) -> str:
    value = section.model_fields[name].get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value in ({}, ()):
        return "none"
    return f"`{json.dumps(value).strip(chr(34))}`"


def _type(part: dict[str, Any]) -> str:
    if "$ref" in part:
        return "section"
    if "anyOf" in part:
        return " or ".join(_type(choice) for choice in part["anyOf"] if choice.get("type") != "null")
    if "enum" in part or "const" in part:
        return ", ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    if part.get("type") == "array":
        return f"list of {_many(_type(part['items']))}"
    if part.get("type") == "object":
        return f"mapping of names to {_many(_type(values))}" if (values := _values(part)) else "mapping"
    return NAMES[part["type"]] + _range(part)


def _many(one: str) -> str:
    return {"section": "sections", "text": "texts"}.get(one, one)


def _values(part: dict[str, Any]) -> dict[str, Any] | None:
    found = part.get("additionalProperties") or next(iter(part.get("patternProperties", {}).values()), None)
    return found if isinstance(found, dict) else None


def _range(part: dict[str, Any]) -> str:
    if "exclusiveMinimum" in part:
        return f" above {part['exclusiveMinimum']:g}"
    return f" from {part['minimum']:g}" if "minimum" in part else ""
