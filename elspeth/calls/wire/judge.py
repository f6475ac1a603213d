"""What a response, or the lack of one, means for the request: one of the outcomes, with its reason. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elspeth.calls.model import Exchange, Http, Outcome, Usage
from elspeth.calls.wire.retry_after import retry_after
from elspeth.calls.wire.transport import NoResponse, Response
from elspeth.calls.wire.words import LONGEST_MESSAGE, NoAnswer, Said, ServiceError, service_error

CHAT_RETRIES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses of a model's service after which another try may help; 529 is Anthropic's word for overload."""

KEPT_HEADERS = frozenset({
    "content-type", "content-length", "date", "retry-after", "retry-after-ms", "x-request-id", "request-id",
    "x-ms-request-id", "apim-request-id", "openai-processing-ms", "openai-version", "anthropic-organization-id",
    "location", "etag", "last-modified", "idempotent-replayed", "x-should-retry",
})  # fmt: skip
_KEPT_BEGINNINGS = ("x-ratelimit-", "anthropic-ratelimit-")


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that go on record: by name, for cookies and the like are nobody's business."""
    return {name: value for name, value in headers.items()
            if name in KEPT_HEADERS or name.startswith(_KEPT_BEGINNINGS)}  # fmt: skip


def no_response(failure: NoResponse) -> Exchange:
    """The exchange that brought no whole response."""
    outcome: Outcome = "unknown" if failure.sent else "never_sent"
    if failure.trouble in ("host_not_allowed", "private_address", "too_large"):
        outcome = "refused"
    return Exchange(
        outcome=outcome,
        reason=failure.trouble,
        message=failure.message,
        status=failure.status,
        body=failure.body.decode("utf-8", "replace"),
        failure=outcome in ("unknown", "never_sent"),
    )


def chat(response: Response, said: Callable[[Mapping[str, Any]], Said], now: datetime) -> Exchange:
    """What a model's service answered; `said` reads the answers of its kind."""
    found = _Found(response, now)
    error = service_error(found.json)
    status = response.status
    if status == 200 and error is not None and not _has_answer(found.json):
        status = error.status or status  # some gateways say 200 and put the status into the body
    if error is not None and error.filtered:
        return found.exchange("answered", "content_filter", error.message, finish_reason="content_filter")
    if (error is not None and error.exhausted) or status == 402:
        return found.exchange("stop", "quota", found.says("the account has no quota left", error))
    if status in (401, 403):
        return found.exchange("stop", "unauthorised", found.says("the service does not accept the key", error))
    if status in CHAT_RETRIES:
        return found.later(status, error)
    if status != 200:
        return found.refused(status, error)
    if found.json is None:
        return found.exchange("refused", found.unreadable, found.unreadable_message)
    try:
        what = said(found.json if isinstance(found.json, Mapping) else {})
    except NoAnswer as none:
        return found.exchange("refused", none.reason, found.says(none.message, error))
    reason = what.finish_reason if what.finish_reason in ("length", "content_filter") else ""
    return found.exchange("answered", reason, text=what.text, finish_reason=what.finish_reason, model=what.model,
                          usage=what.usage)  # fmt: skip


def http(response: Response, request: Http, now: datetime) -> Exchange:
    """What any other service answered, by what the request calls success."""
    found = _Found(response, now)
    error = service_error(found.json)
    status = response.status
    if status in request.success:
        return found.exchange("answered")
    if status == 401:
        return found.exchange("stop", "unauthorised", found.says("the service does not accept the credentials", error))
    if status in request.retry_statuses:
        return found.later(status, error)
    return found.refused(status, error)


@dataclass(frozen=True, slots=True)
class _Found:
    """A response on its way to an exchange."""

    response: Response
    now: datetime

    @property
    def text(self) -> str:
        return self.response.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none, or says to be something else."""
        if self.unreadable == "wrong_content_type":
            return None
        try:
            return json.loads(self.response.body)
        except (ValueError, RecursionError):
            return None

    @property
    def unreadable(self) -> str:
        kind = self.response.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        return "invalid_json" if kind.endswith("json") or not kind else "wrong_content_type"

    @property
    def unreadable_message(self) -> str:
        if self.unreadable == "invalid_json":
            return "the answer is no JSON"
        return f"the answer is {self.response.headers['content-type']!r:.80}, not JSON"

    def says(self, what: str, error: ServiceError | None) -> str:
        words = " ".join((error.message if error is not None else "").split())
        return f"{what}: {words[:LONGEST_MESSAGE]}" if words else what

    def later(self, status: int, error: ServiceError | None) -> Exchange:
        seconds = retry_after(self.response.headers, self.now, resets=status == 429)
        reason = "rate_limited" if status == 429 else "server_error"
        hasty = status == 429 or seconds is not None
        message = self.says(f"the service answered with status {status}", error)
        return self.exchange("retry_later", reason, message, retry_after=seconds, everybody=hasty, failure=not hasty)

    def refused(self, status: int, error: ServiceError | None) -> Exchange:
        if 300 <= status < 400:
            where = self.response.headers.get("location", "nowhere")
            return self.exchange("refused", "redirected",
                                 f"the service answered with status {status} and leads to {where:.200}; redirects are "
                                 "not followed")  # fmt: skip
        reason = "server_error" if status >= 500 else "refused"
        return self.exchange("refused", reason, self.says(f"the service answered with status {status}", error))

    def exchange(
        self, outcome: Outcome, reason: str = "", message: str = "", *, text: str = "", finish_reason: str = "",
        model: str = "", usage: Usage | None = None, retry_after: float | None = None, everybody: bool = False,
        failure: bool = False,
    ) -> Exchange:  # fmt: skip
        return Exchange(
            outcome=outcome, reason=reason, message=message, status=self.response.status,
            headers=kept(self.response.headers), body=self.text, text=text, finish_reason=finish_reason, model=model,
            usage=usage, retry_after=retry_after, everybody=everybody, failure=failure,
        )  # fmt: skip


def _has_answer(body: Any) -> bool:
    return isinstance(body, Mapping) and bool(body.get("choices") or body.get("content"))
