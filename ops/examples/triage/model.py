"""Answers as a language model would, by rules instead of a network: chat completions on 127.0.0.1, for this example.

It labels a ticket by the words in it. Like the real ones it sometimes asks to be asked later, writes something that is
no JSON, or refuses a text.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LABELS = {
    "billing": ("invoice", "charged", "refund", "payment"),
    "access": ("password", "log in", "locked", "account"),
    "delivery": ("parcel", "delivery", "courier", "arrived"),
}
PRESSING = {"at once": 40, "lawyer": 35, "third time": 25, "twice": 20, "late": 15, "cannot": 15}


class Service(ThreadingHTTPServer):
    """The service; `asked` counts what came."""

    daemon_threads = True
    request_queue_size = 128
    asked = 0


class Completions(BaseHTTPRequestHandler):
    """One connection. It is kept open between requests."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked += 1
        if self.server.asked % 50 == 0:
            self.send(429, {"error": {"message": "too many requests"}}, {"retry-after-ms": "100"})
            return
        questions = [message["content"] for message in body["messages"] if message["role"] == "user"]
        text, reason = said(questions)
        usage = {"prompt_tokens": sum(map(len, questions)) // 4, "completion_tokens": len(text) // 4}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        self.send(200, {"model": body["model"], "choices": [choice], "usage": usage}, {})

    def send(self, status: int, value: Any, headers: dict[str, str]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed for each request."""


def said(questions: list[str]) -> tuple[str, str]:
    """The answer to a conversation, and why it ends."""
    ticket = questions[0].lower()
    if "damned" in ticket:
        return "", "content_filter"
    if "?!" in ticket and len(questions) == 1:
        return "I think that this one is quite urgent!", "stop"
    found = {label: sum(len(re.findall(word, ticket)) for word in words) for label, words in LABELS.items()}
    label = max(found, key=lambda name: found[name]) if any(found.values()) else "other"
    score = min(20 + sum(points for words, points in PRESSING.items() if words in ticket), 100)
    return json.dumps({"label": label, "score": score}), "stop"


def started() -> Service:
    """The service on a free port. `serve_forever` answers."""
    return Service(("127.0.0.1", 0), Completions)
