"""YAML text becomes plain data that remembers its lines; everything that YAML can hide is found here.

The meaning is that of `yaml.safe_load`, with these differences: keys are always text (an unquoted `true:` is the key
`true`), a key given twice is an error, dates stay text, and what JSON cannot hold (NaN, infinity, sets, binary data) is
refused, because settings are stored as JSON.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from elspeth.settings.problems import KeyPath, Problem, dotted

MAX_DEPTH = 100
MAX_VALUES = 100_000
"""Bounds on what a file may become: aliases of aliases grow without limit."""

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value"})
_CONTAINER_TAGS = frozenset({_TAG + "map", _TAG + "seq"})
_SURPRISING_NUMBER = re.compile(r"[-+]?(?:0[0-7_]+|\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?)$")


@dataclass(slots=True)
class Document:
    """A parsed file: its data, the line of each key, what is wrong with it, and what may surprise its author."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def parse(text: str, file: str) -> Document:
    """Parse one YAML document. Never raises for any text: what is wrong is in `problems`.

    `file` is the name that problems carry.
    """
    document = Document()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error, text, file))
    except RecursionError:
        document.problems.append(Problem(file, None, "", "is nested too deeply", allowed=f"{MAX_DEPTH} levels"))
    else:
        if node is not None:
            document.data = _Constructor(document, loader, file).value(node, ())
    return document


def storable(text: str) -> bool:
    """Whether the text can be written as UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def scalar(text: str) -> Any:
    """What this text would be as an unquoted YAML value: a number, true or false, nothing, a flow list, else text."""
    document = parse(text, "")
    return text if document.problems or isinstance(document.data, dict) else document.data


class _Constructor:
    """Turns the tree of nodes into data."""

    def __init__(self, document: Document, loader: yaml.SafeLoader, file: str) -> None:
        self.document = document
        self.loader = loader
        self.file = file
        self.values = 0
        self.open: set[int] = set()  # the containers around the current node: one of them again is a cycle

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            if self.values == MAX_VALUES + 1:
                self.problem(
                    node, (), "becomes too large when its aliases are followed", allowed=f"{MAX_VALUES} values"
                )
            return None
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if node.tag not in _CONTAINER_TAGS:
            self.problem(node, path, "a YAML tag cannot be used here", allowed="plain mappings, lists, texts, numbers")
            return None
        if id(node) in self.open:
            self.problem(node, path, "contains itself, by an alias")
            return None
        if len(self.open) >= MAX_DEPTH:
            self.problem(node, path, "is nested too deeply", allowed=f"{MAX_DEPTH} levels")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            return [self.item(child, (*path, index)) for index, child in enumerate(node.value)]
        finally:
            self.open.discard(id(node))

    def item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.document.lines[path] = _line(node)
        return self.value(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        seen: dict[str, int] = {}
        own = []
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self.merge(value_node, path, result)
            else:
                own.append((key_node, value_node))
        for key_node, value_node in own:
            key = self.key(key_node, path)
            if key is None:
                continue
            if key in seen:
                what = f"stands here twice, first in line {seen[key]}"
                self.problem(key_node, (*path, key), what, line=_line(key_node))
                continue
            seen[key] = _line(key_node)
            self.document.lines[(*path, key)] = _line(key_node)
            result[key] = self.value(value_node, (*path, key))
        return result

    def merge(self, node: yaml.Node, path: KeyPath, into: dict[str, Any]) -> None:
        # Merged keys come first, so that a mapping's own keys win; of several merged mappings the first wins.
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode):
                into.update(self.value(source, path) or {})
            else:
                self.problem(node, path, "`<<` can only merge mappings")

    def key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, path, "a list or mapping cannot be a key", allowed="text")
            return None
        text = str(node.value)
        if node.tag == _TAG + "bool" and text.lower() in ("true", "false"):
            return text.lower()
        if not text or not storable(text):
            self.problem(node, path, "a key is empty, or no text", allowed="text")
            return None
        return text  # `no:` or `2024-01-01:` name what they look like, never a truth value or a date

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = str(node.value)
        if node.tag in _TEXT_TAGS:
            if storable(text):
                return text
            self.problem(node, path, "holds half of a surrogate pair, which is no character")
            return None
        try:
            value = self.number(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            self.problem(node, path, "this value cannot be read", allowed="a text, a number, true, false, or nothing")
            return None
        if node.style is None and node.tag != _TAG + "bool" and _SURPRISING_NUMBER.match(text):
            self.document.warnings.append(
                Problem(self.file, _line(node), dotted(path), f"YAML reads {text} as the number {value}",
                        allowed=f'"{text}" in quotes, if text is meant')
            )  # fmt: skip
        return value

    def number(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TAG + "null":
            return None
        if node.tag == _TAG + "bool":
            return self.loader.construct_yaml_bool(node)
        if node.tag == _TAG + "int":
            return self.loader.construct_yaml_int(node)
        if node.tag == _TAG + "float":
            value = self.loader.construct_yaml_float(node)
            if math.isfinite(value):
                return value
        raise ValueError(node.tag)

    def problem(
        self, node: yaml.Node, path: KeyPath, message: str, *, allowed: str = "", line: int | None = None
    ) -> None:
        # An alias's own node stands where its anchor is; the key is where the author has to look.
        line = line or self.document.lines.get(path) or _line(node)
        self.document.problems.append(Problem(self.file, line, dotted(path), message, allowed=allowed))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


_QUOTED = re.compile(r"\s*['\"](?!<)[^'\"]{2,}['\"]")


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """A problem for broken YAML. Words of the file are left out of it: one of them may be a password."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        # The reader refuses characters that YAML does not allow; it knows only how far it came.
        before = text[: getattr(error, "position", 0)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Problem(file, line, "", f"broken YAML at column {column}: a control character")
    what = ", ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part)
    begun = getattr(error, "context_mark", None)
    if begun is not None and begun.line != mark.line:
        what += f" (begun in line {begun.line + 1})"
    at = text.splitlines()[mark.line : mark.line + 1]
    allowed = ""
    if r"'\t'" in what:
        what, allowed = "a tab", "spaces"
    elif any("${" in line for line in at):
        allowed = 'inside { } and [ ] write "${NAME}" in quotes'
    what = _QUOTED.sub("", what)
    return Problem(file, mark.line + 1, "", f"broken YAML at column {mark.column + 1}: {what}", allowed=allowed)
