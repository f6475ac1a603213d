"""What is recorded of a run and of an attempt when they begin, as values: columns of `runs` and `run_attempts`."""

from __future__ import annotations

import msgspec

ColumnValue = str | int | float | None
"""What a column of those tables holds."""


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it begins. Hashes are SHA-256 in hex; `settings_json` is the document with credentials concealed."""

    run_id: str
    settings_path: str | None
    settings_json: str
    settings_hash: str
    pipeline_hash: str
    working_directory: str
    elspeth_version: str
    canonical_version: str

    def to_columns(self) -> dict[str, ColumnValue]:
        """The values for the columns of `runs`."""
        return msgspec.structs.asdict(self)


class AttemptStart(msgspec.Struct, frozen=True, kw_only=True):
    """Who drives an attempt; see `elspeth.runs.liveness.identity.AttemptIdentity` for what each field says.

    `overrides_json` holds what the command line changed for it, as JSON: None for the first attempt of a run.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_start_time: float
    process_start_ticks: int
    container_id: str | None
    user: str
    uid: int
    command_line: str
    lock_path: str
    overrides_json: str | None = None

    def to_columns(self) -> dict[str, ColumnValue]:
        """The values for the columns of `run_attempts`."""
        return msgspec.structs.asdict(self)
