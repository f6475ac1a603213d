"""The glossary has every public noun of the runtime and of the coordinator, and none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.imports import MODULES, module_of
from tests.docs.repository import ROOT, text_of

PAGE = ROOT / "ops" / "docs" / "reference" / "glossary.md"
ROOMS = ("actors", "elspeth.coordinator")
ROWS = re.findall(r"^\| (?!term|---)(.+?) \| (.*?) ?\| (.+) \|$", text_of(PAGE), re.M)


def nouns(rooms: tuple[str, ...]) -> Iterator[str]:
    """The public classes, and functions that are named in the page, of some rooms."""
    for file in MODULES:
        if any(f"{module_of(file)}.".startswith(f"{room}.") for room in rooms):
            yield from (
                node.name
                for node in ast.parse(text_of(file)).body
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            )


def named() -> list[str]:
    return [name for _, code, _ in ROWS for name in re.findall(r"`(\w+)`", code)]


def test_every_public_noun_of_the_runtime_and_the_coordinator_is_explained() -> None:
    assert sorted(set(nouns(ROOMS)) - set(named())) == []


def test_every_name_in_the_glossary_is_one_of_the_code() -> None:
    functions = {"crash_point"}
    assert sorted(set(named()) - set(nouns(("actors", "elspeth"))) - functions) == []


def test_every_term_has_one_sentence_and_stands_once_in_its_part() -> None:
    for part in text_of(PAGE).split("\n## ")[1:]:
        terms = [
            term.strip() for line in re.findall(r"^\| (?!term|---)(.+?) \|", part, re.M) for term in line.split(",")
        ]
        assert len(terms) == len(set(terms)), part
    assert [
        term for term, _, sentence in ROWS if not re.fullmatch(r"[^.]+(?:\.\.\.[^.]+|\.py[^.]+)?\.", sentence)
    ] == []
