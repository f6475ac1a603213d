"""Who imports whom, and who names what, read from the source text: nothing is imported to find out."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.docs.repository import ROOT, name_of, text_of, tracked

PACKAGES = ("actors", "elspeth")
MODULES = [file for file in tracked(".py") if file.relative_to(ROOT).parts[0] in PACKAGES]


def module_of(file: Path) -> str:
    """The dotted name of a module of ours."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted name that a module imports, wherever it does so, and the line. Imports for types only are none."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (name for part in node.orelse for name in imported(part))
        elif not isinstance(node, ast.expr):
            yield from imported(node)


@cache
def _imports() -> dict[str, list[tuple[str, str]]]:
    """What each module of ours imports, each with its place."""
    return {
        module_of(file): [(name, f"{name_of(file)}:{line}") for name, line in imported(ast.parse(text_of(file)))]
        for file in MODULES
    }


def graph() -> dict[str, set[str]]:
    """Each module of ours with those of ours that it imports, lazy imports included."""
    names = _imports()
    # `from package import module` is about the module, and `from module import name` is as well.
    return {
        name: {other if other in names else other.rpartition(".")[0] for other, _ in found} & names.keys()
        for name, found in names.items()
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which reaches all others of its group (Tarjan, 1972: strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def users(*packages: str) -> dict[str, list[str]]:
    """Modules of ours that import one of these packages, each with the places in which it does."""
    found: dict[str, list[str]] = {}
    for module, names in _imports().items():
        places = [place for name, place in names if name.partition(".")[0] in packages]
        if places:
            found[module] = places
    return found
