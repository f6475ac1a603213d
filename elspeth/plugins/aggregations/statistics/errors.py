"""The errors of a whole batch: one reason, its cause, and the rows that are to blame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from elspeth.plugins.contract import RowError

LISTED = 128
"""Rows named in a list; the record of an error is kept for every row of its batch, so it must not grow with it."""

RowProblem = tuple[int, str]  # place in the batch (from 0), what is wrong there


def batch_error(reason: str, cause: str, problems: Iterable[RowProblem] = (), **facts: Any) -> RowError:
    """The error that sends all rows of the batch to `on_error`.

    `reason` is a fixed word that programs can look for, `cause` the sentence for people. At most `LISTED` rows are
    named; where there are more, `row_error_count` says how many.
    """
    listed = [{"row_index": index, "reason": word} for index, word in problems]
    if len(listed) > LISTED:
        facts["row_error_count"] = len(listed)
    return RowError(reason, cause=cause, **facts, row_errors=listed[:LISTED])


def computed(operation: str, function: Callable[..., float], *arguments: Any) -> float:
    """The result as a float. Raises the batch error `float_overflow` where a float cannot hold it."""
    try:
        value = float(function(*arguments))
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise batch_error("float_overflow", f"{operation} is larger than a float can hold", operation=operation)
    return value
