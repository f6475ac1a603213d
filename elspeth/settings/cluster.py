"""What a pipeline file says of workers on other machines: which cluster, how many, and what each of them needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from elspeth.settings.problems import Positions, Problem, suggest
from elspeth.settings.section import Seconds, Section, Text, Whole, wrong

EXTRAS = {"ray": "ray"}
"""What has to be installed for an engine: the module, which is also the name of the extra."""

STAND_IN = "ELSPETH_CLUSTER_STAND_IN"
"""For tests of Elspeth: a variable that names, as `module:function`, what makes a place in place of the engine."""

_ADDRESSES = "auto, local, HOST:PORT or ray://HOST:PORT"
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]")

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Amount = Annotated[float, Field(ge=0.0001, le=1_000_000)]

_OTHER_KEYS = {
    "cpu": "resources.cpu", "num_cpus": "resources.cpu", "memory": "resources.memory_mb",
    "memory_mb": "resources.memory_mb", "gpu": "gpu", "num_gpus": "gpu",
}  # fmt: skip
"""What Ray would not take as names of other resources, in small letters, and what to say in their place."""


class Resources(Section):
    """What each far worker needs of a node. `custom` are other resources by the names that the cluster gives them."""

    cpu: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    memory_mb: Whole | None = None
    custom: dict[Text, Amount] = Field(default_factory=dict)

    @field_validator("custom")
    @classmethod
    def _can_be_asked_for(cls, value: dict[str, float]) -> dict[str, float]:
        for name, amount in value.items():
            if name != _OTHER_KEYS.get(name.lower(), name):
                raise wrong("has a key of its own", found=name, allowed=_OTHER_KEYS[name.lower()])
            if name.lower() == "object_store_memory":
                raise wrong("is nothing that a worker asks for", found=name, allowed="names of other resources")
            if name == "gpu" and amount > 1 and amount != int(amount):
                raise wrong("cannot be given so", found=f"gpu: {amount:g}", allowed="a part of one, or whole ones")
        return value


class Runtime(Section):
    """What a node is given before it starts workers: packages for pip, and variables of this environment by name."""

    pip: tuple[Text, ...] = Field(default=(), strict=False)
    env: tuple[Variable, ...] = Field(default=(), strict=False)


class Cluster(Section):
    """Workers on other machines, besides those here."""

    engine: Literal["ray"] = "ray"
    address: Text = "auto"
    workers: int = Field(default=4, ge=1, le=1024)
    resources: Resources = Resources()
    unreachable_seconds: Seconds = 30.0
    outage_seconds: Seconds = 600.0
    runtime: Runtime = Runtime()

    def words(self) -> str:
        """What is asked for, for people."""
        where = {"auto": "the cluster of this machine", "local": "a cluster started here"}
        needs = [f"{self.resources.cpu:g} {'processor' if self.resources.cpu == 1 else 'processors'}"]
        if self.resources.memory_mb is not None:
            needs.append(f"{self.resources.memory_mb:,} MiB of memory")
        needs += [f"{amount:g} {name}" for name, amount in self.resources.custom.items()]
        each = "which needs" if self.workers == 1 else "each of which needs"
        at = where.get(self.address, f"the cluster at {self.address}")
        return f"up to {self.workers} on {at} ({self.engine.capitalize()}), {each} {_listed(needs)}"

    @field_validator("address")
    @classmethod
    def _can_be_reached(cls, value: str) -> str:
        if value not in ("auto", "local") and not _is_address(value):
            raise wrong("is no address of a cluster", found=f"text {value!r}", allowed=_ADDRESSES)
        return value


def missing(cluster: Cluster | None, positions: Positions, environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """The problem that what an engine rests on is not installed here."""
    if cluster is None or environ.get(STAND_IN) or find_spec(EXTRAS[cluster.engine]) is not None:
        return []
    extra = EXTRAS[cluster.engine]
    what = f"needs the extra {extra}, which is not installed"
    return [positions.problem(("cluster",), what, allowed=f"pip install 'elspeth[{extra}]', here and on every node")]


def unset(cluster: Cluster | None, positions: Positions, environ: Mapping[str, str]) -> list[Problem]:
    """The problem, for each variable that is to go along to the nodes and that nobody has set."""
    names = enumerate(cluster.runtime.env if cluster is not None else ())
    return [
        positions.problem(
            ("cluster", "runtime", "env", index),
            "the variable is not set, and cannot go along",
            found=name,
            suggestion=suggest(name, environ) or "",
        )
        for index, name in names
        if name not in environ
    ]


def nobody_works(data: Mapping[str, Any], positions: Positions) -> Iterator[Problem]:
    """The problem that a document wants no worker here, and names no cluster that could have one."""
    concurrency = data.get("concurrency")
    workers = concurrency.get("max_workers") if isinstance(concurrency, dict) else None
    none = data.get("cluster") is None and positions.known(("cluster",))
    if none and (workers == "0" or (workers == 0 and workers is not False)):
        yield positions.problem(
            ("concurrency", "max_workers"), "no worker here needs workers elsewhere", found="0",
            allowed="at least 1, or `cluster:` beside it",
        )  # fmt: skip


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _is_address(text: str) -> bool:
    if "://" not in text:
        text = f"tcp://{text}"
    elif not text.startswith("ray://"):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    return plain and bool(_HOST.fullmatch(host)) and (bool(port) or (port is None and parts.scheme == "ray"))
