"""Settings of telemetry: those of older runs, and what a resume may set."""

from __future__ import annotations

import json
from typing import Any

from elspeth.settings import apply_set, load_stored

STORED: dict[str, Any] = {
    "source": {"plugin": "null", "options": {}},
    "sinks": {"out": {"plugin": "null", "options": {}}},
    "default_sink": "out",
}


def test_a_run_that_was_stored_with_somebody_elses_exporters_is_read() -> None:
    stored = json.dumps(STORED | {"telemetry": {"exporters": [{"name": "console"}], "granularity": "rows"}})
    settings = load_stored(stored, {}, dotenv=False).settings
    assert settings.telemetry.enabled
    assert settings.telemetry.prometheus is None


def test_a_resume_may_set_it_also_where_none_was() -> None:
    for telemetry in ({}, {"enabled": True, "prometheus": None, "otlp": None}):
        found = apply_set(STORED | {"telemetry": telemetry}, ["telemetry.prometheus.port=9464"])
        assert found["telemetry"]["prometheus"] == {"port": 9464}
