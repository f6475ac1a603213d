"""Checks a source: it can start after any cursor it yielded, and proves what it read before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from elspeth.errors import SourceChanged
from elspeth.plugins.contract import Cursor, Invalid, Row, Source
from elspeth.testing.claims import check_basics, fail, fresh, shown, through_json

_CURSORS_TRIED = 60


@dataclass(frozen=True, slots=True)
class _Step:
    row: Row | Invalid
    cursor: Cursor
    proof: str | None


def check_source(source: Source, *, may_be_empty: bool = False) -> None:
    """Raise `AssertionError` unless the source keeps its contract on the input its options name.

    Use an input of some tens of rows with everything in it that makes the format hard: it is read once for every
    cursor, or for sixty of them spread over a longer one. `may_be_empty` allows an input without rows.
    """
    check_basics(source)
    _check_description(source)
    steps = _read(source, None, None)
    if not steps and not may_be_empty:
        fail(source, "must yield rows to be checked", "the input has none")
    for step in steps:
        _check_step(source, step)
    _compare(source, steps, _read(source, None, None), "must yield the same rows each time it is read")
    for index in _spread(len(steps)):
        step = steps[index]
        cursor = through_json(source, step.cursor, "cursor")
        rest = _read(source, cursor, step.proof)
        _compare(source, steps[index + 1 :], rest, f"must go on behind the cursor {shown(cursor)} of row {index + 1}")
        _check_refusal(source, cursor, step.proof)
    _check_offsets(source, steps)


def _read(source: Source, cursor: Cursor | None, proof: str | None) -> list[_Step]:
    reader = fresh(source)
    if cursor is not None and proof is not None:
        try:
            reader.check(cursor, proof)
        except SourceChanged as error:
            fail(source, "must accept its own proof of an input that did not change", f"it says: {error.message}")
    steps = [_Step(row, after, reader.proof()) for row, after in reader.read(cursor)]
    reader.teardown()
    return steps


def _check_step(source: Source, step: _Step) -> None:
    if isinstance(step.row, Invalid):
        if not step.row.error:
            fail(source, "must say what is wrong with a piece of input that is no row", f"found {shown(step.row)}")
    elif isinstance(step.row, dict):
        through_json(source, step.row, "row")
    else:
        fail(source, "must yield dicts or `Invalid`", f"found {shown(step.row)}")
    if step.cursor is None:
        fail(source, "must yield a cursor with each row", "found None, which means the start")


def _compare(source: Source, expected: list[_Step], found: list[_Step], claim: str) -> None:
    for index, (one, other) in enumerate(zip(expected, found, strict=False)):
        for what in ("row", "cursor", "proof"):
            wanted, given = getattr(one, what), getattr(other, what)
            if _differ(wanted, given):
                fail(source, claim, f"the {what} of step {index + 1} is {shown(given)} and not {shown(wanted)}")
    if len(expected) != len(found):
        fail(source, claim, f"it yields {len(found)} rows and not {len(expected)}")


def _differ(one: Any, other: Any) -> bool:
    # Keys in order count: the order of columns in an output may follow them.
    return bool(one != other) or (isinstance(one, dict) and json.dumps(one) != json.dumps(other))


def _check_refusal(source: Source, cursor: Cursor, proof: str | None) -> None:
    if proof is None:
        return
    wrong = ("0" if proof[0] != "0" else "1") + proof[1:]
    try:
        fresh(source).check(cursor, wrong)
    except SourceChanged:
        return
    fail(
        source,
        "must raise SourceChanged when the input before a cursor is not what it was",
        f"a wrong proof at {shown(cursor)} was accepted",
    )


def _check_description(source: Source) -> None:
    info = source.describe()
    for file in info.files:
        if not file.is_file():
            fail(source, "must name the files it reads", f"{file} is none")
    for file in source.reference_files():
        if not file.is_file():
            fail(source, "must name reference files that exist", f"{file} does not")


def _check_offsets(source: Source, steps: list[_Step]) -> None:
    size = source.describe().size_bytes
    last = 0
    for step in steps:
        offset = source.offset(step.cursor)
        if offset is None:
            return
        if offset < last or (size is not None and offset > size):
            fail(source, "must give offsets that rise to the size of the input", f"{offset} follows {last} of {size}")
        last = offset


def _spread(count: int) -> list[int]:
    if count <= _CURSORS_TRIED:
        return list(range(count))
    return sorted({round(i * (count - 1) / (_CURSORS_TRIED - 1)) for i in range(_CURSORS_TRIED)})
