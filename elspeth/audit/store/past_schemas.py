"""The schemas that earlier releases made, as SQLite keeps them: a database of one of these is read as it is.

None of them ever changes: `tests/kit/fixtures` holds databases that were made so.
"""

from __future__ import annotations

from collections.abc import Mapping

PAST: Mapping[int, str] = {
    1: """
CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL, started_at TEXT NOT NULL, completed_at TEXT,
    attempt INTEGER NOT NULL, settings_path TEXT, settings_json TEXT NOT NULL, settings_hash TEXT NOT
    NULL, pipeline_hash TEXT NOT NULL, working_directory TEXT NOT NULL, elspeth_version TEXT NOT NULL,
    canonical_version TEXT NOT NULL, superseded_by TEXT, failure TEXT, commit_no INTEGER NOT NULL) WITHOUT
    ROWID;
CREATE TABLE run_attempts (
    run_id TEXT NOT NULL, attempt INTEGER NOT NULL, host TEXT, boot_id TEXT, pid_namespace TEXT, pid
    INTEGER, process_start_time REAL, process_start_ticks INTEGER, container_id TEXT, user TEXT, uid
    INTEGER, command_line TEXT, lock_path TEXT, overrides_json TEXT, started_at TEXT NOT NULL,
    heartbeat_number INTEGER NOT NULL, heartbeat_at TEXT, ended_at TEXT, end_reason TEXT, commit_no
    INTEGER NOT NULL, PRIMARY KEY (run_id, attempt)) WITHOUT ROWID;
CREATE TABLE supervision_events (
    event_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, attempt INTEGER NOT NULL, child TEXT,
    event TEXT NOT NULL, pid INTEGER, detail TEXT, at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT
    ROWID;
CREATE TABLE nodes (
    node_id TEXT NOT NULL, run_id TEXT NOT NULL, plugin_name TEXT NOT NULL, node_type TEXT NOT NULL,
    plugin_version TEXT, determinism TEXT, source_hash TEXT, config_json TEXT, config_hash TEXT,
    sequence INTEGER NOT NULL, stage INTEGER, commit_no INTEGER NOT NULL, PRIMARY KEY (run_id, node_id))
    WITHOUT ROWID;
CREATE TABLE edges (
    edge_id TEXT NOT NULL, run_id TEXT NOT NULL, from_node_id TEXT NOT NULL, to_node_id TEXT NOT NULL,
    label TEXT NOT NULL, mode TEXT NOT NULL, commit_no INTEGER NOT NULL, PRIMARY KEY (run_id, edge_id))
    WITHOUT ROWID;
CREATE TABLE rows (
    row_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_index INTEGER NOT NULL, source_node_id
    TEXT NOT NULL, source_data_hash TEXT, source_data TEXT, source_data_ref TEXT, line INTEGER,
    created_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (
    token_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_id TEXT NOT NULL, branch_name TEXT,
    created_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE token_parents (
    run_id TEXT NOT NULL, token_id TEXT NOT NULL, parent_token_id TEXT NOT NULL, ordinal INTEGER NOT NULL,
    commit_no INTEGER NOT NULL, PRIMARY KEY (token_id, parent_token_id)) WITHOUT ROWID;
CREATE TABLE node_states (
    state_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, node_id TEXT NOT
    NULL, step_index INTEGER NOT NULL, attempt INTEGER NOT NULL, status TEXT NOT NULL, input_hash TEXT,
    output_hash TEXT, output_data TEXT, output_data_ref TEXT, error_json TEXT, started_at TEXT,
    completed_at TEXT, duration_ms REAL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE routing_events (
    event_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, state_id TEXT NOT NULL, edge_id TEXT NOT
    NULL, mode TEXT NOT NULL, reason_json TEXT, created_at TEXT NOT NULL, commit_no INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE token_outcomes (
    outcome_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, outcome TEXT NOT
    NULL, is_terminal INTEGER NOT NULL, sink_name TEXT, sink_row INTEGER, batch_id TEXT, error_json
    TEXT, recorded_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoints (
    checkpoint_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    sequence_number INTEGER NOT NULL, row_id TEXT, token_id TEXT, message TEXT NOT NULL, created_at TEXT
    NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    batch_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, node_id TEXT NOT NULL, trigger_type TEXT NOT
    NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, completed_at TEXT, commit_no INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE batch_members (
    run_id TEXT NOT NULL, batch_id TEXT NOT NULL, token_id TEXT NOT NULL, ordinal INTEGER NOT NULL,
    member_data TEXT, commit_no INTEGER NOT NULL, PRIMARY KEY (batch_id, token_id)) WITHOUT ROWID;
CREATE TABLE calls (
    call_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, state_id TEXT NOT NULL, call_index INTEGER
    NOT NULL, call_type TEXT NOT NULL, status TEXT NOT NULL, request_hash TEXT, request_data TEXT,
    response_hash TEXT, response_data TEXT, latency_ms REAL, created_at TEXT NOT NULL, commit_no INTEGER
    NOT NULL) WITHOUT ROWID;
CREATE TABLE validation_errors (
    error_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_id TEXT, node_id TEXT NOT NULL, error
    TEXT NOT NULL, raw_data TEXT, line INTEGER, destination TEXT, created_at TEXT NOT NULL, commit_no
    INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE transform_errors (
    error_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, node_id TEXT NOT
    NULL, error_json TEXT, destination TEXT, created_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT
    ROWID;
CREATE TABLE artifacts (
    artifact_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, node_id TEXT NOT NULL, kind TEXT NOT
    NULL, path TEXT, size_bytes INTEGER, content_hash TEXT, created_at TEXT NOT NULL, commit_no INTEGER
    NOT NULL) WITHOUT ROWID;
CREATE TABLE operator_actions (
    action_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, user TEXT NOT NULL, uid INTEGER,
    command_line TEXT NOT NULL, reason TEXT, action TEXT NOT NULL, detail TEXT, created_at TEXT NOT
    NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE commits (
    run_id TEXT NOT NULL, commit_no INTEGER NOT NULL, attempt INTEGER NOT NULL, previous_digest TEXT NOT
    NULL, digest TEXT NOT NULL, record_count INTEGER NOT NULL, committed_at TEXT NOT NULL, signature TEXT,
    PRIMARY KEY (run_id, commit_no)) WITHOUT ROWID;
CREATE TABLE commit_tables (
    run_id TEXT NOT NULL, commit_no INTEGER NOT NULL, table_name TEXT NOT NULL, record_count INTEGER NOT
    NULL, digest TEXT NOT NULL, marks BLOB NOT NULL, purgeable_digest TEXT, purgeable_marks BLOB, PRIMARY
    KEY (run_id, commit_no, table_name)) WITHOUT ROWID;
""",
    2: """
CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL, started_at TEXT NOT NULL, completed_at TEXT,
    attempt INTEGER NOT NULL, settings_path TEXT, settings_json TEXT NOT NULL, settings_hash TEXT NOT
    NULL, pipeline_hash TEXT NOT NULL, working_directory TEXT NOT NULL, elspeth_version TEXT NOT NULL,
    canonical_version TEXT NOT NULL, superseded_by TEXT, failure TEXT, commit_no INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE run_attempts (
    run_id TEXT NOT NULL, attempt INTEGER NOT NULL, host TEXT, boot_id TEXT, pid_namespace TEXT, pid
    INTEGER, process_start_time REAL, process_start_ticks INTEGER, container_id TEXT, user TEXT, uid
    INTEGER, command_line TEXT, lock_path TEXT, overrides_json TEXT, started_at TEXT NOT NULL,
    heartbeat_number INTEGER NOT NULL, heartbeat_at TEXT, ended_at TEXT, end_reason TEXT, commit_no
    INTEGER NOT NULL, PRIMARY KEY (run_id, attempt)) WITHOUT ROWID;
CREATE TABLE supervision_events (
    event_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, attempt INTEGER NOT NULL, child TEXT,
    event TEXT NOT NULL, pid INTEGER, detail TEXT, at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT
    ROWID;
CREATE TABLE nodes (
    node_id TEXT NOT NULL, run_id TEXT NOT NULL, plugin_name TEXT NOT NULL, node_type TEXT NOT NULL,
    plugin_version TEXT, determinism TEXT, source_hash TEXT, config_json TEXT, config_hash TEXT,
    sequence INTEGER NOT NULL, stage INTEGER, commit_no INTEGER NOT NULL, PRIMARY KEY (run_id, node_id))
    WITHOUT ROWID;
CREATE TABLE edges (
    edge_id TEXT NOT NULL, run_id TEXT NOT NULL, from_node_id TEXT NOT NULL, to_node_id TEXT NOT NULL,
    label TEXT NOT NULL, mode TEXT NOT NULL, commit_no INTEGER NOT NULL, PRIMARY KEY (run_id, edge_id))
    WITHOUT ROWID;
CREATE TABLE rows (
    row_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_index INTEGER NOT NULL, source_node_id
    TEXT NOT NULL, source_data_hash TEXT, source_data TEXT, source_data_ref TEXT, line INTEGER,
    created_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (
    token_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_id TEXT NOT NULL, branch_name TEXT,
    created_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE token_parents (
    run_id TEXT NOT NULL, token_id TEXT NOT NULL, parent_token_id TEXT NOT NULL, ordinal INTEGER NOT
    NULL, commit_no INTEGER NOT NULL, PRIMARY KEY (token_id, parent_token_id)) WITHOUT ROWID;
CREATE TABLE node_states (
    state_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, node_id TEXT NOT
    NULL, step_index INTEGER NOT NULL, attempt INTEGER NOT NULL, status TEXT NOT NULL, input_hash TEXT,
    output_hash TEXT, output_data TEXT, output_data_ref TEXT, error_json TEXT, started_at TEXT,
    completed_at TEXT, duration_ms REAL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE routing_events (
    event_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, state_id TEXT NOT NULL, edge_id TEXT NOT
    NULL, mode TEXT NOT NULL, reason_json TEXT, created_at TEXT NOT NULL, commit_no INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE token_outcomes (
    outcome_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, outcome TEXT NOT
    NULL, is_terminal INTEGER NOT NULL, sink_name TEXT, sink_row INTEGER, batch_id TEXT, error_json
    TEXT, recorded_at TEXT NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoints (
    checkpoint_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    sequence_number INTEGER NOT NULL, row_id TEXT, token_id TEXT, message TEXT NOT NULL, created_at TEXT
    NOT NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    batch_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, node_id TEXT NOT NULL, trigger_type TEXT
    NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, completed_at TEXT, commit_no INTEGER NOT
    NULL) WITHOUT ROWID;
CREATE TABLE batch_members (
    run_id TEXT NOT NULL, batch_id TEXT NOT NULL, token_id TEXT NOT NULL, ordinal INTEGER NOT NULL,
    member_data TEXT, commit_no INTEGER NOT NULL, PRIMARY KEY (batch_id, token_id)) WITHOUT ROWID;
CREATE TABLE calls (
    call_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, state_id TEXT NOT NULL, call_index INTEGER
    NOT NULL, call_type TEXT NOT NULL, status TEXT NOT NULL, request_hash TEXT, request_data TEXT,
    response_hash TEXT, response_data TEXT, latency_ms REAL, created_at TEXT NOT NULL, commit_no INTEGER
    NOT NULL) WITHOUT ROWID;
CREATE TABLE validation_errors (
    error_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, row_id TEXT, node_id TEXT NOT NULL, error
    TEXT NOT NULL, raw_data TEXT, line INTEGER, destination TEXT, created_at TEXT NOT NULL, commit_no
    INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE transform_errors (
    error_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, token_id TEXT NOT NULL, node_id TEXT NOT
    NULL, error_json TEXT, destination TEXT, created_at TEXT NOT NULL, commit_no INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE artifacts (
    artifact_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, node_id TEXT NOT NULL, kind TEXT NOT
    NULL, path TEXT, size_bytes INTEGER, content_hash TEXT, created_at TEXT NOT NULL, commit_no INTEGER
    NOT NULL) WITHOUT ROWID;
CREATE TABLE operator_actions (
    action_id TEXT NOT NULL PRIMARY KEY, run_id TEXT NOT NULL, user TEXT NOT NULL, uid INTEGER,
    command_line TEXT NOT NULL, reason TEXT, action TEXT NOT NULL, detail TEXT, created_at TEXT NOT
    NULL, commit_no INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE commits (
    run_id TEXT NOT NULL, commit_no INTEGER NOT NULL, attempt INTEGER NOT NULL, previous_digest TEXT NOT
    NULL, digest TEXT NOT NULL, record_count INTEGER NOT NULL, committed_at TEXT NOT NULL, signature
    TEXT, layout INTEGER, PRIMARY KEY (run_id, commit_no)) WITHOUT ROWID;
CREATE TABLE commit_tables (
    run_id TEXT NOT NULL, commit_no INTEGER NOT NULL, table_name TEXT NOT NULL, record_count INTEGER NOT
    NULL, digest TEXT NOT NULL, marks BLOB NOT NULL, purgeable_digest TEXT, purgeable_marks BLOB,
    PRIMARY KEY (run_id, commit_no, table_name)) WITHOUT ROWID;
""",
}
"""By version, the statements that created it."""
