"""What the audit database answers, as frozen values: one class per kind of record that commands ask for."""

from __future__ import annotations

from dataclasses import dataclass

from elspeth.coordinator.checkpoint import Checkpoint, read_checkpoint


@dataclass(frozen=True, slots=True)
class Run:
    """A row of `runs`. `completed_at` is None while the run can be resumed."""

    run_id: str
    status: str
    started_at: str
    completed_at: str | None
    attempt: int
    settings_path: str | None
    settings_json: str
    settings_hash: str
    pipeline_hash: str
    working_directory: str
    elspeth_version: str
    canonical_version: str
    superseded_by: str | None
    failure: str | None

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to resume: completed, or replaced by a later run."""
        return self.status == "completed" or self.superseded_by is not None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `run_attempts`: who drove the run, since when, and how it ended (None: it never said)."""

    run_id: str
    attempt: int
    host: str | None
    boot_id: str | None
    pid_namespace: str | None
    pid: int | None
    process_start_time: float | None
    process_start_ticks: int | None
    container_id: str | None
    user: str | None
    uid: int | None
    command_line: str | None
    lock_path: str | None
    overrides_json: str | None
    started_at: str
    heartbeat_number: int
    heartbeat_at: str | None
    ended_at: str | None
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A row of `checkpoints`; `message` is JSON, which `read` understands."""

    checkpoint_id: str
    attempt: int
    sequence_number: int
    row_id: str | None
    token_id: str | None
    message: str
    created_at: str
    commit_no: int

    def read(self) -> Checkpoint:
        """What it says. Raises `NewerVersion` where a later Elspeth wrote it."""
        return read_checkpoint(self.message, self.checkpoint_id)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A row of `nodes`."""

    node_id: str
    plugin_name: str
    node_type: str
    plugin_version: str | None
    determinism: str | None
    source_hash: str | None
    config_json: str | None
    config_hash: str | None
    sequence: int
    stage: int | None


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """A row of `edges`."""

    edge_id: str
    from_node_id: str
    to_node_id: str
    label: str
    mode: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A row of `artifacts`: an input or output as it was when the run ended."""

    artifact_id: str
    node_id: str
    kind: str
    path: str | None
    size_bytes: int | None
    content_hash: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A row of `supervision_events`; `child` is None for what happened to the run itself, `detail` is JSON."""

    event_id: str
    attempt: int
    child: str | None
    event: str
    pid: int | None
    detail: str | None
    at: str


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """A row of `operator_actions`; `detail` is JSON."""

    action_id: str
    user: str
    uid: int | None
    command_line: str
    reason: str | None
    action: str
    detail: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A row of `commits`."""

    commit_no: int
    attempt: int
    previous_digest: str
    digest: str
    record_count: int
    committed_at: str
    signature: str | None
    layout: int | None
