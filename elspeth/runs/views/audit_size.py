"""About how large the audit trail of a run will be: an estimate from the inputs' sizes, a look at their beginning, and
the steps that rows pass.

It counts every row through every step, and what a step keeps of a row as large as the row that was read. Rows that go
another way make it smaller, steps that make rows or fields make it larger; batches, calls and errors are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elspeth.graph.model import Graph
from elspeth.plugins.contract import SourceInfo

EMPTY_BYTES = 160 * 1024
"""A database without rows, and the record of a run."""

ROW_BYTES, STEP_BYTES, GATE_BYTES = 180, 160, 100
"""Records of a row, of a step with it and of a gate's decision, beside the row's data: measured, with all indexes."""

FIELD_BYTES = 6
"""Of JSON around a name and its value."""

SAMPLE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class InputRows:
    """How many rows an input has, about, and how many bytes the data of one has as it is kept."""

    rows: int
    body_bytes: int


def audit_bytes(inputs: list[InputRows], steps: int, gates: int) -> int:
    """Bytes of a new audit database after a run over these inputs, if every row passes so many steps and gates."""
    return EMPTY_BYTES + sum(
        each.rows * (ROW_BYTES + each.body_bytes + steps * (STEP_BYTES + each.body_bytes) + gates * GATE_BYTES)
        for each in inputs
    )


def input_rows(size: int, sample: bytes, header: Mapping[str, str] | None) -> InputRows:
    """What an input of `size` bytes that begins with `sample` has, about. With a header, names are not in its lines."""
    array = sample.lstrip()[:1] == b"["
    lines = max(1, sample.count(b"}" if array else b"\n"))
    row = max(1, min(size, len(sample)) // lines)
    named = sum(len(name) + FIELD_BYTES for name in header) if header is not None else 0
    return InputRows(size // row, row + named)


def estimate(graph: Graph, sources: Mapping[str, SourceInfo]) -> int | None:
    """Bytes that the audit trail of a run will take, about; None where the size of an input cannot be told."""
    found = []
    for info in sources.values():
        if info.size_bytes is None:
            return None
        sample = b"".join(_beginning(path) for path in info.files[:1])
        found.append(input_rows(info.size_bytes, sample, info.headers))
    gates = len(graph.of_kind("gate"))
    return audit_bytes(found, len(graph.of_kind("transform", "aggregation", "coalesce")), gates)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SAMPLE_BYTES)
    except OSError:
        return b""  # it will be said by whoever needs it
