"""What goes on record of an attempt before its first row, and when its outputs are restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from msgspec import structs

from elspeth.coordinator.attempt.audit_link import AuditLink
from elspeth.coordinator.attempt.leftovers import bury
from elspeth.coordinator.attempt.topology import Topology
from elspeth.coordinator.protocol import TailCut
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.suspicion import named_suspects
from elspeth.coordinator.suspicion.single_rows import announcement


def record_beginning(topology: Topology, audit: AuditLink, progress: Progress) -> None:
    """Put on record what was found and done before the first row is touched."""
    audit.record("run", "inspected", detail={"sizes": topology.sizes})
    if topology.far.workers:
        audit.record("run", "cluster", detail=topology.far.facts)
    before = topology.takes_over
    if before is not None:
        audit.record("run", "took_over", pid=before.pid, detail=asdict(before))
    if topology.caution.rows:
        progress.notify(announcement(topology.caution))
    for name, deaths in topology.suspects.items():
        progress.notify(named_suspects.sentence(name, topology.suspected_tokens, deaths))
    for name, conviction in topology.convicted.items():
        progress.poisoned += 1
        what = named_suspects.facts_of(name, topology.suspected_tokens)
        audit.record("workers", "quarantined", detail={**what, **conviction.facts()})
    for pid in (*topology.buried, *bury(topology.leftovers)):
        audit.record("run", "killed_leftover", pid=pid, detail={"signal": "SIGKILL"})
        progress.notify(f"killed process {pid}, left over from an earlier attempt")


def record_cuts(name: str, cuts: Sequence[TailCut], audit: AuditLink, progress: Progress) -> None:
    """Put on record what was behind the last commit of outputs, and is kept elsewhere now."""
    for cut in cuts:
        audit.record(name, "cut", detail=structs.asdict(cut))
        what = f"cut {cut.size_bytes:,} bytes off {cut.path} behind the last commit"
        if cut.replaced:
            what = f"{cut.path} was there, and no run on record here wrote it: it is overwritten"
        progress.notify(f"{what}; a copy is in {cut.copy}")
