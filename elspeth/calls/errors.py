"""How a call ends that gives no answer: the row's fault, or nobody's here."""

from __future__ import annotations

from typing import Any

from elspeth.errors import ElspethError


class CallRefused(Exception):
    """No answer can be had for this row. `reason` is a sentence, `details` are facts that JSON can hold."""

    def __init__(self, reason: str, details: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class RunStops(BaseException):
    """No row's fault, and no row can be decided until somebody has acted: the run ends in order, with this error.

    No `Exception`: what plugins catch of their clients' errors must not take it for one.
    """

    def __init__(self, error: ElspethError) -> None:
        super().__init__(error.message)
        self.error = error
