"""What the coordinator is given: the children of an attempt, how much they may have, and where to say how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from actors.identity import Identity
from actors.places.place import Place
from actors.spec import ChildSpec
from elspeth.calls.services import Services
from elspeth.calls.totals import CallTotals
from elspeth.concealment import NOTHING, Concealment
from elspeth.coordinator.attempt.marking import Marking
from elspeth.coordinator.blame import Conviction
from elspeth.coordinator.elsewhere.far_workers import ClusterTerms
from elspeth.coordinator.elsewhere.keeper import Stores
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.reporting.exit_reasons import Limits
from elspeth.coordinator.reporting.observer import Observer
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.errors import ElspethError


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The attempt before this one, for the record: its process, what became of it, and how that is known."""

    from_attempt: int
    pid: int | None
    host: str | None
    state: str
    suspicion: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The children of a run: how each is started, and how much they may be given."""

    audit: ChildSpec
    audit_successor: ChildSpec  # once the attempt is on record: it begins nothing, and creates no database
    sinks: ChildSpec
    source: ChildSpec
    stages: dict[int, ChildSpec]
    worker: Callable[[int], ChildSpec]
    policy: Policy
    stateful: tuple[bool, ...]
    max_seconds: float = 5.0
    limits: Limits = field(default_factory=Limits)
    caution: Caution = NO_CAUTION
    marking: Marking = field(default_factory=Marking)  # what is in hand, where this process's death leaves it
    suspects: dict[str, int] = field(default_factory=dict)  # batches and tokens, with the attempts that died of them
    convicted: dict[str, Conviction] = field(default_factory=dict)  # these are not touched any more
    suspected_tokens: frozenset[str] = frozenset()  # which of these are tokens
    leftovers: tuple[Identity, ...] = ()
    buried: tuple[int, ...] = ()  # processes of earlier attempts that were killed before the run was owned
    sizes: dict[str, int] = field(default_factory=dict)  # of the inputs as they were found, in bytes, for the record
    takes_over: Predecessor | None = None
    fence: Callable[[], None] = lambda: None  # raises `TakenOver` if a later attempt drives the run
    stop_seconds: float = 8.0
    services: Services = field(default_factory=Services)
    run_id: str = ""
    steps: dict[int, str] = field(default_factory=dict)  # the names of steps by their numbers, as workers say them
    left_behind: Callable[[int], CallTotals] = lambda rows: CallTotals()  # what was paid for and is in no commit
    far: ClusterTerms = field(default_factory=ClusterTerms)  # what is asked of a cluster; no workers: nothing
    places: Mapping[str, Place] = field(default_factory=dict)  # other machines, by the names that specs have
    observer: Observer = field(default_factory=Observer)
    concealment: Concealment = NOTHING  # of what children say of their deaths
    stores: Stores | None = None  # where things of workers on other machines are kept; None: there are none


@dataclass(slots=True)
class AttemptOutcome:
    """How the attempt ended, once `done` is set. `error` is None if the run is complete."""

    error: ElspethError | None = None
    done: threading.Event = field(default_factory=threading.Event)
