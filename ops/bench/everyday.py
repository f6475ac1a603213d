"""What everyday data costs: compressed files against plain ones, steps that remember keys, functions in expressions."""

from __future__ import annotations

import gzip
import shutil
import timeit
from pathlib import Path
from typing import Any

from elspeth.expressions import compile_expression
from ops.bench.comparing import Figure, Size, alternating
from ops.bench.tree import Tree
from ops.bench.trial import Workspace, run, threshold

MEGABYTE = 1_000_000

PLAIN = "contains(lower(strip(row['text'])), 'invoice')"
EXACT = "round(abs(row['price']) * 2, 1)"


def files(space: Workspace, size: Size) -> list[Figure]:
    """The threshold pipeline over a compressed input, and to compressed outputs, against the same with plain files."""
    source = space.input(size.rows)
    packed = source.with_suffix(".csv.gz")
    if not packed.exists():
        with source.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as file:
            shutil.copyfileobj(plain, file)

    def ours(path: Path, suffix: str) -> float:
        settings = threshold(path, "every_n")
        for sink in settings["sinks"].values():
            sink["options"]["path"] += suffix
        with space.trial("files") as folder:
            return run(folder, settings)

    took = alternating(
        size.rounds,
        {
            "csv": lambda: ours(source, ""),
            "csv.gz in": lambda: ours(packed, ""),
            "csv.gz in and out": lambda: ours(packed, ".gz"),
        },
    )
    return [
        Figure("CSV.gz in, against CSV", took["csv"] / took["csv.gz in"], 0.8, unit="x"),
        Figure("CSV.gz in and out, against CSV", took["csv"] / took["csv.gz in and out"], 0.8, unit="x"),
    ]


def keys(space: Workspace, size: Size) -> list[Figure]:
    """Memory of all processes together: a lookup among a third as many keys as rows of a large run, and as many rows
    that are each let through by their key."""
    count = size.large // 3
    found = []
    with space.trial("lookup") as folder:
        reference = folder / "customers.csv"
        with reference.open("w") as file:
            file.write("number,name\n")
            file.writelines(f"{number},customer {number}\n" for number in range(count))
        options = {
            "path": str(reference),
            "keys": {"id": "number"},
            "fields": {"name": "called"},
            "on_missing": "empty",
        }
        found.append(_peak(folder, _with_step(space.input(size.rows), "lookup", options)))
    with space.trial("deduplicate") as folder:
        found.append(_peak(folder, _with_step(space.input(size.large), "deduplicate", {"keys": ["id"]})))
    return [
        Figure(f"peak memory, lookup among {count:,} keys", found[0], 400, most=True, unit="MB"),
        Figure(f"peak memory, deduplicate {size.large:,} rows", found[1], 400, most=True, unit="MB"),
    ]


def _with_step(source: Path, plugin: str, options: dict[str, Any]) -> dict[str, Any]:
    return {**threshold(source, "every_n"), "transforms": [{"plugin": plugin, "options": options}]}


def _peak(folder: Path, settings: dict[str, Any]) -> float:
    tree = Tree()
    run(folder, settings, tree)
    return tree.peak() / MEGABYTE


def expressions(space: Workspace, size: Size) -> list[Figure]:
    """Three functions in one expression, of a text and of a decimal, which is text in the row before and after."""
    row = {"text": "  Your Invoice  ", "price": "-12.345"}

    def microseconds(text: str) -> float:
        evaluate = compile_expression(text, {"price": "decimal"}).evaluate
        turns = 2_000
        return min(timeit.repeat(lambda: evaluate(row), number=turns, repeat=20 * size.rounds)) / turns * 1e6

    return [
        Figure("expression of three functions of a text", microseconds(PLAIN), 1.5, most=True, unit="us"),
        Figure("expression of three operations on a decimal", microseconds(EXACT), unit="us"),
    ]
