"""Jinja2 for texts that rows are put into: no way out of the sandbox, and no more work than a prompt can need.

The sandbox of Jinja2 keeps a template from code and from changing what it is given; it does not keep it from taking a
gigabyte or an hour. So every turn of a loop, every call and every text that is made is counted, in steps.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.runtime import Context as JinjaContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from elspeth import canonical

LARGEST_TEXT = 1_000_000
"""Characters of a rendered text, and of every text on the way to it."""

MOST_STEPS = 200_000
"""Turns of loops, calls, and hundreds of characters that are made, in one rendering."""

_SIZE_PER_STEP = 100
_LARGEST_BITS = 100_000
_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{4,}|\*)")

_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float",
    "groupby", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
})  # fmt: skip
_GROWING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map", "translate"})


class TooMuch(TemplateError):
    """A rendering takes more than a prompt can need."""


class _Work(threading.local):
    steps = 0


_work = _Work()


def begin() -> None:
    """Count anew: a rendering begins in this thread."""
    _work.steps = 0


def spend(steps: int = 1) -> None:
    """Raise `TooMuch` where all steps are spent."""
    _work.steps += steps
    if _work.steps > MOST_STEPS:
        raise TooMuch(f"the template takes more than {MOST_STEPS:,} steps")


def sized(size: int) -> None:
    """A text or list of this size is about to be made."""
    if size > LARGEST_TEXT:
        raise TooMuch(f"the template makes a text of more than {LARGEST_TEXT:,} characters")
    spend(1 + size // _SIZE_PER_STEP)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 1


def _together(values: Iterable[Any]) -> str:
    found, size = [], 0
    for value in values:
        text = str(value)
        size += len(text)
        sized(size if len(text) > _SIZE_PER_STEP else 0)
        if size > LARGEST_TEXT:
            sized(size)
        found.append(text)
    return "".join(found)


def _counted(values: Any) -> Iterator[Any]:
    for value in values:
        spend()
        yield value


def _range(*bounds: int) -> range:
    found = range(*bounds)
    sized(len(found))
    return found


def _replaced(text: str, old: str, new: str, count: int | None = None) -> str:
    text, old, new = f"{text}", f"{old}", f"{new}"
    times = text.count(old) if old else len(text) + 1
    sized(len(text) + max(len(new) - len(old), 0) * times)
    return text.replace(old, new, -1 if count is None else count)


def _joined(values: Any, between: str = "", attribute: Any = None) -> str:
    if attribute is not None:
        raise TooMuch("`join` takes no attribute here; use `map(attribute=...) | join`")
    found = [str(value) for value in _counted(values)]
    sized(sum(map(len, found)) + len(str(between)) * len(found))
    return str(between).join(found)


class Environment(ImmutableSandboxedEnvironment):
    """The one environment of all templates; names that are not there are errors that say what is."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, finalize=_shown, keep_trailing_newline=False)
        self.filters = {name: _measured(value) for name, value in self.filters.items() if name in _FILTERS}
        self.filters |= {"replace": _replaced, "join": _joined, "_counted": _counted, "_together": _together}
        self.globals = {"range": _range, "dict": dict, "namespace": self.globals["namespace"]}
        self.concat = _together  # type: ignore[method-assign]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Not what makes texts of any size, either."""
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, str | bytes) and attr in _GROWING)

    def wrap_str_format(self, value: Any) -> None:
        """Nothing: `format` is one of those."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of a row first, whatever else a mapping has under that name."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self._missing(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The same."""
        if isinstance(obj, Mapping):
            try:
                return obj[argument]
            except (KeyError, TypeError):
                return self._missing(obj, argument)
        return super().getitem(obj, argument)

    def _missing(self, obj: Mapping[Any, Any], name: Any) -> Any:
        if name in ("items", "keys", "values", "get"):
            return getattr(obj, name)
        what = "the row has no field" if isinstance(obj, RowView) else "there is no"
        return self.undefined(hint=f"{what} {name!r:.100}", obj=obj, name=str(name))

    def call(self, context: JinjaContext, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Every call is a step, and one that makes a text is measured first."""
        spend()
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return _replaced(owner, *args, **kwargs)
        if isinstance(owner, str) and name == "join":
            return _joined(args[0] if args else (), owner)
        if isinstance(owner, str):
            sized(len(owner))
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: JinjaContext, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, if it comes to something of a size that can be."""
        if operator == "+" and isinstance(left, str | list | tuple):
            sized(_length(left) + _length(right))
        elif operator == "*":
            _product(left, right)
        elif operator == "**":
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _LARGEST_BITS:
                raise TooMuch("the template makes a number that is too large")
        elif operator == "%" and isinstance(left, str):
            if _WIDE.search(left):
                raise TooMuch("the template formats a text too widely")
            sized(len(left) + sum(map(_length, right if isinstance(right, tuple) else (right,))))
        spend()
        return super().call_binop(context, operator, left, right)


class _Counting(NodeTransformer):
    """Puts a count where Jinja2 has no place to hold on to: turns of loops, and texts put together by `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the name is Jinja2's
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_counted", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_together", [], [], None, None, lineno=node.lineno)


class RowView(dict[str, Any]):
    """A row as templates see it."""


def _product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | bytes | list | tuple) and isinstance(times, int):
            sized(len(value) * max(times, 0))
            return
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _LARGEST_BITS:
        raise TooMuch("the template makes a number that is too large")


def _measured(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter, whose text or list is measured before it works on it."""
    place = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0

    def measured(*args: Any, **kwargs: Any) -> Any:
        if len(args) > place:
            sized(_length(args[place]))
        return function(*args, **kwargs)

    if place:
        measured.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return measured


def _shown(value: Any) -> Any:
    """What a value looks like in a text: nothing for null, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        text = canonical.to_text(_plain(value))
        sized(len(text))
        return text
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
