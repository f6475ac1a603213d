"""What the children of a run are called: in messages, in the audit database, in `ps`."""

from __future__ import annotations

AUDIT = "audit"
SOURCE = "source"
SINKS = "sinks"


def stage_name(stage: int) -> str:
    """The child that runs an ordered stage."""
    return f"stage-{stage}"
