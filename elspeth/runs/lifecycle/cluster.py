"""The workers of a cluster as an attempt has them: how they are asked for, what goes along, what has to be the same."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.places.far.place import FarPlace
from actors.places.far.terms import Terms
from actors.places.far.transport import Resources, Transport
from actors.places.place import Place
from actors.spec import ChildSpec
from elspeth.coordinator.elsewhere.far_workers import ClusterTerms
from elspeth.coordinator.elsewhere.keeper import Stores
from elspeth.coordinator.policy import Policy
from elspeth.roles.plan import Plan, decode_plan
from elspeth.runs.lifecycle.likeness import FACTS, required
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.travel import pack
from elspeth.settings.cluster import STAND_IN, Cluster

PLACE = "cluster"
"""What the supervisor calls the place where they run."""

ENGINES = {"ray": "actors.places.ray.transport:RayTransport"}
"""Transports by the names that settings have."""

BEATS = 8
"""So many signs of life are due from an agent before it is given up."""


@dataclass(frozen=True, slots=True)
class FarSide:
    """What an attempt has beside its own machine; `worker` makes of a worker's spec here that of one there."""

    places: Mapping[str, Place]
    terms: ClusterTerms
    stores: Stores
    worker: Callable[[ChildSpec], ChildSpec]


def far_side(pipeline: Pipeline, plan: Plan, policy: Policy, journals: Path) -> FarSide | None:
    """What the settings ask for; None without a cluster. Nothing is reached before the first worker is asked for."""
    cluster = pipeline.settings.cluster
    if cluster is None:
        return None
    luggage = pack(pipeline, plan)
    unreachable = cluster.unreachable_seconds
    place = FarPlace(
        transport_of(cluster),
        Terms(
            required(pipeline.plugins.values()), FACTS, dict(pipeline.loaded.passed_on),
            unreachable_seconds=unreachable, beat_seconds=min(2.0, unreachable / BEATS),
        ),
    )  # fmt: skip
    facts = {
        "asked": cluster.words(), "engine": cluster.engine, "address": cluster.address, "workers": policy.far,
        "resources": cluster.resources.model_dump(),
    }  # fmt: skip
    return FarSide(
        {PLACE: place},
        ClusterTerms(policy.far, cluster.outage_seconds, place.waiting, place.nodes, facts),
        Stores(Path(plan.payload_base), journals, plan.attempt),
        lambda spec: luggage.worker(spec, decode_plan(spec.argument), PLACE),
    )


def transport_of(cluster: Cluster) -> Transport:
    """The way to the nodes. What an engine rests on is imported when it is used, and in its own room only."""
    made: Transport
    if stand_in := os.environ.get(STAND_IN):
        made = _named(stand_in)(cluster)
    else:
        needs = cluster.resources
        resources = Resources(needs.cpu, (needs.memory_mb or 0) << 20, needs.custom)
        runtime = {"pip": list(cluster.runtime.pip)} if cluster.runtime.pip else {}
        made = _named(ENGINES[cluster.engine])(cluster.address, resources, runtime)
    return made


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
