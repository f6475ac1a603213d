"""What an answer says in the words of its kind: its parts, and the error in it, wherever a service puts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.calls.model import Usage

LONGEST_MESSAGE = 500
"""Characters of a service's own words that stand in a sentence of ours; the record has all of them."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model answered. `finish_reason` is `stop`, `length`, `content_filter` or the service's own word."""

    text: str
    finish_reason: str
    model: str
    usage: Usage | None


class NoAnswer(Exception):
    """A body that is no answer: `reason` is the word for the record."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class ServiceError:
    """What a service says in an error: its code, kind and sentence; a status where the body has one."""

    code: str = ""
    kind: str = ""
    message: str = ""
    status: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether the error is a content filter's."""
        return "content_filter" in (self.code, self.kind) or self.code == "content_policy_violation"

    @property
    def exhausted(self) -> bool:
        """Whether no call can succeed before somebody pays."""
        words = (self.code, self.kind)
        if "insufficient_quota" in words or "billing_error" in words or "billing_hard_limit_reached" in words:
            return True
        return self.kind == "invalid_request_error" and "credit balance" in self.message.lower()


def service_error(body: Any) -> ServiceError | None:
    """The error in a body: `{"error": {...}}`, `{"error": "..."}`, `{"message": ...}`; None if there is none."""
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if isinstance(error, str):
        return ServiceError(message=error)
    if not isinstance(error, Mapping):
        message = body.get("message") or body.get("detail")
        return ServiceError(message=message) if isinstance(message, str) and "choices" not in body else None
    inner = error.get("innererror")
    code = error.get("code")
    if isinstance(inner, Mapping) and inner.get("code") == "ResponsibleAIPolicyViolation":
        code = "content_filter"
    return ServiceError(
        code="" if isinstance(code, int) or code is None else str(code),
        kind=str(error.get("type") or ""),
        message=str(error.get("message") or ""),
        status=code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None,
    )


def whole(value: Any) -> int:
    """A count from an answer; what is none counts as nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
