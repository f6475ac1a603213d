"""When a service says that it may be asked again, in any of the forms in which services say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 24 * 3600.0
"""A longer time is taken for this one: a header decides how long a run waits, not whether it ever goes on."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?"
                       r"(?:(\d+(?:\.\d+)?)ms)?")  # fmt: skip
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EPOCH = 10**9
"""A larger number of seconds is a moment since 1970, not a time from now."""


def retry_after(headers: Mapping[str, str], now: datetime, *, resets: bool = True) -> float | None:
    """Seconds until the service wants to be asked again, by its headers (names in lower case); None: it does not say.

    `retry-after-ms` is the most exact and goes first, then `retry-after` (RFC 9110, 10.2.3: seconds or a date), then
    `x-ratelimit-reset-*` (with `resets`): of those that name a limit of which nothing remains, or of all, the latest.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return min(float(text) * unit, LONGEST_SECONDS)
        if name == "retry-after" and text and (found := _until(text, now)) is not None:
            return found
    return _reset(headers, now) if resets else None


def _until(text: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), LONGEST_SECONDS)


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    resets: dict[str, float] = {}
    for name, text in headers.items():
        if name.startswith("x-ratelimit-reset") and (found := _duration(text.strip(), now)) is not None:
            resets[name.removeprefix("x-ratelimit-reset")] = found
    used_up = [
        seconds for what, seconds in resets.items() if headers.get(f"x-ratelimit-remaining{what}", "").strip() == "0"
    ]
    return max(used_up or resets.values(), default=None)


def _duration(text: str, now: datetime) -> float | None:
    """Seconds of `1m30s`, `250ms`, `12`, or of a moment since 1970 in seconds or milliseconds."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number > _EPOCH * 100:
            number /= 1000
        seconds = number - now.timestamp() if number > _EPOCH else number
    else:
        found = _DURATION.fullmatch(text)
        if not text or found is None:
            return None
        seconds = sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)
    return min(max(seconds, 0.0), LONGEST_SECONDS)
