"""What all sections of the settings share: their base, the kinds of values, and errors about a whole section."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

_NAME = r"^\w[\w\-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
"""Names of steps, sinks, sources and branches: they become part of ids, so letters, digits, `_` and `-` only."""

Text = Annotated[str, StringConstraints(min_length=1)]
Whole = Annotated[int, Field(ge=1, le=2**31)]
Seconds = Annotated[float, Field(gt=0, le=10**9)]
Options = Annotated[dict[str, Any], Field(default_factory=dict)]


def wrong(message: str, *, key: str = "", found: str = "", allowed: str = "") -> PydanticCustomError:
    """An error about a whole section; `key` names the key of that section at which it shows."""
    # The message is no template: braces in it would be read as fields.
    context = {"message": message, "key": key, "found": found, "allowed": allowed}
    return PydanticCustomError("settings", "settings", context)


def _ways(value: object) -> object:
    if isinstance(value, str):
        if not value:
            raise PydanticKnownError("string_too_short", {"min_length": 1})
        return value
    if not isinstance(value, list | tuple):
        raise PydanticKnownError("string_type")
    bad = [each for each in value if not isinstance(each, str) or not re.match(_NAME, each)]
    if bad or not value:
        named = "names of letters, digits, `_` and `-`, up to 64 of them each"
        raise wrong("cannot be where rows go", found=str(bad[0]) if bad else "an empty list", allowed=named)
    return tuple(value)


Ways = Annotated[
    str | tuple[str, ...],
    PlainValidator(_ways),
    PlainSerializer(lambda ways: list(ways) if isinstance(ways, tuple) else ways, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1},
                              {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": _NAME}}]}),
]  # fmt: skip
"""Where rows go: to one place, or a copy of each to every one of several."""


def several(found: list[PydanticCustomError]) -> PydanticCustomError:
    """All of these errors of `wrong` about one section, as the one that a validator may raise."""
    first, *others = (error.context or {} for error in found)
    return PydanticCustomError("settings", "settings", {**first, "others": others})


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, types are not guessed, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
