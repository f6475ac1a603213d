"""The rows of a source, read again the plain way: whole file, standard library, no cursor."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.compressed import plain_bytes, plain_suffix

Row = dict[str, Any]


class CannotRecompute(Exception):
    """The settings ask for something that this checker has no second opinion on."""


class Read(NamedTuple):
    """One piece of input: a row, or what was read instead of one (`valid` false), and its first line from 1."""

    row: Row
    valid: bool
    line: int | None  # None where the checker does not count lines


def read(plugin: str, options: dict[str, Any], base: Path) -> Iterator[Read]:
    """Every row of a source in order, with the types its schema asks for."""
    if plugin == "null":
        return
    readers = {"csv": _csv, "json": _json, "text": _text}
    if plugin not in readers:
        raise CannotRecompute(f"source plugin {plugin}")
    typed = schema(options.get("schema"))
    if not isinstance(options.get("path", ""), str):
        raise CannotRecompute("a list of files")
    path = base / options.get("path", "")
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        for piece in readers[plugin](options, file):
            if not piece.valid:
                yield piece
                continue
            row = typed(piece.row)
            yield Read(piece.row, False, piece.line) if row is None else piece._replace(row=row)


def _decoded(options: dict[str, Any], path: Path) -> str:
    try:
        return plain_bytes(path).decode(options.get("encoding", "utf-8")).removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        raise CannotRecompute(f"{path.name}: {problem}") from problem


def _csv(options: dict[str, Any], path: Path) -> Iterator[Read]:
    skipped = options.get("skip_rows", 0)
    body = _decoded(options, path).split("\n", skipped)[skipped]
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=options.get("delimiter", ","), strict=True)
    mapping = options.get("field_mapping", {})
    header: list[str] | None = options.get("columns")
    nulls = set(options.get("null_values", ()))
    end = skipped
    while True:
        try:
            values = next(reader, None)
        except csv.Error as problem:
            raise CannotRecompute(f"{path.name}: {problem}") from problem
        if values is None:
            return
        line, end = end + 1, skipped + reader.line_num
        if not values:
            continue
        if header is None:
            if not all(name.isidentifier() for name in values):
                raise CannotRecompute(f"{path.name}: names in the header that are no identifiers")
            header = [mapping.get(name, name) for name in values]
            continue
        row: Row = dict.fromkeys(header) | dict(zip(header, values, strict=False))
        valid = len(values) == len(header) and not any("\0" in value for value in values)
        if valid:
            row = {key: None if value in nulls else value for key, value in row.items()}
        yield Read(row, valid, line)


def _json(options: dict[str, Any], path: Path) -> Iterator[Read]:
    text = _decoded(options, path)
    if options.get("format", plain_suffix(path)[1:]) in ("jsonl", "ndjson"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield _element(line, number, options)
        return
    try:
        data = json.loads(text, object_pairs_hook=_pairs(options))
        for key in filter(None, (options.get("data_key") or "").split(".")):
            data = data[key]
    except (ValueError, LookupError) as problem:
        raise CannotRecompute(f"{path.name}: {problem}") from problem
    for value in data:
        yield Read(value if isinstance(value, dict) else {}, isinstance(value, dict), None)


def _pairs(options: dict[str, Any]) -> Callable[[list[tuple[str, Any]]], Any]:
    """An object as it is read: one with a key twice is none, unless the last value is asked for."""

    def pairs(items: list[tuple[str, Any]]) -> Any:
        row = dict(items)
        if len(row) < len(items) and options.get("duplicate_keys", "refuse") == "refuse":
            raise ValueError(f"a key stands twice in {items}")
        return row

    return pairs


def _element(text: str, line: int, options: dict[str, Any]) -> Read:
    try:
        value = json.loads(text, object_pairs_hook=_pairs(options))
    except ValueError:
        return Read({}, False, line)
    return Read(value if isinstance(value, dict) else {}, isinstance(value, dict), line)


def _text(options: dict[str, Any], path: Path) -> Iterator[Read]:
    lines = _decoded(options, path).split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        value = line.removesuffix("\r")
        if value.strip() or not options.get("skip_blank_lines", True):
            value = value.strip() if options.get("strip_whitespace", True) else value
            yield Read({options.get("column", "text"): value}, "\0" not in value, number)


def _ascii(text: str) -> str:
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return text.strip()


def _int(value: Any) -> int:
    if isinstance(value, str):
        text = _ascii(value)
        if not re.fullmatch(r"[+-]?[0-9]+(\.0+)?", text):
            raise ValueError(value)
        return int(text.partition(".")[0])
    return int(_only(value, int))


def _float(value: Any) -> float:
    number = float(_ascii(value) if isinstance(value, str) else _only(value, int, float))
    if not math.isfinite(number) or (type(value) is int and number != value):
        raise ValueError(value)
    # A text says a decimal number, and the float that is kept must be written as the same one.
    if isinstance(value, str) and Fraction(value.strip()) != Fraction(repr(number)):
        raise ValueError(value)
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.strip().lower()]
    return bool(_only(value, bool))


def _str(value: Any) -> str:
    return str(_only(value, str))


def _any(value: Any) -> Any:
    return value


def _only(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise ValueError(value)
    return value


CONVERSIONS: dict[str, Callable[[Any], Any]] = {"int": _int, "float": _float, "bool": _bool, "str": _str, "any": _any}


def fields(spec: Any) -> list[tuple[str, str, bool]] | None:
    """Name, type and whether optional, for each field of a schema; None for one that takes what comes."""
    if not isinstance(spec, dict) or spec.get("mode") == "observed" or not isinstance(spec.get("fields"), (list, dict)):
        return None
    given = spec["fields"]
    pairs = given.items() if isinstance(given, dict) else (_pair(field) for field in given)
    return [(name.strip(), kind.strip(" ?"), kind.strip().endswith("?")) for name, kind in pairs]


def _pair(field: Any) -> tuple[str, str]:
    if isinstance(field, dict):
        return next(iter(field.items()))
    name, _, kind = field.partition(":")
    return name, kind or "any"


def schema(spec: Any) -> Callable[[Row], Row | None]:
    """A function from a row as read to the typed row, or to None where the row does not fit."""
    listed = fields(spec)
    if listed is None:
        return lambda row: row
    closed = spec.get("mode") in ("strict", "fixed")

    def typed(row: Row) -> Row | None:
        result = dict(row)
        if closed and not set(row) <= {name for name, _, _ in listed}:
            return None
        for name, kind, optional in listed:
            value = row.get(name)
            blank = isinstance(value, str) and not (value if kind in ("str", "any") else value.strip())
            if optional and (value is None or blank):
                result[name] = None
                continue
            try:
                result[name] = CONVERSIONS[kind](row[name])
            except (KeyError, ValueError, OverflowError):
                return None
        return result

    return typed
