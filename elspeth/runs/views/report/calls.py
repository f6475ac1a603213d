"""What was asked of services, per provider: how often, how fast, how often in vain, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.audit import dialect
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database
from elspeth.calls.totals import CallTotals
from elspeth.canonical import JsonObject

MOST_READ = 100_000
"""Calls whose times are looked at."""


def calls(reader: AuditReader, run_id: str, totals: Mapping[str, CallTotals]) -> list[JsonObject]:
    """A line for each provider; empty for a run that asked nothing."""
    if not totals:
        return []
    times: dict[str, list[float]] = {}
    refused: dict[str, int] = {}
    connection = reader.connection
    asked, answered = (dialect.json_field(connection, "response_data", field) for field in ("provider", "status"))
    with database.translated_errors(reader.path):
        for provider, status, latency in connection.execute(
            f"SELECT {asked}, {answered}, latency_ms"
            " FROM calls WHERE call_id >= ? AND call_id < ? AND response_data IS NOT NULL LIMIT ?",
            (run_id, f"{run_id}~", MOST_READ),
        ):
            if latency is not None:
                times.setdefault(str(provider), []).append(latency / 1000)
            refused[str(provider)] = refused.get(str(provider), 0) + (str(status) == "429")
    return [
        {"provider": provider, "exchanges": one.exchanges, "answered": one.answered, "unknown": one.unknown,
         "input_tokens": one.input_tokens, "output_tokens": one.output_tokens, "cost": str(one.cost),
         "refused": refused.get(provider, 0), "p50": percentile(times.get(provider, []), 0.50),
         "p95": percentile(times.get(provider, []), 0.95)}
        for provider, one in sorted(totals.items())
    ]  # fmt: skip


def percentile(values: list[float], share: float) -> float | None:
    """The value below which this share of the values lies (nearest rank); None without values."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
