"""The rooms whose code is changed at random, and which tests should notice a change there."""

from __future__ import annotations

_RUN = "tests/integration/cli/test_run_command.py"
_RESUME = "tests/integration/cli/test_resume_command.py"
_ROUTES = "tests/integration/graphs/test_time_and_routes.py"
_EVIDENCE = " ".join(
    f"tests/integration/cli/evidence/test_{name}_command.py"
    for name in ("explain", "verify", "export", "purge", "copy")
)
_SERVER = tuple(
    f"tests/integration/postgres/test_{name}.py"
    for name in ("server", "store", "session_lock", "server_says_no", "lost_connection", "records")
)
_CLI = "tests/integration/cli"

TESTS = {
    "actors": ("tests/unit/actors", "tests/integration/actors"),
    "elspeth/coordinator": ("tests/unit/coordinator", _RUN, _ROUTES, _RESUME),
    "elspeth/execution": ("tests/unit/execution", "tests/unit/transforms", _ROUTES),
    "elspeth/audit/store/postgres": ("tests/unit/audit", *_SERVER),
    "elspeth/audit/explain": ("tests/unit/audit/test_stories.py", _EVIDENCE),
    "elspeth/audit/verify/partner": ("tests/integration/cli/evidence/test_shared_verification.py",),
    "elspeth/audit/verify/shared": ("tests/unit/audit", "tests/integration/cli/evidence/test_shared_verification.py"),
    "elspeth/audit": ("tests/unit/audit", "tests/unit/test_durable.py", _EVIDENCE,
                      "tests/integration/doctor/test_status_and_health.py",
                      f"{_CLI}/test_nothing_ends_silently.py"),
    "elspeth/roles/calling": ("tests/unit/elsewhere", "tests/unit/calls", "tests/integration/calls"),
    "elspeth/roles/elsewhere": ("tests/unit/elsewhere", "tests/integration/elsewhere"),
    "elspeth/roles/logs": ("tests/integration/logs",),
    "elspeth/roles": ("tests/unit/roles tests/unit/audit/test_audit_role.py", "tests/unit/sinks/test_side_by_side.py",
                      "tests/unit/sinks tests/unit/sources tests/unit/runs tests/unit/execution",
                      _ROUTES, "tests/integration/graphs/test_pools.py", _RUN),
    "elspeth/plugins/sinks": ("tests/unit/sinks",),
    "elspeth/plugins/sources": ("tests/unit/sources",),
    "elspeth/plugins/transforms": ("tests/unit/transforms", "tests/unit/graph tests/unit/services tests/unit/formats"),
    "elspeth/plugins/aggregations": ("tests/unit/transforms", "tests/unit/statistics",
                                     "tests/unit/graph tests/unit/formats"),
    "elspeth/plugins/services": ("tests/unit/services", "tests/unit/text"),
    "elspeth/calls": ("tests/unit/calls", "tests/unit/services", "tests/integration/calls"),
    "elspeth/runs/doctor": ("tests/unit/runs", "tests/integration/doctor"),
    "elspeth/runs/liveness": ("tests/unit/runs", "tests/integration/doctor",
                              "tests/integration/runs/test_attempt_lock.py"),
    "elspeth/runs/replay": ("tests/integration/replay",),
    "elspeth/runs/telemetry": ("tests/unit/telemetry", "tests/integration/telemetry"),
    "elspeth/runs/views/report": ("tests/unit/report", f"{_CLI}/test_report_command.py"),
    "elspeth/runs/views/ui": ("tests/unit/ui", f"{_CLI}/test_ui_command.py", f"{_CLI}/test_watch_command.py",
                              f"{_CLI}/test_pages_in_a_browser.py"),
    "elspeth/runs/views": ("tests/unit/runs", "tests/integration/doctor/test_status_and_health.py"),
    "elspeth/runs/operate": ("tests/unit/runs", "tests/integration/doctor/test_operate.py", _EVIDENCE),
    "elspeth/runs/trial": (f"{_CLI}/test_try_command.py",),
    "elspeth/runs/lifecycle/stdin_spool": ("tests/unit/runs", f"{_CLI}/test_standard_input.py"),
    "elspeth/runs": ("tests/unit/runs", _RUN, _RESUME, "tests/integration/runs"),
    "elspeth/settings": ("tests/unit/settings", "tests/unit/formats tests/unit/telemetry",
                         "tests/docs/test_reference.py", f"{_CLI}/test_validate_command.py"),
    "elspeth/graph": ("tests/unit/graph", "tests/unit/settings tests/unit/formats"),
    "elspeth/expressions": ("tests/unit/expressions",),
    "elspeth/schema": ("tests/unit/schema tests/unit/test_schema.py", "tests/unit/sources"),
    "elspeth/cli": ("tests/unit/text tests/unit/formats", f"{_CLI}/test_help.py {_CLI}/test_output.py "
                    f"{_CLI}/test_error_text.py {_CLI}/test_streams.py {_CLI}/test_colours.py {_CLI}/test_logs.py",
                    _RUN, f"{_CLI}/test_validate_command.py", _EVIDENCE, "tests/integration/doctor"),
}  # fmt: skip
"""By the beginning of a file's path, the groups of tests that should notice a change there, quickest first. What lies
within another one stands in front of it. A group is the tests of what such a file is for: a view is asked for by its
command, what only a whole run carries out by a whole run, a key of the settings by the table that shows its default.
"""

ROOMS = ("elspeth/coordinator", "elspeth/execution", "elspeth/audit", "elspeth/roles", "elspeth/plugins/sinks",
         "elspeth/plugins/sources", "elspeth/runs", "elspeth/settings", "actors", "elspeth/calls",
         "elspeth/plugins/transforms", "elspeth/plugins/aggregations", "elspeth/graph", "elspeth/expressions",
         "elspeth/schema", "elspeth/cli")  # fmt: skip
"""The rooms that are changed: what decides, records, keeps and starts, and what people type and read."""


def tests_of(path: str) -> tuple[str, ...]:
    """The groups of tests that should notice a change in this file."""
    return next(tests for place, tests in TESTS.items() if path.startswith((f"{place}/", f"{place}.py")))
