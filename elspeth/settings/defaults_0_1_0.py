"""What held in version 0.1.0 where settings said nothing. Frozen: runs that version 0.1.0 started rest on it.

A run that was started before the defaults were stored with it goes on with these, whatever the defaults are today.
"""

from __future__ import annotations

from typing import Any

SECTIONS: dict[str, Any] = {
    "transforms": [],
    "gates": [],
    "aggregations": [],
    "coalesce": [],
    "name": None,
    "description": None,
    "queues": [],
    "default_sink": None,
    "landscape": {
        "url": "sqlite:///./runs/audit.db",
        "export": {"enabled": False, "sink": None, "format": "json", "sign": False},
        "dump_to_jsonl": False,
        "dump_to_jsonl_path": None,
    },
    "checkpoint": {
        "enabled": True,
        "frequency": "every_row",
        "checkpoint_interval": None,
        "max_rows": 10000,
        "max_bytes": 33554432,
        "max_seconds": 5.0,
    },
    "concurrency": {"max_workers": 4},
    "supervisor": {
        "max_restarts": 3,
        "within_seconds": 60.0,
        "poison_attempts": 3,
        "hang_timeout_seconds": 300.0,
        "worker_memory_limit_mb": None,
        "watchdog_seconds": 120.0,
        "shutdown_seconds": 8.0,
    },
    "retry": {"max_attempts": 3, "initial_delay_seconds": 1.0, "max_delay_seconds": 60.0, "exponential_base": 2.0},
    "payload_store": {
        "backend": "filesystem",
        "base_path": "state/payloads",
        "retention_days": 90,
        "inline_limit_bytes": 65536,
    },
    "rate_limit": {},
    "telemetry": {},
    "plugins": [],
}
"""The sections that are not steps."""

STEPS: dict[str, dict[str, Any]] = {
    "source": {
        "required_fields": [],
        "guaranteed_fields": [],
        "validate_input": False,
        "name": None,
        "on_success": None,
        "on_validation_failure": None,
    },
    "transforms": {
        "required_fields": [],
        "guaranteed_fields": [],
        "validate_input": False,
        "name": None,
        "input": None,
        "on_success": None,
        "on_error": None,
        "pool_size": 1,
    },
    "gates": {"fork_to": [], "input": None, "on_success": None, "on_error": None},
    "aggregations": {
        "required_fields": [],
        "guaranteed_fields": [],
        "validate_input": False,
        "trigger": {"count": None, "timeout_seconds": None, "condition": None},
        "output_mode": "transform",
        "expected_output_count": None,
        "input": None,
        "on_success": None,
        "on_error": None,
    },
    "coalesce": {
        "policy": "require_all",
        "quorum_count": None,
        "timeout_seconds": None,
        "merge": "union",
        "union_collision_policy": "last_wins",
        "select_branch": None,
        "on_success": None,
        "on_error": None,
    },
    "sinks": {"required_fields": [], "guaranteed_fields": [], "validate_input": False, "on_write_failure": None},
}
"""Every step of a section. `sources` are like `source`."""

OPTIONS: dict[str, dict[str, Any]] = {
    "source csv": {
        "schema": None,
        "delimiter": ",",
        "quotechar": '"',
        "encoding": "utf-8",
        "skip_rows": 0,
        "columns": None,
        "field_mapping": {},
        "null_values": [],
        "max_row_bytes": 16777216,
    },
    "source json": {"schema": None, "format": None, "data_key": None, "encoding": "utf-8", "max_row_bytes": 16777216},
    "source text": {
        "schema": None,
        "column": "text",
        "strip_whitespace": False,
        "skip_blank_lines": False,
        "encoding": "utf-8",
        "max_row_bytes": 16777216,
    },
    "source null": {"schema": None},
    "transform passthrough": {"schema": None},
    "transform field_mapper": {"schema": None, "select_only": False, "strict": False},
    "transform value_transform": {"schema": None},
    "transform type_coerce": {"schema": None},
    "transform truncate": {"schema": None, "suffix": "", "strict": False},
    "transform keyword_filter": {"schema": None, "fields": None, "max_length": 20000},
    "transform json_explode": {
        "schema": None,
        "output_field": "item",
        "include_index": True,
        "index_field": "item_index",
    },
    "transform line_explode": {
        "schema": None,
        "output_field": "line",
        "include_index": True,
        "index_field": "line_index",
        "strip": False,
        "skip_blank": False,
    },
    "aggregation batch_stats": {"schema": None, "group_by": None, "compute_mean": True},
    "aggregation batch_replicate": {
        "schema": None,
        "copies_field": "copies",
        "default_copies": 1,
        "max_copies": 100,
        "include_copy_index": True,
    },
    "aggregation report_assemble": {
        "schema": None,
        "text_field": "line",
        "lines_per_page": 50,
        "title": "",
        "footer": "",
    },
    "sink csv": {
        "schema": None,
        "mode": "write",
        "collision_policy": None,
        "encoding": "utf-8",
        "headers": None,
        "delimiter": ",",
        "line_terminator": "\n",
    },
    "sink json": {
        "schema": None,
        "mode": "write",
        "collision_policy": None,
        "encoding": "utf-8",
        "headers": None,
        "format": None,
        "indent": None,
    },
    "sink text": {
        "schema": None,
        "mode": "write",
        "collision_policy": None,
        "encoding": "utf-8",
        "headers": None,
        "column": None,
    },
    "sink null": {"schema": None},
}
"""Options of built-in plugins, by kind and name."""
