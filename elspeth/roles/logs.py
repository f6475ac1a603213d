"""Log records inside a child process: one line each on its stderr, which the main process shows with run and role.

Text for people, or one JSON object for programs, into whose fields the main process puts the run and the role.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import msgspec


class _Wanted(msgspec.Struct):
    """What a plan says of logging; whatever else it says is skipped."""

    log_format: str = "text"
    log_level: str = "WARNING"


_wanted = msgspec.msgpack.Decoder(_Wanted)


def configure(plan: bytes) -> None:
    """Have this process log as its encoded plan says. Replaces handlers, so that calling it again adds no line."""
    wanted = _wanted.decode(plan)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if wanted.log_format == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=wanted.log_level, force=True)
    logging.captureWarnings(True)


class TextLines(logging.Formatter):
    """`warning my_plugin: the words`; a traceback follows below."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, of several lines if its words are."""
        return f"{record.levelname.lower()} {record.name}: {super().format(record)}"


class JsonLines(logging.Formatter):
    """One JSON object a record: `at` (UTC, milliseconds), `level`, `logger`, `message` with the traceback, if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, whatever its words hold."""
        at = datetime.fromtimestamp(record.created, UTC)
        value = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": super().format(record),
        }
        return json.dumps(value, ensure_ascii=False)
