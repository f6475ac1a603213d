"""What is recorded of a run and of an attempt when they begin, as values: columns of `runs` and `run_attempts`."""

from __future__ import annotations

from dataclasses import asdict, dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDriver:
    """The main process of an attempt, by the columns of `run_attempts`.

    `process_start_time` is in seconds since 1970, for people; `process_start_ticks` in clock ticks since boot, which
    setting the clock does not move, is what is compared. `pid_namespace` is `pid:[INODE]`. `lock_path` is absolute.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart(AttemptDriver):
    """An attempt as it begins. `overrides_json`: what the command line changed for it, as JSON; None for the first."""

    overrides_json: str | None = None

    def to_columns(self) -> dict[str, ColumnValue]:
        """The values for the columns of `run_attempts`."""
        return asdict(self)
