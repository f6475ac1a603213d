"""The time of day, in the one form in which records, messages and exports carry it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Now: ISO 8601, UTC, to the millisecond, such as `2026-01-31T23:59:59.999Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
