"""What a child process is told when it starts: everything it needs to know of the run, as one frozen value."""

from __future__ import annotations

from typing import Any

import msgspec

from elspeth.audit.store.attempts.starts import AttemptStart, RunStart
from elspeth.calls.services import Services
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.execution.retry import RetryPolicy
from elspeth.graph.model import Graph
from elspeth.roles.baggage import Baggage
from elspeth.roles.flush_mark import Flushes


class WorkerPlace(msgspec.Struct, frozen=True):
    """A worker's place among those that share what the run may have in flight: number `number` (from 0) of so many."""

    number: int = 0
    workers: int = 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The run as its children see it. Paths are absolute, or relative to `working_directory`.

    `database` is what `wire` makes of its place: it may hold a password, and is never written down.
    """

    run_id: str
    attempt: int
    graph: Graph
    working_directory: str
    state_directory: str
    database: str
    plugin_files: tuple[str, ...] = ()
    retry: RetryPolicy = RetryPolicy()
    payload_base: str = "state/payloads"
    inline_limit: int = 65536
    headers: dict[str, str] = {}  # identifier -> name as found in the input
    names: dict[str, dict[str, str]] = {}  # node -> names of the input in its expressions, and those of the fields
    fields: dict[str, tuple[str, ...]] = {}  # sink -> the fields of its rows, where they are known
    unlike: dict[str, tuple[str, ...]] = {}  # sink -> fields that only some of its rows have
    inputs: dict[str, tuple[tuple[str, int, int], ...]] = {}  # source -> its files, where it reads many
    keeps_replaced: tuple[str, ...] = ()  # sinks that copy the file whose place they take
    secrets: dict[str, str] = {}  # each credential, and what stands for it in anything written
    references: dict[str, str] = {}  # path -> SHA-256 (hex): files that decide results, as the attempt began with them
    other_files: dict[str, str] = {}  # path -> what it is: files that no output may be
    replace_outputs: bool = False  # a take-over from a process that still holds the outputs
    log_format: str = "text"
    log_level: str = "WARNING"
    worker: WorkerPlace = WorkerPlace()
    services: Services = Services()
    calls_lost_before: int = 0  # for rows before this one, calls may stand in a journal on another machine
    baggage: Baggage | None = None  # of a worker on another machine
    flushes: Flushes | None = None  # of batches that may kill the whole run


class AuditPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit process is told: the database (see `Plan`), and the attempt that it has to prove or to begin.

    `begins` is who drives it; `run` is given for the first attempt of a run. `records` go into the commit that begins
    the attempt. `on_record`: the attempt has begun, so there is nothing to begin and no database to create.
    """

    run_id: str
    database: str
    attempt: int
    begins: AttemptStart
    run: RunStart | None = None
    records: dict[str, list[tuple[Any, ...]]] = {}
    checkpoint: Checkpoint | None = None
    checkpoints: bool = True
    supersedes: tuple[tuple[str, int], ...] = ()  # unfinished runs that are given up for this one
    reason: str | None = None
    inputs: dict[str, str] = {}  # source -> path
    stdin: str | None = None  # the source whose path is that of what was kept of standard input
    sets: dict[str, tuple[str, int]] = {}  # source -> the path that stands for many files, and their bytes
    packed: tuple[str, ...] = ()  # sources whose offsets do not count the bytes of the file as it lies there
    database_mode: int | None = None  # of a database that is created
    journal: str | None = None
    payload_base: str = "state/payloads"
    working_directory: str = "."
    log_format: str = "text"
    log_level: str = "WARNING"
    on_record: bool = False


class _Secrets(msgspec.Struct):
    """What any of the plans says of credentials; whatever else it says is skipped."""

    secrets: dict[str, str] = {}


_encode = msgspec.msgpack.Encoder().encode
_plan = msgspec.msgpack.Decoder(Plan)
_audit_plan = msgspec.msgpack.Decoder(AuditPlan)
_secrets = msgspec.msgpack.Decoder(_Secrets)


def encode_plan(plan: Plan | AuditPlan) -> bytes:
    """The plan as the argument of a child."""
    return _encode(plan)


def decode_secrets(argument: bytes) -> dict[str, str]:
    """The credentials that a child's argument knows of."""
    return _secrets.decode(argument).secrets


def decode_plan(argument: bytes) -> Plan:
    return _plan.decode(argument)


def decode_audit_plan(argument: bytes) -> AuditPlan:
    return _audit_plan.decode(argument)
