"""What a pipeline file says of metrics and traces: where whoever watches finds them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from elspeth.settings.section import Section, Text, wrong


class Prometheus(Section):
    """Metrics in Prometheus' text format: on a `port`, in a `textfile`, or both."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    host: Text = "127.0.0.1"
    textfile: Text | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Prometheus:
        if self.port is None and self.textfile is None:
            raise wrong("says neither port nor textfile", key="port", allowed="port: 9464, or textfile: FILE.prom")
        return self


class Otlp(Section):
    """Spans by OTLP over HTTP. Without `endpoint` the variables of OpenTelemetry say where, as they say with which
    headers."""

    endpoint: Text | None = None

    @model_validator(mode="after")
    def _can_be_reached(self) -> Otlp:
        if self.endpoint is not None:
            allowed = "http://HOST:4318 or https://..."
            try:
                parts = urlsplit(self.endpoint)
                good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                good = False
            if not good:
                raise wrong("is no address of a collector", key="endpoint", allowed=allowed)
            if parts.username or parts.password:
                raise wrong("credentials do not belong into the address", key="endpoint",
                            allowed="the variable OTEL_EXPORTER_OTLP_HEADERS")  # fmt: skip
        return self


class Telemetry(Section):
    """Metrics and traces of a run. Keys of others are told and taken out before, and stand in older runs."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, defer_build=True)

    enabled: bool = True
    prometheus: Prometheus | None = None
    otlp: Otlp | None = None
