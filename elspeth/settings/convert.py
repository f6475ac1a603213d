"""Rewrites a pipeline file into this product's own spelling: keys in their one place, words of its own, comments kept.

The only module that reads YAML for the sake of its looks, with ruamel.yaml (the extra `convert`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from elspeth.errors import SettingsError
from elspeth.settings import accepted, normalize
from elspeth.settings.problems import KeyPath, dotted

_MODES = {"strict": "fixed", "free": "flexible", "dynamic": "observed"}
_WIDTH = 1 << 16  # lines are never wrapped: only what is named is changed


def convert(text: str) -> tuple[str, list[str]]:
    """The same pipeline in our own spelling, and a sentence for each thing that was changed.

    Raises `SettingsError` for a text that is no mapping in YAML.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        data = yaml.load(text)
    except YAMLError as error:
        raise SettingsError("this file is no YAML", details=[str(error)], next_step="elspeth validate FILE") from None
    if not isinstance(data, CommentedMap):
        raise SettingsError("this file is no mapping of keys", next_step="elspeth validate FILE")
    changes = [*_places(data), *_words(data), *_signing(data), *_without_effect(data)]
    if not changes:
        return text, []
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue(), changes


def _places(data: CommentedMap) -> Iterator[str]:
    """What belongs to the step stands beside its options, what belongs to the plugin inside."""
    for path, step in normalize.steps(data):
        for key in normalize.BESIDE[str(path[0])]:
            options = step.get("options")
            if isinstance(options, dict) and key in options and key not in step:
                _move(options, key, step, key)
                yield f"{dotted((*path, 'options', key))}: moved to {dotted((*path, key))}"
        for key in normalize.INSIDE[str(path[0])]:
            if key not in step:
                continue
            inside = step.setdefault("options", CommentedMap())
            if isinstance(inside, dict) and key not in inside:
                _move(step, key, inside, key)
                yield f"{dotted((*path, key))}: moved to {dotted((*path, 'options', key))}"
        options = step.get("options")
        if isinstance(options, dict) and "required_input_fields" in options and "required_fields" not in step:
            _move(options, "required_input_fields", step, "required_fields")
            yield f"{dotted((*path, 'required_input_fields'))}: is required_fields"
        if "options" in step and isinstance(options, dict) and not options and not _comments(options):
            _remove(step, "options")


def _words(data: CommentedMap) -> Iterator[str]:
    for path, step in normalize.steps(data):
        options = step.get("options")
        schema = options.get("schema") if isinstance(options, dict) else None
        where = dotted((*path, "options", "schema"))
        if not isinstance(schema, dict):
            continue
        if schema.get("fields") in ("dynamic", "observed") and "mode" not in schema:
            _move(schema, "fields", schema, "mode")
            schema["mode"] = "observed"
            yield f"{where}: fields: dynamic is mode: observed"
        mode = schema.get("mode")
        if isinstance(mode, str) and mode in _MODES:
            schema["mode"] = _MODES[mode]
            yield f"{where}.mode: {mode} is {_MODES[mode]}"


def _signing(data: CommentedMap) -> Iterator[str]:
    export = _at(data, ("landscape", "export"))
    if isinstance(export, dict) and export.get("signing_mode") in accepted.SIGNING and "sign" not in export:
        mode = export["signing_mode"]
        _move(export, "signing_mode", export, "sign")
        export["sign"] = accepted.SIGNING[mode]
        yield f"landscape.export.signing_mode: {mode} is sign: {str(accepted.SIGNING[mode]).lower()}"


def _without_effect(data: CommentedMap) -> Iterator[str]:
    for path in accepted.without_effect(data):
        holder = _at(data, path[:-1])
        if isinstance(holder, dict) and path[-1] in holder:
            _remove(holder, str(path[-1]))
            yield f"{dotted(path)}: left out, it has no effect"
    for section in ("landscape", "checkpoint"):
        if section in data and isinstance(data[section], dict) and not data[section]:
            _remove(data, section)


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data


def _comments(holder: Any) -> Any:
    return getattr(getattr(holder, "ca", None), "items", None)


def _move(source: Any, key: str, target: Any, name: str) -> None:
    """Move a key with the comment behind it; under another name it keeps its place."""
    comments, value = _comments(source), source[key]
    comment = comments.pop(key, None) if comments is not None else None
    if source is target:
        place = list(source).index(key)
        del source[key]
        source.insert(place, name, value)
    else:
        del source[key]
        target[name] = value
    if comment is not None and _comments(target) is not None:
        target.ca.items[name] = comment


def _remove(holder: Any, key: str) -> None:
    """Remove a key. A comment on lines behind it belongs to what follows, and stays."""
    comments = _comments(holder)
    comment = comments.pop(key, None) if comments is not None else None
    keys = list(holder)
    place = keys.index(key)
    value = holder.pop(key)
    for last in _last_comments(value, comment):
        kept = last.value[last.value.find("\n") :] if not last.value.startswith("\n") else last.value
        if not kept.strip():
            continue
        words = "\n".join(line.strip().removeprefix("#").removeprefix(" ") for line in kept.strip().splitlines())
        column = holder.lc.col if hasattr(holder, "lc") else 0
        if place + 1 < len(keys):
            holder.yaml_set_comment_before_after_key(keys[place + 1], before=words, indent=column)
        else:
            holder.yaml_end_comment_extend([last])


def _last_comments(value: Any, comment: Any) -> Iterator[Any]:
    """The comment tokens that stand behind a value."""
    for token in comment or ():
        if token is not None and not isinstance(token, list):
            yield token
    for inner in (_comments(value) or {}).values():
        yield from (token for token in inner if token is not None and not isinstance(token, list))
