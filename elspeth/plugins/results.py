"""What a transform or an aggregation may answer beside plain rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.plugins.row_errors import RowError


@dataclass(frozen=True, slots=True)
class SideOutput:
    """Answered by a transform for a row that leaves it, unchanged, by the side output of this `name`.

    `reason` (a sentence) and `details` (facts that JSON can hold) are recorded with the way it took.
    """

    name: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A result row of an aggregation that knows which rows of the batch it was made of.

    `of` holds their places in the batch, counted from 0, each once, at least one. The record links the result to
    exactly these; a result returned as a plain row is linked to the batch as a whole.
    """

    row: dict[str, Any]
    of: Sequence[int]


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row of a batch that an aggregation refuses alone. `index` is its place in the batch, counted from 0."""

    index: int
    error: RowError
