"""The repository can be read by strangers: no trace of where it was made, no overlong file, no aimless module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.repository import ROOT, name_of, text_of, tracked

PYTHON = tracked(".py")
MODULES = [file for file in PYTHON if file.relative_to(ROOT).parts[0] in ("actors", "elspeth")]

# Written in pieces, so that this file does not hold what it looks for.
FOREIGN = {
    "a home directory": re.compile(r"/(?:Users|" + r"root)/\w"),
    "a place of one machine": re.compile(r"(?<![\w.])/(?:" + r"work|opt)/\w+"),
    "a virtual environment in a temporary folder": re.compile(r"/tmp/" + r"venv"),
    "a package index": re.compile(
        r"https?://[\w.\-]*(?:" + r"pypi|pythonhosted|npmjs|artifactory|nexus)[\w.\-]*", re.I
    ),
    "a pip index option": re.compile(r"(?:--(?:extra-)?" + r"index-url|--trusted" + r"-host|PIP_INDEX" + r"_URL)"),
    "a conflict that was never resolved": re.compile(r"^(?:<{7}|>{7}) ", re.M),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_no_tracked_file_names_where_it_was_made(kind: str) -> None:
    found = [
        f"{name_of(file)}: {match.group()}" for file in tracked() for match in FOREIGN[kind].finditer(text_of(file))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a home directory", "see /Us" + "ers/ada/notes"),
        ("a place of one machine", "cd /work/" + "main"),
        ("a virtual environment in a temporary folder", "/tmp/" + "venv/bin/python"),
        ("a package index", "https://py" + "pi.org/simple"),
        ("a pip index option", "pip install --index" + "-url x"),
        ("a conflict that was never resolved", "a\n" + "<" * 7 + " HEAD\nb\n"),
    ],
)
def test_what_is_foreign_is_recognised(kind: str, text: str) -> None:
    assert FOREIGN[kind].search(text)


@pytest.mark.parametrize("file", PYTHON, ids=name_of)
def test_no_python_file_is_longer_than_400_lines(file: Path) -> None:
    assert len(text_of(file).splitlines()) <= 400


@pytest.mark.parametrize("file", [file for file in PYTHON if not file.name.startswith("test_")], ids=name_of)
def test_every_module_says_in_its_first_line_what_it_is_for(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(text_of(file)))
    assert docstring
    assert docstring.splitlines()[0].strip()


def _speaks_for_itself(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A record without methods, or a function of one line: what is to be said is in its name and its types."""
    if isinstance(node, ast.ClassDef):
        return all(isinstance(part, (ast.AnnAssign, ast.Assign, ast.Pass, ast.ClassDef)) for part in node.body)
    return len(node.body) == 1


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_every_public_class_and_function_has_a_docstring(file: Path) -> None:
    missing = [
        f"{name_of(file)}:{node.lineno} {node.name}"
        for node in ast.parse(text_of(file)).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not _speaks_for_itself(node)
    ]
    assert missing == []


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_no_module_is_named_after_nothing_in_particular(file: Path) -> None:
    assert not re.search(r"(?:manager|helper|util)s?$", file.stem)


def test_no_test_sleeps() -> None:
    """A test waits for what it expects, with a limit; only what stands in for a slow program may sleep."""
    found = [
        f"{name_of(file)}:{call.lineno}"
        for file in PYTHON
        if file.name.startswith("test_")
        for function in ast.walk(ast.parse(text_of(file)))
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("sleep", "time.sleep")
    ]
    assert found == []


def test_every_script_says_what_it_is_for() -> None:
    for file in tracked():
        lines = text_of(file).splitlines()
        if lines and lines[0].startswith("#!") and file.suffix != ".py":
            assert len(lines) > 1, name_of(file)
            assert lines[1].startswith("# "), name_of(file)
