"""Rows and outcomes as columns, and as frames of pandas or polars, which are imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from elspeth.audit.explain.listing import RecordedRow, TokenOutcome
from elspeth.errors import SettingsError

if TYPE_CHECKING:
    import pandas
    import polars

Columns = dict[str, list[Any]]

ABOUT = ("_row", "_source", "_line")
"""What a frame of rows has beside the fields of the rows; a field of such a name goes first."""


def of_rows(rows: Iterable[RecordedRow]) -> Columns:
    """A column for each field that any row has, None where a row has it not, or its data is no longer kept."""
    about: Columns = {name: [] for name in ABOUT}
    fields: Columns = {}
    count = 0
    for row in rows:
        for column, value in zip(about.values(), (row.index, row.source, row.line), strict=True):
            column.append(value)
        for name, value in (row.values or {}).items():
            column = fields.setdefault(name, [])
            column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    for column in fields.values():
        column.extend([None] * (count - len(column)))
    return {name: column for name, column in about.items() if name not in fields} | fields


def of_outcomes(outcomes: Iterable[TokenOutcome]) -> Columns:
    """A column for each attribute; of what was wrong the reason, as text."""
    columns: Columns = {
        name: [] for name in ("row", "token_id", "outcome", "sink", "sink_row", "reason", "recorded_at")
    }
    for each in outcomes:
        reason = each.error.get("reason") if isinstance(each.error, dict) else each.error
        values = (each.row, each.token_id, each.outcome, each.sink, each.sink_row, reason, each.recorded_at)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(None if value is None else value)
    return columns


def pandas_frame(columns: Columns) -> pandas.DataFrame:
    """The columns as a frame. Raises `SettingsError` where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise _missing("pandas") from None
    return pandas.DataFrame(columns)


def polars_frame(columns: Columns) -> polars.DataFrame:
    """The columns as a frame; a field of several types has the one that holds them all. Raises `SettingsError`."""
    try:
        import polars
    except ImportError:
        raise _missing("polars") from None
    return polars.DataFrame(columns, strict=False)


def _missing(package: str) -> SettingsError:
    return SettingsError(f"{package} is not installed", next_step=f"pip install {package}")
