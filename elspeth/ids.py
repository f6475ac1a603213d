"""Ids: short, readable, sortable, and derived from what they name, so that a replay collides instead of duplicating.

run        mf3k2a9x                       milliseconds since 2020, base 36: later runs sort later
row        mf3k2a9x-000000042             run and row index, counted over all sources
token      mf3k2a9x-000000042             the row's first token has the row's id
           mf3k2a9x-000000042.left        a forked child: parent and branch
           mf3k2a9x-000000042/0003        an expanded child: parent and ordinal
           mf3k2a9x-000000042+merge       what a coalesce made of the branches of a token
batch      mf3k2a9x-000000042@stats       its first token and the aggregation
state      TOKEN:STEP, TOKEN:STEP.TRY     the first try carries no number
outcome    TOKEN=                         TOKEN~STEP for `buffered`: not terminal, and may come more than once
checkpoint mf3k2a9x#000000007             run and number: later checkpoints sort later
event      mf3k2a9x!0002.started          run, attempt and what happened; children's events carry a number there
"""

from __future__ import annotations

from datetime import datetime

_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def run_id(now: datetime) -> str:
    """The id of a run that starts at `now` (aware); 8 characters until the year 2109."""
    number = int(now.timestamp() * 1000) - _EPOCH_MS
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text.rjust(8, "0")


def run_begun(run: str) -> float:
    """When the run with this id was given it, in seconds since 1970."""
    return (int(run, 36) + _EPOCH_MS) / 1000


def row_id(run: str, index: int) -> str:
    """The id of the row with this index (counted from 0 over all sources)."""
    return f"{run}-{index:09d}"


def row_of(record_id: str) -> str:
    """The id of the row that a record's id names first."""
    return record_id[:18]


def row_index(record_id: str) -> int:
    """The index of the row that a record's id names first."""
    return int(record_id[9:18])


def checkpoint_id(run: str, number: int) -> str:
    """The id of a run's checkpoint with this number (counted from 0 over all attempts)."""
    return f"{run}#{number:09d}"


def event_id(run: str, attempt: int, what: str | int) -> str:
    """The id of a supervision event: `what` is a word for the run's own events, a number for those of its children."""
    return f"{run}!{attempt:04d}.{what if isinstance(what, str) else format(what, '06d')}"
