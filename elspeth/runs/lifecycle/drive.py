"""Drives one attempt of a run from its plan to its end: the tree of actors, signals, and the wait.

A fresh start and a resume differ in what the audit role is told to begin; everything else is this one path.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pykka
from msgspec import structs

from actors.crash_points import crash_point
from actors.places.local.fork_server import ForkServer
from actors.places.local.identity import Identity
from actors.places.local.oom import address_space_limit
from actors.spec import ChildSpec
from actors.strategy import RestartIntensity
from actors.supervisor import Supervisor
from elspeth.audit.fencing import require_not_taken_over
from elspeth.coordinator.coordinator import TICK_SECONDS, Coordinator
from elspeth.coordinator.exit_reasons import Limits
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE, stage_name
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.progress import Progress
from elspeth.coordinator.topology import AttemptOutcome, Predecessor, Topology
from elspeth.errors import ENDING_SIGNALS, ElspethError, Interrupted, TakenOver, stopped_by
from elspeth.execution.retry import RetryPolicy
from elspeth.graph.known_fields import known_fields, unlike_fields
from elspeth.outputs import SinkState
from elspeth.roles.plan import AuditPlan, Plan, encode_plan
from elspeth.runs.lifecycle.file_roles import own_files
from elspeth.runs.lifecycle.fork_server import fork_server
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.replaced_files import of_no_run

POLL_SECONDS = 0.05
SHUTDOWN_SHARE = 0.3
"""Of the time that stopping may take: what the children get to end, after the rows in hand and the last commit."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt ended. `error` is None if the run is complete."""

    run_id: str
    error: ElspethError | None
    progress: Progress


def plan_of(
    pipeline: Pipeline, run_id: str, attempt: int, database: Path, *, sinks: Mapping[str, SinkState],
    replace_outputs: bool = False, log_format: str = "text", log_level: str = "WARNING",
) -> Plan:  # fmt: skip
    """What source, workers, stages and sinks are told. `sinks` is where the outputs stand before the attempt."""
    settings = pipeline.settings
    retry = settings.retry
    return Plan(
        run_id=run_id,
        attempt=attempt,
        graph=pipeline.graph,
        working_directory=str(Path.cwd()),
        state_directory=str(state_directory(pipeline).absolute()),
        database=str(database.absolute()),
        plugin_files=tuple(str(file) for file in settings.plugins),
        retry=RetryPolicy(
            retry.max_attempts, retry.initial_delay_seconds, retry.max_delay_seconds, retry.exponential_base
        ),
        payload_base=settings.payload_store.base_path,
        inline_limit=settings.payload_store.inline_limit_bytes,
        headers=pipeline.headers,
        fields=known_fields(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()),
        unlike=unlike_fields(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()),
        keeps_replaced=of_no_run(database, sinks),
        secrets=dict(pipeline.loaded.credentials),
        references=pipeline.references(),
        other_files={
            str(role.path.absolute()): role.what
            for role in own_files(settings, pipeline.plugins.values(), pipeline.loaded.path)
        },
        replace_outputs=replace_outputs,
        log_format=log_format,
        log_level=log_level,
    )


def state_directory(pipeline: Pipeline) -> Path:
    """Where a run keeps what is neither output nor audit: cut tails, large payloads."""
    return Path(pipeline.settings.payload_store.base_path).parent


def policy_of(pipeline: Pipeline) -> Policy:
    """The flow's numbers, from the settings."""
    settings = pipeline.settings
    checkpoint = settings.checkpoint
    pools = [node.pool_size for node in pipeline.graph.of_kind("transform")]
    return Policy(
        frequency=checkpoint.frequency,
        interval=checkpoint.checkpoint_interval or 1000,
        max_rows=checkpoint.max_rows,
        max_bytes=checkpoint.max_bytes,
        workers=settings.concurrency.max_workers,
        poison_attempts=settings.supervisor.poison_attempts,
        pool_size=max(pools, default=1),
    )


def topology_of(
    pipeline: Pipeline, plan: Plan, audit: AuditPlan, *, cautious: bool = False, leftovers: tuple[Identity, ...] = (),
    takes_over: Predecessor | None = None,
) -> Topology:  # fmt: skip
    """Who plays in this attempt."""
    supervisor = pipeline.settings.supervisor
    hang = supervisor.hang_timeout_seconds
    argument = encode_plan(plan)
    limit = supervisor.worker_memory_limit_mb

    def spec(name: str, target: str, argument: bytes, shutdown_seconds: float = 5.0) -> ChildSpec:
        # Temporary: the coordinator restarts it, when it has drawn its conclusions from the death.
        title = f"elspeth {plan.run_id} {name}"
        return ChildSpec(
            name, f"elspeth.roles.{target}", argument, "temporary", shutdown_seconds=shutdown_seconds,
            hang_seconds=hang, title=title,
        )  # fmt: skip

    def deciding(name: str, target: str) -> ChildSpec:
        memory = limit * 1024 * 1024 if limit else None
        return replace(spec(name, target, argument, 1.0), expendable=True, memory_limit_bytes=memory)

    stateful = pipeline.graph.stateful
    return Topology(
        audit=spec(AUDIT, "audit:AuditRole", encode_plan(audit)),
        audit_successor=spec(AUDIT, "audit:AuditRole", encode_plan(structs.replace(audit, on_record=True))),
        sinks=spec(SINKS, "sink:SinkRole", argument, 2.0),
        source=spec(SOURCE, "source:SourceRole", argument, 0.2),
        stages={
            stage: deciding(stage_name(stage), "stage:StageRole") for stage, ordered in enumerate(stateful) if ordered
        },
        worker=lambda number: deciding(f"worker-{number}", "worker:WorkerRole"),
        policy=policy_of(pipeline),
        stateful=stateful,
        max_seconds=pipeline.settings.checkpoint.max_seconds,
        limits=Limits(hang, limit * 1024 * 1024 if limit else None, address_space_limit()),
        cautious=cautious,
        leftovers=leftovers,
        sizes=pipeline.sizes(),
        takes_over=takes_over,
        concealment=pipeline.loaded.concealment,
        fence=lambda: require_not_taken_over(Path(plan.database), plan.run_id, plan.attempt),
        stop_seconds=supervisor.shutdown_seconds,
    )


def drive(
    pipeline: Pipeline,
    topology: Topology,
    run_id: str,
    *,
    watch: Callable[[Progress], None] = lambda progress: None,
    on_output: Callable[[str, str], None] | None = None,
    children: ForkServer | None = None,
) -> AttemptResult:
    """Drive the attempt to its end. `watch` is called some twenty times a second, in the main thread.

    Processes are forked from `children`, which must live as long; without it, from one that is started here.

    SIGINT, SIGTERM and SIGHUP stop the run in order, a second one at once. When this returns, no child is left.
    """
    own = None if children is not None else fork_server()
    settings = pipeline.settings.supervisor
    progress = Progress(pipeline.size(), topology.concealment)
    outcome = AttemptOutcome()
    coordinator = Coordinator.start(topology, progress, outcome)
    intensity = RestartIntensity(settings.max_restarts, settings.within_seconds)
    failures: list[BaseException] = []
    supervisor = Supervisor.start(
        coordinator, intensity, on_output or _print, TICK_SECONDS, settings.watchdog_seconds, True, children or own,
        on_error=failures.append,
    )  # fmt: skip
    try:
        proxy: Any = supervisor.proxy()
        with _signals() as arrived:
            coordinator.proxy().begin(proxy, proxy.outbox.get()).get()
            while not outcome.done.wait(POLL_SECONDS):
                while arrived:
                    with contextlib.suppress(pykka.ActorDeadError):
                        coordinator.proxy().stop_run(arrived.popleft())
                watch(progress)
            watch(progress)
            crash_point("main.before_shutdown")
            proxy.shutdown(SHUTDOWN_SHARE * settings.shutdown_seconds).get()
            crash_point("main.after_shutdown")
    except pykka.ActorDeadError as dead:
        if failures:  # the supervisor could not go on, for want of memory perhaps: that is what there is to say
            raise failures[0] from dead
        raise
    finally:
        supervisor.stop()
        coordinator.stop()
        if own is not None:
            own.close()
    error = outcome.error and topology.concealment.error(_cause(outcome.error, topology))
    return AttemptResult(run_id, error, progress)


def _cause(error: ElspethError, topology: Topology) -> ElspethError:
    """A tree that was taken over sees children die that others killed: that is the cause, not what came of it."""
    try:
        topology.fence()
    except TakenOver as taken_over:
        return taken_over
    except ElspethError:
        return error  # nobody can tell now
    return error


def _print(child: str, line: str) -> None:
    sys.stderr.write(f"{child}: {line}\n")


@contextlib.contextmanager
def _signals() -> Iterator[deque[Interrupted]]:
    """What is to end the run, as it arrives, in place of what it does otherwise.

    A terminal that goes away may say so twice, itself and by its shell: that is one SIGHUP.
    """
    arrived: deque[Interrupted] = deque()
    numbers = [signal.SIGINT, *(number for number in ENDING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)]
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        # It may run in the middle of anything that this thread does, another signal's note among it: no lock is taken.
        if number != signal.SIGHUP or not noted:
            arrived.append(stopped_by(number))
        noted.append(number)

    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
