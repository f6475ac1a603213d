"""What an operator does to a run from outside it, as records."""

from __future__ import annotations

from elspeth.audit.chain.records import Record
from elspeth.clock import utc_now
from elspeth.runs.liveness.identity import AttemptIdentity


def take_over_action(run_id: str, attempt: int, identity: AttemptIdentity, reason: str | None) -> Record:
    """The `operator_actions` record of a take-over from a frozen process."""
    return (
        f"{run_id}!take_over.{attempt:04d}", identity.user, identity.uid, identity.command_line, reason, "take_over",
        "{}", utc_now(),
    )  # fmt: skip
