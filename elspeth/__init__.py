"""Auditable row pipelines: sense, decide, act, with every decision about every row on record."""

__version__ = "0.1.0"

_OFFERED = {
    "AuditDatabase": "elspeth.api.database",
    "ElspethError": "elspeth.errors",
    "Finished": "elspeth.api.driving",
    "RecordedRun": "elspeth.api.recorded",
    "open": "elspeth.api.database",
    "resume": "elspeth.api.driving",
    "run": "elspeth.api.driving",
    "run_in_process": "elspeth.testing.in_process",
}
"""What `elspeth.NAME` is, and where. Imported when it is asked for: a command that starts pays for none of it."""

__all__ = ["__version__", *_OFFERED]


def __getattr__(name: str) -> object:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_OFFERED[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
