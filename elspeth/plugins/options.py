"""Checks the options of a plugin and puts every problem into words: which key, what was found, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Aggregation, Plugin, PluginOptions, Transform

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """One thing wrong with a plugin's options. `key` is the path below `options`; `suggestion` may be empty.

    `together` is the path of the options that do not fit each other, where the problem is shown at one of them.
    """

    key: KeyPath
    message: str
    suggestion: str = ""
    together: KeyPath | None = None

    @property
    def about(self) -> KeyPath:
        """The path of what would have to be known to say that it is wrong."""
        return self.key if self.together is None else self.together

    def __str__(self) -> str:
        text = f"{dotted(self.key)}: {self.message}" if self.key else self.message
        return f"{text} (did you mean {self.suggestion!r}?)" if self.suggestion else text


class OptionProblems(SettingsError):
    """A plugin's options cannot be used; `problems` lists why, `where` is the plugin's place in the settings."""

    def __init__(self, where: str, plugin: str, problems: Sequence[OptionProblem]) -> None:
        super().__init__(
            f"{where}: the options of {plugin!r} cannot be used.",
            details=[str(problem) for problem in problems],
            next_step=f"`elspeth plugins inspect {plugin}` shows its options.",
        )
        self.where = where
        self.plugin = plugin
        self.problems = tuple(problems)


def check(cls: type[Plugin], options: Mapping[str, Any], where: str) -> PluginOptions:
    """The options as the plugin's own model. Raises `OptionProblems` listing everything that is wrong."""
    problems = _required_fields(cls, options)
    try:
        built = cls.Options.model_validate(_own(cls, options))
    except ValidationError as error:
        items = [dict(item) for item in error.errors(include_url=False)]
        problems += _problems(cls.Options, options, [item for item in items if not _follows(item, items)])
    if problems:
        raise OptionProblems(where, cls.name, problems)
    return built


REQUIRED_FIELDS = "required_input_fields"
"""An option of every transform and aggregation on which the graph acts, whether the plugin has it or not."""


def _is_general(cls: type[Plugin], options: Mapping[str, Any]) -> bool:
    general = issubclass(cls, Transform | Aggregation) and REQUIRED_FIELDS in options
    return general and REQUIRED_FIELDS not in option_names(cls.Options)


def _own(cls: type[Plugin], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without what is no matter of the plugin."""
    return {key: value for key, value in options.items() if key != REQUIRED_FIELDS or not _is_general(cls, options)}


def _required_fields(cls: type[Plugin], options: Mapping[str, Any]) -> list[OptionProblem]:
    if not _is_general(cls, options):
        return []
    value = options[REQUIRED_FIELDS]
    if value is None or (isinstance(value, list | tuple) and all(isinstance(name, str) and name for name in value)):
        return []
    return [OptionProblem((REQUIRED_FIELDS,), f"found {_shown(value)}, allowed is a list of field names")]


def effective(cls: type[Plugin], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options as they were written, with the default of every one that was not.

    A default that JSON cannot hold, or that the plugin refuses where it is written, stays out. Raises `OptionProblems`.
    """
    built = check(cls, options, where)
    result = _filled(options, built)
    if _same(cls, result, built):
        return result
    result = dict(options)
    for key, value in _filled(options, built).items():
        if _same(cls, {**result, key: value}, built):
            result[key] = value
    return result


def _filled(written: Mapping[str, Any], model: BaseModel) -> dict[str, Any]:
    result = dict(written)
    for name, field in type(model).model_fields.items():
        key, value = field.alias or name, getattr(model, name)
        found = next((spelt for spelt in (key, name) if spelt in written), None)
        if found is not None:
            result[found] = _inside(written[found], value)
            continue
        try:
            result[key] = to_jsonable_python(value, by_alias=True)
        except PydanticSerializationError:
            continue
    return result


def _inside(written: Any, value: Any) -> Any:
    """The same for what options hold: models, and lists and mappings of them."""
    if isinstance(value, BaseModel) and isinstance(written, Mapping):
        return _filled(written, value)
    if isinstance(value, list | tuple) and isinstance(written, list) and len(value) == len(written):
        return [_inside(*pair) for pair in zip(written, value, strict=True)]
    if isinstance(value, dict) and isinstance(written, Mapping) and value.keys() == written.keys():
        return {key: _inside(written[key], value[key]) for key in written}
    return written


def _same(cls: type[Plugin], options: Mapping[str, Any], built: PluginOptions) -> bool:
    try:
        return bool(cls.Options.model_validate(_own(cls, options)) == built)
    except ValidationError:
        return False


def dotted(key: KeyPath) -> str:
    """A key path as people write it: `operations[0].target`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def option_names(model: type[BaseModel]) -> list[str]:
    """The names under which a model's fields are written in settings."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _follows(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> bool:
    # Pydantic counts only the good items of a list, and calls it too short when a bad one is all there is.
    loc = item["loc"]
    return item["type"] == "too_short" and any(other["loc"][: len(loc)] == loc != other["loc"] for other in items)


def _problems(
    model: type[BaseModel], options: Mapping[str, Any], items: Sequence[dict[str, Any]]
) -> list[OptionProblem]:
    """The errors in words. Where a value may be of several kinds there is one of each: they are told as one problem."""
    found: dict[KeyPath, OptionProblem] = {}
    kinds = [_place(item, options) for item in items]
    for item, key in zip(items, kinds, strict=True):
        of_several = key != item["loc"]
        if of_several and any(other[: len(key)] == key != other for other in kinds):
            continue  # of a list, say, of which just one item is wrong
        problem = _problem(model, {**item, "loc": key})
        known = found.get(key)
        if known is None or not of_several:
            found[key] = problem
        elif (more := _bare(problem.message, item)) not in known.message:
            found[key] = replace(known, message=f"{known.message} or {more}")
    return list(found.values())


_KINDS = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_type": "a date",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "a text",
    "tuple_type": "a list",
}
"""What an option is to be, by the type of the error that it is not."""


def _bare(message: str, item: dict[str, Any]) -> str:
    """What is allowed, without what was found."""
    return message.removeprefix(f"found {_shown(item['input'])}").removeprefix(", allowed is ").removeprefix(": ")


def _place(item: dict[str, Any], options: Mapping[str, Any]) -> KeyPath:
    """Where the value stands in the options: an error's own path also names the kinds that a value may be of."""
    key: list[str | int] = []
    at: Any = options
    for number, part in enumerate(item["loc"]):
        missing = item["type"] == "missing" and number == len(item["loc"]) - 1
        if missing or (isinstance(at, Mapping) and part in at):
            key.append(part)
            at = None if missing else at[part]
        elif isinstance(at, list | tuple) and isinstance(part, int):
            key.append(part)
            at = at[part]
    return tuple(key)


def _problem(model: type[BaseModel], item: dict[str, Any]) -> OptionProblem:
    key: KeyPath = tuple(item["loc"])
    found = _shown(item["input"])
    match item["type"]:
        case "extra_forbidden":
            allowed = option_names(_model_at(model, key[:-1]))
            close = difflib.get_close_matches(str(key[-1]), allowed, n=1)
            return OptionProblem(key, f"unknown option; allowed are {', '.join(sorted(allowed))}", "".join(close))
        case "missing":
            return OptionProblem(key, "missing; it must be given")
        case "literal_error":
            expected = item["ctx"]["expected"]
            words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
            close = difflib.get_close_matches(str(item["input"]), words, n=1)
            return OptionProblem(key, f"found {found}, allowed is {expected}", "".join(close))
        case "value_error":
            return _named(_model_at(model, key), key, str(item["ctx"]["error"]))
        case kind if kind in _KINDS:
            return OptionProblem(key, f"found {found}, allowed is {_KINDS[kind]}")
        case _:
            return OptionProblem(key, f"found {found}: {_lower(item['msg'])}")


def _named(model: type[BaseModel], key: KeyPath, message: str) -> OptionProblem:
    """A problem that options have together, at the one of them with whose name the message begins, if with any."""
    name, colon, rest = message.partition(": ")
    parts = name.split(".")
    if not colon:
        return OptionProblem(key, message)
    if key and name == key[-1]:
        return OptionProblem(key, rest)
    if parts[0] in option_names(model):
        return OptionProblem((*key, *parts), rest, together=key)
    return OptionProblem(key, message)


def _model_at(model: type[BaseModel], key: KeyPath) -> type[BaseModel]:
    """The model that describes the value at this key: follows nested models and lists of them."""
    current = model
    for part in key:
        by_name = {field.alias or name: field for name, field in current.model_fields.items()}
        if isinstance(part, str) and part in by_name:
            current = _nested(by_name[part].annotation) or current
    return current


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _nested(argument))), None)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _lower(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].lower() + text[1:]
