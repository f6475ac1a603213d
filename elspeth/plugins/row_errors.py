"""What a plugin raises about its row; part of the contract, and imported from there."""

from __future__ import annotations

from typing import Any


class RowError(Exception):
    """Raised by a transform, aggregation or sink: this row cannot be handled. The row follows its `on_error` route.

    `reason` is a sentence for people; `details` are facts that JSON can hold.
    """

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class TransientError(RowError):
    """Like `RowError`, but trying again may help: the settings' `retry` section says how often and when."""
