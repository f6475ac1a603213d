"""A service says in several ways when it may be asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from elspeth.calls.wire.retry_after import LONGEST_SECONDS, retry_after

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 12 "}, 12.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "999999999"}, LONGEST_SECONDS),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"retry-after": format_datetime((NOW + timedelta(seconds=5)).astimezone(timezone(timedelta(hours=2))))}, 5.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "250ms"}, 0.25),
        ({"x-ratelimit-reset-requests": "1h2m3s"}, 3723.0),
        ({"x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 20)}, 20.0),
        ({"x-ratelimit-reset": str((int(NOW.timestamp()) + 20) * 1000)}, 20.0),
        ({"x-ratelimit-reset-requests": "never"}, None),
        ({"retry-after": "2", "x-ratelimit-reset-requests": "60s"}, 2.0),
    ],
)
def test_the_time_is_read_in_each_form(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_limit_of_which_nothing_remains_is_the_one_that_counts() -> None:
    headers = {
        "x-ratelimit-reset-requests": "2s", "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-tokens": "50s", "x-ratelimit-remaining-tokens": "90000",
    }  # fmt: skip
    assert retry_after(headers, NOW) == 2.0


def test_limits_that_are_told_with_every_answer_are_no_reason_to_wait_unless_it_was_for_haste() -> None:
    assert retry_after({"x-ratelimit-reset-requests": "2s"}, NOW, resets=False) is None
    assert retry_after({"retry-after": "2"}, NOW, resets=False) == 2.0
