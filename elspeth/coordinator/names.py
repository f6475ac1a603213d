"""What the children of a run are called: in messages, in the audit database, in `ps`."""

from __future__ import annotations

AUDIT = "audit"
SOURCE = "source"
SINKS = "sinks"


def worker_name(number: int) -> str:
    """Worker `number`, counted from 1."""
    return f"worker-{number}"


def worker_number(name: str) -> int:
    """The number of the worker of this name."""
    return int(name.rpartition("-")[2])


def stage_name(stage: int) -> str:
    """The child that runs an ordered stage."""
    return f"stage-{stage}"
