"""Drives one attempt of a run from its plan to its end: the tree of actors, signals, and the wait.

A fresh start and a resume differ in what the audit role is told to begin; everything else is this one path.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pykka
from msgspec import structs

from actors.crash_points import crash_point
from actors.identity import Identity
from actors.places.local.fork_server import ForkServer
from actors.places.local.oom import address_space_limit
from actors.spec import ChildSpec
from actors.strategy import RestartIntensity
from actors.supervisor import Supervisor
from elspeth import __version__
from elspeth.audit.fencing import require_not_taken_over
from elspeth.audit.query.reference_files import ReferenceFiles
from elspeth.audit.store.place import Place, from_wire, wire
from elspeth.calls.journal.journal import journal_folder, left_behind
from elspeth.calls.services import Services
from elspeth.calls.totals import CallTotals
from elspeth.coordinator.attempt.marking import Marking
from elspeth.coordinator.attempt.topology import AttemptOutcome, Predecessor, Topology
from elspeth.coordinator.coordinator import TICK_SECONDS, Coordinator
from elspeth.coordinator.elsewhere.far_workers import ClusterTerms
from elspeth.coordinator.elsewhere.keeper import Keeper
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE, stage_name, worker_name
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.reporting.exit_reasons import Limits
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.coordinator.tally import Numbers
from elspeth.errors import ENDING_SIGNALS, ElspethError, Interrupted, TakenOver, stopped_by
from elspeth.execution.retry import RetryPolicy
from elspeth.graph.field_names import field_names
from elspeth.graph.known_fields import known_fields, unlike_fields
from elspeth.outputs import SinkState
from elspeth.roles.plan import AuditPlan, Plan, WorkerPlace, encode_plan
from elspeth.runs.lifecycle import file_sets
from elspeth.runs.lifecycle.file_roles import own_files
from elspeth.runs.lifecycle.fork_server import fork_server
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.replaced_files import of_no_run
from elspeth.runs.telemetry.exporting import Subject, exporting
from elspeth.runs.telemetry.metrics import Labels
from elspeth.settings import Settings

if TYPE_CHECKING:
    from elspeth.runs.lifecycle.cluster import FarSide

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
    pipeline: Pipeline, run_id: str, attempt: int, database: Place, *, sinks: Mapping[str, SinkState],
    references: ReferenceFiles, replace_outputs: bool = False, log_format: str = "text", log_level: str = "WARNING",
) -> Plan:  # fmt: skip
    """What source, workers, stages and sinks are told. `sinks` is where the outputs stand before the attempt,
    `references` what was kept of reference files."""
    settings = pipeline.settings
    retry = settings.retry
    return Plan(
        run_id=run_id,
        attempt=attempt,
        graph=pipeline.graph,
        working_directory=str(Path.cwd()),
        state_directory=str(state_directory(pipeline).absolute()),
        database=wire(database),
        plugin_files=tuple(str(file) for file in settings.plugins),
        retry=RetryPolicy(
            retry.max_attempts, retry.initial_delay_seconds, retry.max_delay_seconds, retry.exponential_base
        ),
        payload_base=settings.payload_store.base_path,
        inline_limit=settings.payload_store.inline_limit_bytes,
        headers=pipeline.headers,
        names=field_names(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()),
        fields=known_fields(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()),
        unlike=unlike_fields(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()),
        inputs=file_sets.present(pipeline),
        keeps_replaced=of_no_run(database, sinks),
        secrets=dict(pipeline.loaded.credentials),
        references={path: file.sha256 for path, file in references.items()},
        other_files={
            str(role.path.absolute()): role.what
            for role in own_files(settings, pipeline.plugins.values(), pipeline.loaded.path)
        },
        replace_outputs=replace_outputs,
        log_format=log_format,
        log_level=log_level,
        services=services_of(settings),
    )


def services_of(settings: Settings) -> Services:
    """The services that the settings name, for who asks them and for who grants it."""
    return Services(
        providers=tuple(provider.config(name) for name, provider in settings.providers.items()),
        limits={name: settings.rate_limit.limits(name) for name in settings.providers},
        budget=settings.budget.budget(),
        max_tries=settings.retry.max_attempts,
    )


def state_directory(pipeline: Pipeline) -> Path:
    """Where a run keeps what is neither output nor audit: cut tails, large payloads."""
    return Path(pipeline.settings.payload_store.base_path).parent


def forget_calls(pipeline: Pipeline, run_id: str) -> None:
    """Remove the journals of the calls of a run that is complete: everything in them is in the audit database."""
    crash_point("main.before_calls_forgotten")
    shutil.rmtree(journal_folder(state_directory(pipeline), run_id), ignore_errors=True)
    crash_point("main.after_calls_forgotten")


def policy_of(pipeline: Pipeline) -> Policy:
    """The flow's numbers, from the settings."""
    settings = pipeline.settings
    checkpoint = settings.checkpoint
    graph = pipeline.graph
    pools = [
        node.pool_size for node in graph.of_kind("transform") if node.pool_size > 1 and not graph.stateful[node.stage]
    ]
    here, far = settings.concurrency.max_workers, settings.cluster.workers if settings.cluster is not None else 0
    # The workers share a pool. One that got nothing of it could not take a row.
    workers = min(here + far, *pools) if pools else here + far
    return Policy(
        frequency=checkpoint.frequency,
        interval=checkpoint.checkpoint_interval or 1000,
        max_rows=checkpoint.max_rows,
        max_bytes=checkpoint.max_bytes,
        workers=workers,
        poison_attempts=settings.supervisor.poison_attempts,
        pool_size=max(pools, default=1),
        far=max(0, workers - here),
    )


def topology_of(
    pipeline: Pipeline, plan: Plan, audit: AuditPlan, *, caution: Caution = NO_CAUTION,
    marking: Marking | None = None, leftovers: tuple[Identity, ...] = (),
    buried: tuple[int, ...] = (), takes_over: Predecessor | None = None,
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

    shutdown_seconds = 2.0 if plan.services.providers else 1.0  # answers that are paid for are waited for

    def deciding(name: str, target: str) -> ChildSpec:
        memory = limit * 1024 * 1024 if limit else None
        child = spec(name, target, argument, shutdown_seconds)
        return replace(child, expendable=True, memory_limit_bytes=memory)

    stateful = pipeline.graph.stateful
    policy = policy_of(pipeline)

    journals = journal_folder(Path(plan.state_directory), plan.run_id)
    far: FarSide | None = None
    if policy.far:
        from elspeth.runs.lifecycle.cluster import far_side  # what few runs need no other waits for

        far = far_side(pipeline, plan, policy, journals)

    def worker(number: int) -> ChildSpec:
        share = WorkerPlace(number - 1, policy.workers)
        spec = deciding(worker_name(number), "worker:WorkerRole")
        spec = replace(spec, argument=encode_plan(structs.replace(plan, worker=share)))
        return spec if far is None or number <= policy.here else far.worker(spec)

    return Topology(
        audit=spec(AUDIT, "audit:AuditRole", encode_plan(audit)),
        audit_successor=spec(AUDIT, "audit:AuditRole", encode_plan(structs.replace(audit, on_record=True))),
        sinks=spec(SINKS, "sink:SinkRole", argument, 2.0),
        source=spec(SOURCE, "source:SourceRole", argument, 0.2),
        stages={
            stage: deciding(stage_name(stage), "stage:StageRole") for stage, ordered in enumerate(stateful) if ordered
        },
        worker=worker,
        policy=policy,
        stateful=stateful,
        max_seconds=pipeline.settings.checkpoint.max_seconds,
        limits=Limits(hang, limit * 1024 * 1024 if limit else None, address_space_limit()),
        caution=caution,
        marking=marking or Marking(),
        suspects=plan.flushes.suspects if plan.flushes else {},
        convicted=plan.flushes.convicted if plan.flushes else {},
        suspected_tokens=plan.flushes.tokens if plan.flushes else frozenset(),
        leftovers=leftovers,
        buried=buried,
        sizes=pipeline.sizes(),
        takes_over=takes_over,
        concealment=pipeline.loaded.concealment,
        fence=lambda: require_not_taken_over(from_wire(plan.database), plan.run_id, plan.attempt),
        stop_seconds=supervisor.shutdown_seconds,
        services=plan.services,
        run_id=plan.run_id,
        steps={node.sequence: node.id for node in pipeline.graph.nodes},
        far=far.terms if far is not None else ClusterTerms(),
        places=far.places if far is not None else {},
        stores=far.stores if far is not None else None,
        left_behind=lambda rows: left_behind(journals, plan.run_id, rows) if plan.services.providers else CallTotals(),
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
    progress = Progress(pipeline.size(), topology.concealment)
    with exporting(pipeline.settings.telemetry, _subject(pipeline, topology), progress) as observer:
        topology = replace(topology, observer=observer)
        result = _drive(pipeline, topology, run_id, progress, watch, on_output, children)
        observer.ended(result.error is None)
        return result


def _drive(
    pipeline: Pipeline, topology: Topology, run_id: str, progress: Progress, watch: Callable[[Progress], None],
    on_output: Callable[[str, str], None] | None, children: ForkServer | None,
) -> AttemptResult:  # fmt: skip
    own = None if children is not None else fork_server()
    settings = pipeline.settings.supervisor
    outcome = AttemptOutcome()
    coordinator = Coordinator.start(topology, progress, outcome)
    intensity = RestartIntensity(settings.max_restarts, settings.within_seconds)
    failures: list[BaseException] = []
    keeper = Keeper(topology.stores, coordinator) if topology.stores is not None else None
    supervisor = Supervisor.start(
        keeper or coordinator, intensity, on_output or _print, TICK_SECONDS, settings.watchdog_seconds, True,
        children or own, on_error=failures.append, places=topology.places,
    )  # fmt: skip
    try:
        proxy: Any = supervisor.proxy()
        with _signals() as arrived:
            outbox = proxy.outbox.get()
            if keeper is not None:
                keeper.connect(outbox)
            coordinator.proxy().begin(proxy, outbox).get()
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
        if keeper is not None:
            keeper.close()
        coordinator.stop()
        if own is not None:
            own.close()
    if outcome.error is None:
        forget_calls(pipeline, run_id)
    error = outcome.error and topology.concealment.error(_cause(outcome.error, topology))
    return AttemptResult(run_id, error, progress)


def _subject(pipeline: Pipeline, topology: Topology) -> Subject:
    """What is told of this attempt to whoever watches from outside."""
    before, path, graph = topology.takes_over, pipeline.loaded.path, pipeline.graph
    name = pipeline.settings.name or (path.stem if path is not None else "pipeline")
    return Subject(
        Labels(name, topology.run_id, before.from_attempt + 1 if before else 1, __version__),
        Numbers.of((node.id for node in graph.nodes), (edge.edge_id for edge in graph.edges)),
        pipeline.settings.budget.currency or "",
        {each.name: (each.kind, urlsplit(each.base_url).hostname or "") for each in topology.services.providers},
    )


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
    if threading.current_thread() is not threading.main_thread():
        yield arrived  # signals come to the main thread only, and who owns that has it do what they are to do
        return
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
