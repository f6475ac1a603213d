"""What the environment adds to texts: the variables in them, and those of a `.env` file.

`${VAR}` is the variable's value, and `${VAR:-text}` the text where the variable is unset or empty (as in a shell).
`$${` stands for a literal `${`. Values are taken as they are: what looks like `${VAR}` inside a value stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class VariableReference:
    """A piece of a text that a variable gave. `default` is the text behind `:-`, None if there was none."""

    variable: str
    value: str
    default: str | None = None


Parts = tuple[str | VariableReference, ...]


class Expanded(str):
    """A text of which at least a part came from a variable; `parts` says which. Otherwise an ordinary text."""

    __slots__ = ("parts",)
    parts: Parts

    def __new__(cls, parts: Parts) -> Expanded:
        self = super().__new__(cls, "".join(part if isinstance(part, str) else part.value for part in parts))
        self.parts = parts
        return self

    @property
    def template(self) -> str:
        """The text with references in place of values, in a form that `expand` reads again. Defaults are left out."""
        return template(self.parts)


class ExpansionError(ValueError):
    """A `${...}` that cannot be expanded. `variable` is its name, where there is one."""

    def __init__(self, message: str, variable: str = "") -> None:
        super().__init__(message)
        self.variable = variable


def template(parts: Parts) -> str:
    """The parts as settings would spell them."""
    return "".join(part.replace("${", "$${") if isinstance(part, str) else f"${{{part.variable}}}" for part in parts)


MAX_DEPTH = 100
"""How deep defaults of variables may be nested."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables filled in: an `Expanded` if there were any, else a plain text.

    Raises `ExpansionError` if a variable is not set and has no default, or if a `${` is not well formed.
    """
    if "${" not in text:
        return text
    parts, _ = _parts(text, 0, environ, 0)
    if any(isinstance(part, VariableReference) for part in parts):
        return Expanded(parts)
    return "".join(str(part) for part in parts)


def _parts(text: str, start: int, environ: Mapping[str, str], depth: int) -> tuple[Parts, int]:
    """The parts from `start` on, up to the end, or inside of `depth` defaults up to a brace; and where that is."""
    if depth > MAX_DEPTH:
        raise ExpansionError(f"defaults are nested too deeply: more than {MAX_DEPTH} levels")
    parts: list[str | VariableReference] = []
    literal = ""
    at = start
    while at < len(text):
        if text.startswith("$${", at):
            literal += "${"
            at += 3
        elif text.startswith("${", at):
            if literal:
                parts.append(literal)
                literal = ""
            reference, at = _reference(text, at + 2, environ, depth)
            parts.append(reference)
        elif depth and text[at] == "}":
            break
        else:
            literal += text[at]
            at += 1
    if literal:
        parts.append(literal)
    return tuple(parts), at


def _reference(text: str, start: int, environ: Mapping[str, str], depth: int) -> tuple[VariableReference, int]:
    match = _NAME.match(text, start)
    if match is None:
        raise ExpansionError(
            "`${` must be followed by the name of a variable; write `$${` for the characters themselves"
        )
    name, at = match.group(), match.end()
    value = environ.get(name)
    if text.startswith("}", at):
        if value is None:
            raise ExpansionError(f"the variable {name} is not set", name)
        return VariableReference(name, value), at + 1
    if not text.startswith(":-", at):
        raise ExpansionError(f"`${{{name}` is not closed", name)
    depth_end = _closing(text, at + 2, name)
    raw_default = text[at + 2 : depth_end]
    if value:
        return VariableReference(name, value, raw_default), depth_end + 1
    default, _ = _parts(text, at + 2, environ, depth + 1)
    filled = "".join(part if isinstance(part, str) else part.value for part in default)
    return VariableReference(name, filled, raw_default), depth_end + 1


def _closing(text: str, start: int, name: str) -> int:
    """Where the default that begins at `start` ends; defaults may hold references themselves."""
    depth = 0
    at = start
    while at < len(text):
        if text.startswith("${", at):
            depth += 1
            at += 2
            continue
        if text[at] == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    raise ExpansionError(f"`${{{name}` is not closed", name)


def merged(environ: Mapping[str, str], file: Path | None) -> dict[str, str]:
    """The environment with what this file adds to it; a variable that is set already wins.

    Raises `OSError` or `UnicodeDecodeError` if the file cannot be read.
    """
    result: dict[str, str] = {}
    if file is not None:
        from dotenv import dotenv_values  # only where there is a .env: start-up stays short

        with file.open(encoding="utf-8") as stream:
            values = dotenv_values(stream=stream)
        result.update((key, value) for key, value in values.items() if value is not None)
    result.update(environ)
    return result
