"""Random mutants: one operator, comparison, constant, condition or statement of a module is changed at a time."""

from __future__ import annotations

import ast
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from tests.kit.mutants.promises import Mutant
from tests.kit.mutants.rooms import ROOMS, tests_of
from tests.kit.processes.program import ROOT

_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
}  # fmt: skip


def sample(root: Path, count: int, seed: int) -> list[Mutant]:
    """So many mutants, each of another place, of every room in turn; the same ones for the same tree and seed."""
    chance = random.Random(seed)
    users = _users(root)
    rooms: list[list[_Place]] = []
    for room in ROOMS:
        files = sorted(path for path in (root / room).rglob("*.py") if "places" not in path.parts)
        rooms.append([place for path in files for place in _places(path.relative_to(root), path.read_text("utf-8"))])
        chance.shuffle(rooms[-1])
    in_turn = (place for turn in zip_longest(*rooms) for place in turn if place is not None)
    return [place.mutant(users) for place in islice(in_turn, count)]


def _users(root: Path) -> dict[Path, tuple[str, ...]]:
    """The unit tests that import a module, as one group: those that know it best are asked first."""
    found: dict[Path, list[str]] = {}
    for test in sorted((root / "tests/unit").rglob("test_*.py")):
        imports = [node for node in ast.walk(ast.parse(test.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        names = {str(node.module) for node in imports}
        names |= {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        for name in names:
            path = Path(*name.split(".")).with_suffix(".py")
            if (root / path).exists():
                found.setdefault(path, []).append(str(test.relative_to(root)))
    return {path: (" ".join(tests),) for path, tests in found.items()}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file can be changed, and how: the text of a change is made only of those that are drawn."""

    path: Path
    lines: list[str]
    number: int
    node: ast.expr | ast.stmt
    changed: ast.AST

    def mutant(self, users: dict[Path, tuple[str, ...]]) -> Mutant:
        node, path = self.node, self.path
        text = self.lines[node.lineno - 1].encode()[node.col_offset : node.end_col_offset].decode()
        new = ast.unparse(self.changed)
        if isinstance(node, ast.expr):
            new = f"({new})"
        name = f"{path}:{node.lineno} #{self.number}: {text[:70]} -> {new[:70]}"
        tests = tuple(dict.fromkeys((*users.get(path, ()), *_namesakes(path), *tests_of(str(path)))))
        return Mutant(name, str(path), *_whole_lines(self.lines, node, new), tests)


def _namesakes(path: Path) -> tuple[str, ...]:
    """The tests that are named like a module, or like the command that it is, as one group."""
    names = {f"test_{path.stem.strip('_')}{end}.py" for end in ("", "_command")}
    found = [str(test) for test in _all_tests() if test.name in names]
    return (" ".join(found),) if found else ()


@functools.cache
def _all_tests() -> list[Path]:
    return sorted(test.relative_to(ROOT) for test in (ROOT / "tests").rglob("test_*.py"))


def _places(path: Path, source: str) -> Iterator[_Place]:
    lines = source.splitlines(keepends=True)
    for number, (node, changed) in enumerate(_changes(ast.parse(source))):
        if node.lineno == node.end_lineno:
            yield _Place(path, lines, number, node, changed)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    # What a class is made of (frozen, slots), and that columns are as long as each other (`zip(strict=...)`), is for
    # those who write code, not for those who run it.
    passed_over = {id(node) for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef)
                   for part in (*owner.decorator_list, *owner.keywords) for node in ast.walk(part)}  # fmt: skip
    passed_over |= {id(word.value) for call in ast.walk(tree) if isinstance(call, ast.Call)
                    for word in call.keywords if (_name(call.func), word.arg) in _FOR_WRITERS}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in passed_over:
            continue
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER:
            yield node, ast.Compare(node.left, [_OTHER[type(node.ops[0])](), *node.ops[1:]], node.comparators)  # type: ignore[list-item]
        elif isinstance(node, ast.BoolOp):
            yield node, ast.BoolOp(_OTHER[type(node.op)](), node.values)  # type: ignore[arg-type]
        elif isinstance(node, ast.BinOp) and type(node.op) in _OTHER and not _is_annotation(node):
            yield node, ast.BinOp(node.left, _OTHER[type(node.op)](), node.right)  # type: ignore[arg-type]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, node.operand
        elif isinstance(node, ast.Constant) and type(node.value) is int and node.value < 1000:
            yield node, ast.Constant(node.value + 1)
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield node, ast.Constant(not node.value)
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and not _of_types(node.test):
            yield node.test, ast.Constant(value=False)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _is_crash_point(node.value):
            yield node, ast.Pass()


_FOR_WRITERS = {("zip", "strict"), ("ConfigDict", "frozen")}


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else ""


def _is_annotation(node: ast.BinOp) -> bool:
    return isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)


def _of_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _is_crash_point(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "crash_point"


def _whole_lines(lines: list[str], node: ast.expr | ast.stmt, new: str) -> tuple[str, str]:
    """The line with its neighbours, so that it stands once in its file, and what it becomes."""
    at, line = node.lineno - 1, lines[node.lineno - 1].encode()
    changed = (line[: node.col_offset] + new.encode() + line[node.end_col_offset :]).decode()
    before, behind = "".join(lines[:at][-6:]), "".join(lines[at + 1 :][:6])
    return before + lines[at] + behind, before + changed + behind
