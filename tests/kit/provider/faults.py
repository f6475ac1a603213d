"""The ways in which an answer of the fake provider goes wrong, by name."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from email.utils import formatdate

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """What is sent. `cut`: so much of the body, then the connection breaks; `every`: seconds between its bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    every: float = 0.0
    paid: bool = True


def refusal(status: int, body: object = None, **headers: str) -> Reply:
    """An answer for which nothing is paid."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    error = body if body is not None else {"error": {"message": f"status {status} by order", "type": "error"}}
    return Reply(status, json.dumps(error).encode(), names, paid=False)


def _error(status: int, code: str | int | None, message: str, kind: str = "") -> Reply:
    return refusal(status, {"error": {"code": code, "type": kind, "message": message}})


def _filter_400() -> Reply:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
    error = {"code": "content_filter", "message": "The prompt was filtered", "innererror": inner}
    return refusal(400, {"error": error})


REFUSALS = {
    "429": lambda: refusal(429),
    "429 retry-after": lambda: refusal(429, retry_after="1"),
    "429 for long": lambda: refusal(429, retry_after="300"),
    "429 retry-after-ms": lambda: refusal(429, retry_after_ms="50"),
    "429 date": lambda: refusal(429, retry_after=formatdate(time.time() + 2, usegmt=True)),
    "429 reset": lambda: refusal(429, x_ratelimit_reset_requests="40ms", x_ratelimit_remaining_requests="0"),
    "500": lambda: refusal(500),
    "502": lambda: Reply(502, b"<html>bad gateway</html>", {"content-type": "text/html"}, paid=False),
    "503": lambda: refusal(503),
    "503 retry-after": lambda: refusal(503, retry_after="1"),
    "529": lambda: _error(529, None, "Overloaded", "overloaded_error"),
    "400": lambda: _error(400, "bad", "no such parameter"),
    "404": lambda: _error(404, "model_not_found", "no such model"),
    "413": lambda: _error(413, None, "too long"),
    "422": lambda: _error(422, None, "cannot be processed"),
    "401": lambda: _error(401, "invalid_api_key", "Incorrect API key provided: KEY"),
    "403": lambda: _error(403, None, "not for KEY"),
    "402": lambda: _error(402, 402, "Insufficient credits"),
    "quota": lambda: _error(429, "insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
    "credit": lambda: _error(400, None, "Your credit balance is too low", "invalid_request_error"),
    "filter 400": _filter_400,
    "redirect": lambda: Reply(307, b"", {"location": "http://127.0.0.1:9/elsewhere"}, paid=False),
    "200 with 429 within": lambda: refusal(200, {"error": {"code": 429, "message": "slow down"}}),
    "200 with 502 within": lambda: refusal(200, {"error": {"code": 502, "message": "upstream"}}),
}
"""Nothing is paid for these, nothing was carried out."""

BROKEN = ("hang", "reset", "drop", "cut body", "trickle")
"""`hang` and `reset` before anything is carried out, `drop` after it and before the answer; the others within it."""

CHANGED = (
    "invalid json",
    "wrong type",
    "no choices",
    "no finish reason",
    "no text",
    "length",
    "filter 200",
    "too large",
)
"""Answers that are paid for, and are not what was hoped for."""


def changed(fault: str, answer: dict[str, object]) -> Reply:
    """What is sent for an answer in the words of OpenAI, with one of these faults."""
    choice = {**answer["choices"][0]}  # type: ignore[index]
    message = {**choice["message"]}
    match fault:
        case "invalid json":
            return Reply(body=json.dumps(answer).encode()[:-7])
        case "wrong type":
            return Reply(body=b"<html>hello</html>", headers={"content-type": "text/html"})
        case "no choices":
            return Reply(body=json.dumps({**answer, "choices": []}).encode())
        case "no finish reason":
            choice["finish_reason"] = None
        case "no text":
            message["content"] = None
        case "length":
            choice["finish_reason"] = "length"
            message["content"] = message["content"][:5]
        case "filter 200":
            choice["finish_reason"] = "content_filter"
            message["content"] = ""
        case "too large":
            message["content"] = "x" * (17 * 1024 * 1024)
    return Reply(body=json.dumps({**answer, "choices": [{**choice, "message": message}]}).encode())
