"""The audit database's tables, as peewee models: names and columns that operators' queries are written against.

Tables are `WITHOUT ROWID` and their keys begin with the run's id, then the row's: all records of a run, and of a row
within a table, lie next to each other, in the order in which they are written. No second index is needed:

    what happened to a token     keys of node_states and token_outcomes begin with the token's id
    the children of a token      their ids begin with the parent's id
    the batch of a token         token_outcomes.batch_id
    the latest checkpoint        the last key in the run's range

Only `schema` beside it imports this module, and only to create or compare a schema: peewee costs start-up time.
"""

from __future__ import annotations

from peewee import BlobField, CompositeKey, FloatField, IntegerField, Model, SqliteDatabase, TextField


class Table(Model):
    """What all tables share: no hidden row number, the key is the order on disk."""

    class Meta:
        database = SqliteDatabase(None)
        table_settings = ["WITHOUT ROWID"]
        legacy_table_names = False


class Runs(Table):
    """One per run. `events.RUN_STATE` names the columns that change; each change is an event."""

    run_id = TextField(primary_key=True)
    status = TextField()  # running, completed, failed, interrupted
    started_at = TextField()
    completed_at = TextField(null=True)  # NULL while the run can be resumed
    attempt = IntegerField()
    settings_path = TextField(null=True)
    settings_json = TextField()
    settings_hash = TextField()
    pipeline_hash = TextField()
    working_directory = TextField()
    elspeth_version = TextField()
    canonical_version = TextField()
    superseded_by = TextField(null=True)
    failure = TextField(null=True)
    commit_no = IntegerField()


class RunAttempts(Table):
    """One per attempt to drive a run. The heartbeat is the one thing in the database that the chain leaves out."""

    run_id = TextField()
    attempt = IntegerField()
    host = TextField(null=True)
    boot_id = TextField(null=True)
    pid_namespace = TextField(null=True)
    pid = IntegerField(null=True)
    process_start_time = FloatField(null=True)  # seconds since 1970, as psutil gives it
    process_start_ticks = IntegerField(null=True)  # clock ticks since boot: setting the clock does not move it
    container_id = TextField(null=True)
    user = TextField(null=True)
    uid = IntegerField(null=True)
    command_line = TextField(null=True)
    lock_path = TextField(null=True)
    overrides_json = TextField(null=True)  # settings changed for this attempt alone
    started_at = TextField()
    heartbeat_number = IntegerField(default=0)
    heartbeat_at = TextField(null=True)
    ended_at = TextField(null=True)
    end_reason = TextField(null=True)
    commit_no = IntegerField()

    class Meta:
        primary_key = CompositeKey("run_id", "attempt")


class SupervisionEvents(Table):
    event_id = TextField(primary_key=True)
    run_id = TextField()
    attempt = IntegerField()
    child = TextField(null=True)  # NULL: the run itself
    event = TextField()
    pid = IntegerField(null=True)
    detail = TextField(null=True)  # JSON
    at = TextField()
    commit_no = IntegerField()


class Nodes(Table):
    node_id = TextField()
    run_id = TextField()
    plugin_name = TextField()
    node_type = TextField()
    plugin_version = TextField(null=True)
    determinism = TextField(null=True)
    source_hash = TextField(null=True)
    config_json = TextField(null=True)
    config_hash = TextField(null=True)
    sequence = IntegerField()
    stage = IntegerField(null=True)
    commit_no = IntegerField()

    class Meta:
        primary_key = CompositeKey("run_id", "node_id")


class Edges(Table):
    edge_id = TextField()
    run_id = TextField()
    from_node_id = TextField()
    to_node_id = TextField()
    label = TextField()
    mode = TextField()
    commit_no = IntegerField()

    class Meta:
        primary_key = CompositeKey("run_id", "edge_id")


class Rows(Table):
    row_id = TextField(primary_key=True)
    run_id = TextField()
    row_index = IntegerField()  # counted over all sources
    source_node_id = TextField()
    source_data_hash = TextField(null=True)
    source_data = TextField(null=True)
    source_data_ref = TextField(null=True)  # SHA-256 in the payload store
    line = IntegerField(null=True)
    created_at = TextField()
    commit_no = IntegerField()


class Tokens(Table):
    token_id = TextField(primary_key=True)
    run_id = TextField()
    row_id = TextField()
    branch_name = TextField(null=True)
    created_at = TextField()
    commit_no = IntegerField()
    row_index = IntegerField(null=True)  # of a view: its record does not say so again


class TokenParents(Table):
    run_id = TextField()
    token_id = TextField()
    parent_token_id = TextField()
    ordinal = IntegerField()
    commit_no = IntegerField()

    class Meta:
        primary_key = CompositeKey("token_id", "parent_token_id")


class NodeStates(Table):
    state_id = TextField(primary_key=True)
    run_id = TextField()
    token_id = TextField()
    node_id = TextField()
    step_index = IntegerField()
    attempt = IntegerField()
    status = TextField()
    input_hash = TextField(null=True)
    output_hash = TextField(null=True)
    output_data = TextField(null=True)
    output_data_ref = TextField(null=True)
    error_json = TextField(null=True)
    started_at = TextField(null=True)
    completed_at = TextField(null=True)
    duration_ms = FloatField(null=True)
    commit_no = IntegerField()
    row_index = IntegerField(null=True)  # of a view: its record does not say so again


class RoutingEvents(Table):
    event_id = TextField(primary_key=True)
    run_id = TextField()
    state_id = TextField()
    edge_id = TextField()
    mode = TextField()
    reason_json = TextField(null=True)
    created_at = TextField()
    commit_no = IntegerField()
    row_index = IntegerField(null=True)  # of a view: its record does not say so again


class TokenOutcomes(Table):
    outcome_id = TextField(primary_key=True)
    run_id = TextField()
    token_id = TextField()
    outcome = TextField()
    is_terminal = IntegerField()
    sink_name = TextField(null=True)
    sink_row = IntegerField(null=True)  # data rows of the output, counted from 1
    batch_id = TextField(null=True)
    error_json = TextField(null=True)
    recorded_at = TextField()
    commit_no = IntegerField()
    row_index = IntegerField(null=True)  # of a view: its record does not say so again


class Checkpoints(Table):
    checkpoint_id = TextField(primary_key=True)
    run_id = TextField()
    attempt = IntegerField()
    sequence_number = IntegerField()
    row_id = TextField(null=True)
    token_id = TextField(null=True)
    message = TextField()  # JSON
    created_at = TextField()
    commit_no = IntegerField()


class Batches(Table):
    batch_id = TextField(primary_key=True)
    run_id = TextField()
    node_id = TextField()
    trigger_type = TextField()
    status = TextField()
    created_at = TextField()
    completed_at = TextField(null=True)
    commit_no = IntegerField()


class BatchMembers(Table):
    run_id = TextField()
    batch_id = TextField()
    token_id = TextField()
    ordinal = IntegerField()
    member_data = TextField(null=True)  # a buffered token's data, from which an open batch is restored
    commit_no = IntegerField()

    class Meta:
        primary_key = CompositeKey("batch_id", "token_id")


class Calls(Table):
    call_id = TextField(primary_key=True)
    run_id = TextField()
    state_id = TextField()
    call_index = IntegerField()
    call_type = TextField()
    status = TextField()
    request_hash = TextField(null=True)
    request_data = TextField(null=True)
    response_hash = TextField(null=True)
    response_data = TextField(null=True)
    latency_ms = FloatField(null=True)
    created_at = TextField()
    commit_no = IntegerField()


class ValidationErrors(Table):
    error_id = TextField(primary_key=True)
    run_id = TextField()
    row_id = TextField(null=True)
    node_id = TextField()
    error = TextField()
    raw_data = TextField(null=True)
    line = IntegerField(null=True)
    destination = TextField(null=True)
    created_at = TextField()
    commit_no = IntegerField()


class TransformErrors(Table):
    error_id = TextField(primary_key=True)
    run_id = TextField()
    token_id = TextField()
    node_id = TextField()
    error_json = TextField(null=True)
    destination = TextField(null=True)
    created_at = TextField()
    commit_no = IntegerField()


class Artifacts(Table):
    """One per input and output."""

    artifact_id = TextField(primary_key=True)
    run_id = TextField()
    node_id = TextField()
    kind = TextField()
    path = TextField(null=True)
    size_bytes = IntegerField(null=True)
    content_hash = TextField(null=True)
    created_at = TextField()
    commit_no = IntegerField()


class OperatorActions(Table):
    """Who did what to a run from outside it."""

    action_id = TextField(primary_key=True)
    run_id = TextField()
    user = TextField()
    uid = IntegerField(null=True)
    command_line = TextField()
    reason = TextField(null=True)
    action = TextField()
    detail = TextField(null=True)  # JSON
    created_at = TextField()
    commit_no = IntegerField()


class Commits(Table):
    """One per transaction of a run: the links of the chain."""

    run_id = TextField()
    commit_no = IntegerField()
    attempt = IntegerField()
    previous_digest = TextField()
    digest = TextField()
    record_count = IntegerField()
    committed_at = TextField()
    signature = TextField(null=True)  # HMAC-SHA-256 of the digest, with the key
    layout = IntegerField(null=True)  # in which the records were digested; NULL: the first one

    class Meta:
        primary_key = CompositeKey("run_id", "commit_no")


class CommitTables(Table):
    """What a commit wrote into one table: enough to find the culprit, should the digest not match."""

    run_id = TextField()
    commit_no = IntegerField()
    table_name = TextField()
    record_count = IntegerField()
    digest = TextField()
    marks = BlobField()  # four bytes a record, in key order
    purgeable_digest = TextField(null=True)
    purgeable_marks = BlobField(null=True)

    class Meta:
        primary_key = CompositeKey("run_id", "commit_no", "table_name")


TABLES: tuple[type[Table], ...] = (
    Runs, RunAttempts, SupervisionEvents, Nodes, Edges, Rows, Tokens, TokenParents, NodeStates, RoutingEvents,
    TokenOutcomes, Checkpoints, Batches, BatchMembers, Calls, ValidationErrors, TransformErrors, Artifacts,
    OperatorActions, Commits, CommitTables,
)  # fmt: skip
"""What people read, by names and columns. Those of `mapping.tables.HELD_IN` are views on small records; in a database
of an earlier layout they are tables."""
