"""One spelling for steps that ask language models: files that put the account beside the question keep running.

Behind this module there is the step `llm`, and every account stands in `providers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elspeth.settings.normalize import follow
from elspeth.settings.problems import KeyPath, Positions, Problem, shown

OTHER_NAMES = {
    "azure_llm": "azure", "openrouter_llm": "openrouter", "azure_multi_query_llm": "azure",
    "openrouter_multi_query_llm": "openrouter",
}  # fmt: skip
"""Steps by other names, each with the service that it asks."""

_OPENROUTER = "https://openrouter.ai/api/v1"
_SERVICES = ("azure", "openrouter")
_OF_ACCOUNTS = ("endpoint", "base_url", "api_key", "api_version", "timeout_seconds", "max_capacity_retry_seconds")
_RENAMED = {
    "template": "prompt_template", "template_file": "prompt_file", "system_prompt": "system",
    "system_prompt_file": "system_file", "deployment_name": "model", "lookup": "lookups", "lookup_file": "lookups",
}  # fmt: skip
_PARAMETERS = ("temperature", "max_tokens")
_OTHERS = (*_OF_ACCOUNTS, *_RENAMED, *_PARAMETERS, "response_field", "queries")
_RESPONSE_FIELD = "llm_response"
_TYPES = {
    "integer": "integer", "int": "integer", "number": "number", "float": "number", "boolean": "boolean",
    "bool": "boolean", "string": "string", "str": "string", "enum": None, "any": None,
}  # fmt: skip


def rewrite(data: dict[str, Any], positions: Positions, lines: dict[KeyPath, int]) -> list[Problem]:
    """Bring such steps, and accounts, into their one spelling, in place. Problems are what cannot be meant."""
    _kinds(data, lines)
    held = data.get("transforms")
    problems: list[Problem] = []
    for index, step in enumerate(held if isinstance(held, list) else ()):
        if isinstance(step, dict) and isinstance(options := step.get("options", {}), dict) and _is_other(step, options):
            step["options"] = options
            problems += _Step(data, step, options, ("transforms", index), positions, lines).rewrite()
    return problems


def _is_other(step: dict[str, Any], options: dict[str, Any]) -> bool:
    plugin = step.get("plugin")
    if not isinstance(plugin, str):
        return False
    return plugin in OTHER_NAMES or (plugin == "llm" and any(key in options for key in _OTHERS))


def _kinds(data: dict[str, Any], lines: dict[KeyPath, int]) -> None:
    providers = data.get("providers")
    for name, provider in providers.items() if isinstance(providers, dict) else ():
        if isinstance(provider, dict) and "type" in provider and "kind" not in provider:
            provider["kind"] = provider.pop("type")
            follow(lines, ("providers", name, "type"), ("providers", name, "kind"))
        if isinstance(provider, dict) and provider.get("kind") == "openrouter":
            provider["kind"] = "openai"
            provider.setdefault("base_url", _OPENROUTER)


class _Step:
    """One step on its way to the one spelling."""

    def __init__(
        self, data: dict[str, Any], step: dict[str, Any], options: dict[str, Any], path: KeyPath, positions: Positions,
        lines: dict[KeyPath, int],
    ) -> None:  # fmt: skip
        self._data, self._step, self._options, self._lines = data, step, options, lines
        self._path: KeyPath = (*path, "options")
        self._positions = positions
        self._problems: list[Problem] = []

    def rewrite(self) -> list[Problem]:
        options = self._options
        service = OTHER_NAMES.get(str(self._step.get("plugin")), str(options.get("provider", "")))
        self._step["plugin"] = "llm"
        self._account(service)
        for old, new in _RENAMED.items():
            self._rename(old, new)
        for key in _PARAMETERS:
            if key in options and isinstance(options.setdefault("parameters", {}), dict):
                options["parameters"].setdefault(key, options.pop(key))
                follow(self._lines, (*self._path, key), (*self._path, "parameters", key))
        field = options.pop("response_field", _RESPONSE_FIELD)
        if "queries" in options:
            options["multi_query"] = dict(self._queries(options.pop("queries"), field))
            follow(self._lines, (*self._path, "queries"), (*self._path, "multi_query"))
        elif "output" not in options and "multi_query" not in options:
            options["output"] = {"field": field, "usage": f"{field}_usage", "model": f"{field}_model"}
        return self._problems

    def _problem(self, key: str, message: str, found: str = "", allowed: str = "") -> None:
        self._problems.append(self._positions.problem((*self._path, key), message, found=found, allowed=allowed))

    def _rename(self, old: str, new: str) -> None:
        options = self._options
        if old not in options:
            return
        if new in options:
            self._problem(old, f"says the same as `{new}`, which stands beside it", allowed="one of the two")
            return
        options[new] = options.pop(old)
        follow(self._lines, (*self._path, old), (*self._path, new))

    def _account(self, service: str) -> None:
        """What stands beside the question becomes an account, of a name that no other one has."""
        options = self._options
        own = {key: options.pop(key) for key in _OF_ACCOUNTS if key in options}
        providers = self._data.setdefault("providers", {})
        if not isinstance(providers, dict):
            return
        named = options.get("provider")
        if named in providers and isinstance(named, str):
            for key in own:
                self._problem(key, f"belongs to the account, and {named!r} stands in `providers`", allowed="there")
            return
        if service not in _SERVICES:
            if not own:
                return  # the provider is missing, which is said where providers are looked for
            self._problem("provider", "says neither which account nor which service is asked", found=shown(named),
                          allowed=", ".join([*providers, *_SERVICES]))  # fmt: skip
            return
        if "max_capacity_retry_seconds" in own:
            own["outage_seconds"] = own.pop("max_capacity_retry_seconds")
        account = {"kind": "azure", **own} if service == "azure" else {"kind": "openai", "base_url": _OPENROUTER, **own}
        name = next(name for name in _names(service) if providers.get(name, account) == account)
        providers[name] = account
        options["provider"] = name
        for key in own:
            old = "max_capacity_retry_seconds" if key == "outage_seconds" else key
            follow(self._lines, (*self._path, old), ("providers", name, key))

    def _queries(self, given: Any, field: str) -> Iterator[tuple[str, Any]]:
        listed: list[tuple[Any, Any]] = list(given.items()) if isinstance(given, dict) else []
        for query in given if isinstance(given, list) else ():
            listed.append((query.get("name") if isinstance(query, dict) else None, query))
        for name, query in listed:
            if not isinstance(query, dict) or not isinstance(name, str):
                self._problem("queries", "holds something that is no question with a name", found=shown(query))
                continue
            yield name, self._query(name, {key: value for key, value in query.items() if key != "name"}, field)
        if not isinstance(given, dict | list):
            self._problem(
                "queries", "has the wrong type", found=shown(given), allowed="a mapping of names to questions"
            )

    def _query(self, name: str, query: dict[str, Any], field: str) -> dict[str, Any]:
        for old, new in _RENAMED.items():
            if old in query:
                query.setdefault(new, query.pop(old))
        inputs = query.pop("input_fields", None)
        if inputs:
            query["inputs"] = inputs if isinstance(inputs, dict) else {each: each for each in inputs}
        listed = query.pop("output_fields", None)
        form = query.pop("response_format", None)
        if listed:
            parts = [part for part in listed if isinstance(part, dict) and isinstance(part.get("suffix"), str)]
            properties = {part["suffix"]: _schema(part) for part in parts}
            schema = {"type": "object", "properties": properties, "required": list(properties),
                      "additionalProperties": False}  # fmt: skip
            query.setdefault("response", {"format": "json_schema", "schema": schema})
            query.setdefault("output", {"fields": {f"{name}_{suffix}": suffix for suffix in properties}})
        else:
            if isinstance(form, str) and "json" in form:
                query.setdefault("response", {"format": "json"})
            query.setdefault("output", {"field": f"{name}_{field}"})
        return query


def _schema(part: dict[str, Any]) -> dict[str, Any]:
    kind = _TYPES.get(str(part.get("type", "any")), str(part.get("type")))
    found: dict[str, Any] = {} if kind is None else {"type": kind}
    if part.get("values"):
        found["enum"] = list(part["values"])
    return found


def _names(service: str) -> Iterator[str]:
    yield service
    number = 2
    while True:
        yield f"{service}_{number}"
        number += 1
