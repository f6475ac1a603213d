"""Spans of a run, sent by OTLP over HTTP: run, attempt, commits, children's lives, calls.

Ids are derived from the run's, so that a resume goes on with the trace of the attempt before, and a span names its
parent before that has ended. The span of an attempt that was killed was never sent; those within it were.

A call has the attributes of OpenTelemetry's conventions for generative AI, and never a word of what was said.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from elspeth import ids
from elspeth.canonical import JsonObject
from elspeth.coordinator.protocol import LeaseAsked, LeaseEnded
from elspeth.runs.telemetry.metrics import Labels

MOST_WAITING = 20_000
"""Spans that wait for a collector that does not take them; the oldest go."""

AT_ONCE = 500
TIMEOUT_SECONDS = 4.0
"""Of one request, its repetitions included: less than the end of a run waits."""

_KINDS = {"openai": "openai", "azure": "azure.ai.openai", "anthropic": "anthropic"}
"""What the conventions call the providers that they know."""

Attributes = dict[str, str | int | float | bool]


class _Span(NamedTuple):
    name: str
    key: str
    parent: str
    begun: float
    ended: float
    attributes: Attributes
    error: str = ""
    client: bool = False


class Spans:
    """Collects spans, from the coordinator's thread, and sends them, from another. Times are seconds since 1970."""

    def __init__(self, labels: Labels, endpoint: str | None, accounts: Mapping[str, tuple[str, str]]) -> None:
        for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.exporter.otlp.proto.http"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what fails is said once, and by us
        url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_SECONDS)
        self._labels = labels
        self._accounts = accounts
        self._resource = Resource.create({"service.name": "elspeth", "service.version": labels.version})
        self._scope = InstrumentationScope("elspeth", labels.version)
        self._trace = int.from_bytes(_digest(labels.run_id)[:16], "big")
        self._attempt = f"{labels.run_id}!{labels.attempt}"
        self._begun = time.time()
        self._lives: dict[str, tuple[float, int | None, int]] = {}
        self._calls: dict[tuple[str, int], float] = {}
        self._number = 0
        self._waiting: deque[_Span] = deque(maxlen=MOST_WAITING)

    # -- what happens ------------------------------------------------------------------------------------------

    def commit(self, no: int, begun: float, ended: float) -> None:
        """A commit that took from `begun` to `ended`."""
        self._add("commit", f"commit {no}", self._attempt, begun, ended, {"elspeth.micro_batch": no})

    def child(self, child: str, event: str, pid: int | None, detail: JsonObject | None) -> None:
        """A supervision event: lives begin and end with some of them."""
        now = time.time()
        if event in ("started", "restarted"):
            self._number += 1
            self._lives[child] = now, pid, self._number
        elif event == "exited" and child in self._lives:
            self._life_ended(child, now, str((detail or {}).get("reason", "")), (detail or {}).get("signal"))

    def call_sent(self, child: str, call: LeaseAsked) -> None:
        """A call begins."""
        self._calls[child, call.number] = time.time()

    def call_ended(self, child: str, call: LeaseAsked, end: LeaseEnded | None) -> None:
        """A call is over."""
        now = time.time()
        begun = self._calls.pop((child, call.number), now)
        kind, host = self._accounts.get(call.provider, ("", ""))
        came = end.exchange if end is not None else None
        attributes: Attributes = {"elspeth.provider": call.provider, "elspeth.child": child}
        if host:
            attributes["server.address"] = host
        if call.model:
            attributes |= {"gen_ai.operation.name": "chat", "gen_ai.request.model": call.model,
                           "gen_ai.provider.name": _KINDS.get(kind, kind)}  # fmt: skip
        error = "process died" if came is None else "" if came.outcome == "answered" else came.reason or came.outcome
        if came is not None:
            attributes["elspeth.outcome"] = came.outcome
            if came.status is not None:
                attributes["http.response.status_code"] = came.status
            if call.model and (came.input_tokens or came.output_tokens):
                attributes |= {"gen_ai.usage.input_tokens": came.input_tokens,
                               "gen_ai.usage.output_tokens": came.output_tokens}  # fmt: skip
        if error:
            attributes["error.type"] = error
        name = f"chat {call.model}" if call.model else f"call {call.provider}"
        self._number += 1
        self._add(name, f"call {self._number}", self._attempt, begun, now, attributes, error, client=True)

    def ended(self, complete: bool) -> None:
        """The attempt is over, and with it the run if that is complete."""
        now = time.time()
        for child in list(self._lives):
            self._life_ended(child, now, "", None)
        labels = self._labels
        about: Attributes = {"elspeth.run_id": labels.run_id, "elspeth.pipeline": labels.pipeline}
        more: Attributes = {**about, "elspeth.attempt": labels.attempt, "elspeth.complete": complete}
        self._waiting.append(
            _Span("attempt", self._attempt, labels.run_id, self._begun, now, more, "" if complete else "not complete")
        )
        if complete:
            self._waiting.append(_Span("run", labels.run_id, "", ids.run_begun(labels.run_id), now, about))

    def _life_ended(self, child: str, now: float, reason: str, signal: object) -> None:
        begun, pid, number = self._lives.pop(child)
        attributes: Attributes = {"elspeth.child": child}
        if pid is not None:
            attributes["process.pid"] = pid
        if reason:
            attributes["elspeth.exit_reason"] = reason
        self._add(f"child {child}", f"life {number}", self._attempt, begun, now, attributes, reason if signal else "")

    def _add(
        self, name: str, key: str, parent: str, begun: float, ended: float, attributes: Attributes, error: str = "",
        *, client: bool = False,
    ) -> None:  # fmt: skip
        self._waiting.append(_Span(name, f"{self._attempt} {key}", parent, begun, ended, attributes, error, client))

    # -- the wire ----------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Hand on what waits. Raises `ConnectionError` where the collector does not take it; that part is lost."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            if self._exporter.export([self._readable(each) for each in batch]) is not SpanExportResult.SUCCESS:
                self._waiting.clear()
                raise ConnectionError(0, "the collector does not take them")

    def close(self) -> None:
        """Let go of connections."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: _Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            self._context(span.key),
            self._context(span.parent) if span.parent else None,
            self._resource,
            span.attributes,
            kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=int(span.begun * 1e9),
            end_time=int(span.ended * 1e9),
            instrumentation_scope=self._scope,
        )

    def _context(self, key: str) -> SpanContext:
        span = int.from_bytes(_digest(key)[:8], "big")
        return SpanContext(self._trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
