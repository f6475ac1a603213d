"""Random mutants: one operator, comparison, constant, condition or statement of a module is changed at a time."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

from tests.kit.mutants.promises import Mutant

TESTS = {
    "actors": ("tests/unit/actors", "tests/integration/actors"),
    "elspeth/coordinator": ("tests/unit/coordinator",),
    "elspeth/execution": ("tests/unit/execution", "tests/unit/transforms"),
    "elspeth/audit/explain": ("tests/integration/cli/evidence",),
    "elspeth/audit": ("tests/unit/audit", "tests/unit/test_durable.py", "tests/integration/cli/evidence"),
    "elspeth/roles": ("tests/unit/audit/test_audit_role.py", "tests/unit/sinks/test_side_by_side.py",
                      "tests/integration/graphs/test_time_and_routes.py", "tests/integration/graphs/test_pools.py",
                      "tests/integration/cli/test_run_command.py"),
    "elspeth/plugins/sinks": ("tests/unit/sinks",),
    "elspeth/plugins/sources": ("tests/unit/sources",),
    "elspeth/runs/doctor": ("tests/unit/runs", "tests/integration/doctor"),
    "elspeth/runs/liveness": ("tests/unit/runs", "tests/integration/doctor"),
    "elspeth/runs/views": ("tests/unit/runs", "tests/integration/doctor/test_status_and_health.py"),
    "elspeth/runs/operate": ("tests/unit/runs", "tests/integration/doctor/test_operate.py",
                             "tests/integration/cli/evidence"),
    "elspeth/runs": ("tests/unit/runs", "tests/integration/cli/test_run_command.py",
                     "tests/integration/cli/test_resume_command.py", "tests/integration/runs"),
    "elspeth/settings": ("tests/unit/settings",),
}  # fmt: skip
"""The tests that should notice a change in a folder, quickest first; a folder stands in front of what it lies in."""

ROOMS = ("elspeth/coordinator", "elspeth/execution", "elspeth/audit", "elspeth/roles", "elspeth/plugins/sinks",
         "elspeth/plugins/sources", "elspeth/runs", "elspeth/settings", "actors")  # fmt: skip
"""The rooms that are changed: what decides, records, keeps and starts."""

_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
}  # fmt: skip


def sample(root: Path, count: int, seed: int) -> list[Mutant]:
    """So many mutants, each of another place, of every room in turn; the same ones for the same tree and seed."""
    chance = random.Random(seed)
    users = _users(root)
    rooms: list[list[Mutant]] = []
    for room in ROOMS:
        files = sorted(path for path in (root / room).rglob("*.py") if "places" not in path.parts)
        rooms.append(
            [mutant for path in files for mutant in _mutants(path.relative_to(root), path.read_text("utf-8"), users)]
        )
        chance.shuffle(rooms[-1])
    in_turn = (mutant for turn in zip_longest(*rooms) for mutant in turn if mutant is not None)
    return list(islice(in_turn, count))


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


def _mutants(path: Path, source: str, users: dict[Path, tuple[str, ...]]) -> Iterator[Mutant]:
    tests = next(tests for room, tests in TESTS.items() if str(path).startswith(room + "/"))
    tests = (*users.get(path, ()), *tests)
    lines = source.splitlines(keepends=True)
    for number, (node, changed) in enumerate(_changes(ast.parse(source))):
        if node.lineno != node.end_lineno:
            continue
        text = lines[node.lineno - 1].encode()[node.col_offset : node.end_col_offset].decode()
        new = ast.unparse(changed)
        if isinstance(node, ast.expr):
            new = f"({new})"
        name = f"{path}:{node.lineno} #{number}: {text[:70]} -> {new[:70]}"
        yield Mutant(name, str(path), *_whole_lines(lines, node, new), tests)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    # What a class is made of (frozen, slots) is for those who write code, not for those who run it.
    passed_over = {id(node) for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef)
                   for part in (*owner.decorator_list, *owner.keywords) for node in ast.walk(part)}  # fmt: skip
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
