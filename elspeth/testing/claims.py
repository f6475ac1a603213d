"""Claims that hold for plugins of every kind, and how a claim that fails is translated_errors."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from elspeth.plugins.contract import API_VERSION, BatchFacts, Context, Plugin, PluginOptions

AnyPlugin = TypeVar("AnyPlugin", bound=Plugin)

_UNKNOWN = "surely_no_option_has_this_name"


def fail(plugin: Plugin, claim: str, found: str) -> NoReturn:
    """Raise `AssertionError`: which plugin, what it must do, what it did."""
    raise AssertionError(f"{type(plugin).__name__} ({plugin.name}) {claim}; {found}")


def fresh(plugin: AnyPlugin, context: Context | None = None) -> AnyPlugin:
    """Another object of the same class and options, set up: what a process that takes over has."""
    again = type(plugin)(plugin.options)
    again.setup(context or context_of(plugin))
    return again


def context_of(plugin: Plugin, row: int = 0) -> Context:
    """The context of a row: always the same for the same row, as in a replay."""
    return Context(
        run_id="kit00000",
        node_id=plugin.name,
        token_id=f"kit00000-{row:09d}",
        now="2026-01-01T00:00:00.000Z",
        batch=BatchFacts(number=row + 1, rows_before=row),
    )


def through_json(plugin: Plugin, value: Any, what: str) -> Any:
    """The value as it comes back out of a checkpoint. Fails unless it is the same."""
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        fail(plugin, f"must give a {what} that JSON can hold", f"{shown(value)} cannot be written: {error}")
    if back != value:
        fail(plugin, f"must give a {what} that comes out of JSON unchanged", f"{shown(value)} became {shown(back)}")
    return back


def shown(value: Any) -> str:
    """A value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def check_basics(plugin: Plugin) -> None:
    """What all kinds owe: a name, a version, a documented class, and options that are described and closed."""
    cls = type(plugin)
    if not isinstance(getattr(cls, "name", None), str) or not cls.name:
        raise AssertionError(f"{cls.__name__} must have a `name`: it is what settings files call it")
    if not isinstance(cls.version, str) or not cls.version:
        fail(plugin, "must have a `version` that is text", f"found {shown(cls.version)}")
    if cls.api_version > API_VERSION:
        fail(plugin, f"must be made for API version {API_VERSION} or older", f"it asks for {cls.api_version}")
    if not (cls.__doc__ or "").strip():
        fail(plugin, "must have a docstring that says what it does", "it has none, and `plugins inspect` shows it")
    _check_options(plugin)


def _check_options(plugin: Plugin) -> None:
    options = type(plugin).Options
    if not issubclass(options, PluginOptions):
        fail(plugin, "must derive its `Options` from PluginOptions", f"{options.__name__} does not")
    if not isinstance(plugin.options, options):
        fail(plugin, "must be built with an instance of its `Options`", f"found {shown(plugin.options)}")
    try:
        options.model_validate({_UNKNOWN: 1})
        refused = False
    except ValidationError as error:
        refused = any(problem["loc"] == (_UNKNOWN,) for problem in error.errors())
    if not refused:
        fail(plugin, "must refuse options it does not know", "a misspelt option would be ignored without a word")
    for name, field in options.model_fields.items():
        if name not in PluginOptions.model_fields and not field.description:
            fail(plugin, "must describe each option with Field(description=...)", f"option {name} has no description")
