"""The settings as typed, frozen values; what is allowed in each section and what holds when it is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from elspeth.settings.cluster import Cluster
from elspeth.settings.section import Name, Options, Seconds, Section, Text, Ways, Whole, several, wrong
from elspeth.settings.services import Budget, Provider, RateLimit
from elspeth.settings.telemetry import Telemetry


def _names_as_mapping(value: object) -> object:
    # A list of names is short for a mapping of each name to itself; what is neither is left for the type check.
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        twice = sorted({item for item in value if value.count(item) > 1})
        if twice:
            raise wrong(f"{twice[0]!r} stands here twice")
        return {item: item for item in value}
    return value


def _names_as_list(value: object) -> object:
    # Queues may be described (`queues: {inbound: {description: ...}}`); only their names matter.
    return list(value) if isinstance(value, dict) else value


class StepSection(Section):
    """What everything that rows pass through has: a plugin's options, and where errors go.

    `on_error` and the like stand here wherever the file has them, beside `options` or inside.
    """

    options: Options
    required_fields: tuple[str, ...] = Field(default=(), strict=False)
    guaranteed_fields: tuple[str, ...] = Field(default=(), strict=False)
    validate_input: bool = False


class Source(StepSection):
    """Where rows come from. `on_validation_failure` is a sink's name, or `discard`."""

    plugin: Text
    name: Name | None = None
    on_success: Ways | None = None
    on_validation_failure: Text | None = None


class Transform(StepSection):
    """A step that changes rows. `pool_size` is the number of rows that a slow one may have in flight in the run."""

    plugin: Text
    name: Name | None = None
    input: Text | None = None
    on_success: Ways | None = None
    on_error: Text | None = None
    pool_size: int = Field(default=1, ge=1, le=1024)


class Gate(Section):
    """A decision: `routes` maps a label (`true`, `false`, else the condition's value as text) to where it leads."""

    name: Name
    condition: Text
    routes: dict[str, Ways]
    fork_to: tuple[Name, ...] = Field(default=(), strict=False)
    input: Text | None = None
    on_success: Ways | None = None
    on_error: Text | None = None


class Trigger(Section):
    """When a batch closes, whichever comes first; the end of the source always closes it."""

    count: Whole | None = None
    timeout_seconds: Seconds | None = None
    condition: Text | None = None


class Aggregation(StepSection):
    """A step that sees a batch of rows at once."""

    plugin: Text
    name: Name
    trigger: Trigger = Trigger()
    output_mode: Literal["transform", "passthrough"] = "transform"
    expected_output_count: Annotated[int, Field(ge=0)] | None = None
    input: Text | None = None
    on_success: Ways | None = None
    on_error: Text | None = None


class Coalesce(Section):
    """Where the branches of a fork meet again. `branches` maps a branch to the connection on which it arrives."""

    name: Name
    branches: Annotated[dict[Name, Text], BeforeValidator(_names_as_mapping), Field(min_length=1)]
    policy: Literal["require_all", "quorum", "best_effort", "first"] = "require_all"
    quorum_count: Whole | None = None
    timeout_seconds: Seconds | None = None
    merge: Literal["union", "nested", "select"] = "union"
    union_collision_policy: Literal["last_wins", "first_wins", "fail"] = "last_wins"
    select_branch: str | None = None
    on_success: Ways | None = None
    on_error: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Coalesce:
        names, count = ", ".join(self.branches), f"1 to {len(self.branches)}"
        found = []
        if self.policy == "quorum" and self.quorum_count is None:
            found.append(wrong("policy quorum needs quorum_count", key="policy", allowed=count))
        if self.quorum_count is not None and self.quorum_count > len(self.branches):
            number = str(self.quorum_count)
            found.append(wrong("more than there are branches", key="quorum_count", found=number, allowed=count))
        if self.merge == "select" and self.select_branch is None:
            found.append(wrong("merge select needs select_branch", key="merge", allowed=names))
        if self.select_branch is not None and self.select_branch not in self.branches:
            branch = self.select_branch
            found.append(wrong("is no branch of this coalesce", key="select_branch", found=branch, allowed=names))
        if found:
            raise several(found)
        return self


class Sink(StepSection):
    """Where rows end. `on_write_failure` is another sink's name, or `discard`.

    `error_fields`: rows that a step or another sink refused, and sent here, carry `_error` and `_node`.
    """

    plugin: Text
    on_write_failure: Text | None = None
    error_fields: bool = True


class Export(Section):
    """Hands the audit records to a sink when the run ends.

    `signing_secret_ref` is the variable with the key. `record_type`: each record says of which kind it is.
    """

    enabled: bool = False
    sink: Text | None = None
    format: Literal["json", "csv"] = "json"
    sign: bool = False
    signing_secret_ref: Text | None = None
    record_type: bool = True

    @model_validator(mode="after")
    def _has_a_sink(self) -> Export:
        if self.enabled and self.sink is None:
            raise wrong("an export needs the name of a sink", key="enabled", allowed="sink: NAME beside it")
        return self


class Landscape(Section):
    """The audit database, and copies of what is in it. `mode` is that of a database that is created, octal."""

    url: str = "sqlite:///./runs/audit.db"
    mode: Annotated[str, StringConstraints(pattern="^0?[0-7]{3}$")] | None = None
    export: Export = Export()
    dump_to_jsonl: bool = False
    dump_to_jsonl_path: Text | None = None

    @model_validator(mode="after")
    def _can_be_opened(self) -> Landscape:
        scheme, _, rest = self.url.partition("://")
        file = scheme == "sqlite" and rest.startswith("/") and rest not in ("/", "/:memory:")
        if not file and (scheme not in ("postgresql", "postgres") or not rest):
            allowed = "sqlite:///PATH (a file) or postgresql://USER@HOST/DATABASE"
            raise wrong("this audit database cannot be used", key="url", allowed=allowed)
        return self


class Checkpoint(Section):
    """How often progress becomes durable. `max_rows`, `max_bytes` and `max_seconds` name the latest moment."""

    enabled: bool = True
    frequency: Literal["every_row", "every_n", "aggregation_only"] = "every_row"
    checkpoint_interval: Whole | None = None
    max_rows: Whole = 10_000
    max_bytes: Annotated[int, Field(ge=1)] = 32 * 1024 * 1024
    max_seconds: Seconds = 5.0

    @model_validator(mode="after")
    def _interval_is_given(self) -> Checkpoint:
        if self.frequency == "every_n" and self.checkpoint_interval is None:
            raise wrong("every_n needs checkpoint_interval", key="frequency", allowed="checkpoint_interval: ROWS")
        return self


class Concurrency(Section):
    """How many worker processes there may be here; they are started on demand. 0: only those of a cluster."""

    max_workers: int = Field(default=4, ge=0, le=1024)


class Supervisor(Section):
    """When a child that died is started again, and when the run gives up. None switches a limit off."""

    max_restarts: int = Field(default=3, ge=0, le=1_000_000)
    within_seconds: Seconds = 60.0
    poison_attempts: Whole = 3
    hang_timeout_seconds: Seconds | None = 300.0
    worker_memory_limit_mb: Whole | None = None
    watchdog_seconds: Seconds | None = 120.0
    shutdown_seconds: Seconds = 8.0


class Retry(Section):
    """How often, and after which delays, an error that a plugin calls transient is tried again."""

    max_attempts: int = Field(default=3, ge=1, le=1000)
    initial_delay_seconds: Annotated[float, Field(ge=0, le=10**6)] = 1.0
    max_delay_seconds: Annotated[float, Field(ge=0, le=10**6)] = 60.0
    exponential_base: Annotated[float, Field(ge=1, le=1000)] = 2.0


class PayloadStore(Section):
    """Where a row's data goes when it is larger than `inline_limit_bytes`."""

    backend: Literal["filesystem"] = "filesystem"
    base_path: Text = "state/payloads"
    retention_days: Whole | None = 90
    inline_limit_bytes: Annotated[int, Field(ge=0)] = 64 * 1024


class Settings(Section):
    """One pipeline, as its file describes it. Exactly one of `source` and `sources` is given."""

    name: str | None = None
    description: str | None = None
    source: Source | None = None
    sources: dict[Name, Source] = Field(default_factory=dict)
    transforms: tuple[Transform, ...] = Field(default=(), strict=False)
    gates: tuple[Gate, ...] = Field(default=(), strict=False)
    aggregations: tuple[Aggregation, ...] = Field(default=(), strict=False)
    coalesce: tuple[Coalesce, ...] = Field(default=(), strict=False)
    queues: Annotated[tuple[Name, ...], BeforeValidator(_names_as_list), Field(strict=False)] = ()
    sinks: dict[Name, Sink] = Field(min_length=1)
    default_sink: Text | None = None
    landscape: Landscape = Landscape()
    checkpoint: Checkpoint = Checkpoint()
    concurrency: Concurrency = Concurrency()
    cluster: Cluster | None = None
    supervisor: Supervisor = Supervisor()
    retry: Retry = Retry()
    payload_store: PayloadStore = PayloadStore()
    providers: dict[Name, Provider] = Field(default_factory=dict)
    rate_limit: RateLimit = RateLimit()
    budget: Budget = Budget()
    telemetry: Telemetry = Telemetry()
    plugins: tuple[Text, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _limits_belong_to_providers(self) -> Settings:
        for name in self.rate_limit.__pydantic_extra__ or {}:
            if name not in self.providers:
                raise wrong(
                    f"there is no provider {name!r} that this could be the limit of",
                    key="rate_limit",
                    found=name,
                    allowed=", ".join(self.providers) or "names in `providers`",
                )
        return self

    def named_sources(self) -> Mapping[str, Source]:
        """All sources by name, in the order in which their rows are taken; a single `source` is named `source`."""
        return self.sources if self.source is None else {self.source.name or "source": self.source}
