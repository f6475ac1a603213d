"""What a worker needs of the head machine's files, so that it can be started on another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from msgspec import structs

from actors.spec import ChildSpec, GivenFile
from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.plugins.references.hashes import reference_hash
from elspeth.roles.baggage import Baggage, arrival
from elspeth.roles.plan import Plan, encode_plan
from elspeth.runs.lifecycle.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Luggage:
    """What goes along with every worker of an attempt: the contents, and what they are called."""

    files: tuple[GivenFile, ...]
    baggage: Baggage

    def worker(self, spec: ChildSpec, plan: Plan, place: str) -> ChildSpec:
        """The worker that `spec` and `plan` describe, to be started in this place.

        What it could not reach, and is not to know, is taken out of the plan: the database, and paths of outputs; of
        the credentials those that stand nowhere else in it.
        """
        told = structs.replace(
            plan, baggage=self.baggage, database="", inputs={}, other_files={}, keeps_replaced=(), unlike={},
            flushes=structs.replace(plan.flushes, path="") if plan.flushes is not None else None,
        )  # fmt: skip
        text = msgspec.json.encode(structs.replace(told, secrets={}))
        secrets = {secret: name for secret, name in plan.secrets.items() if msgspec.json.encode(secret)[1:-1] in text}
        argument = encode_plan(structs.replace(told, secrets=secrets))
        return replace(spec, argument=argument, place=place, files=self.files)


def pack(pipeline: Pipeline, plan: Plan) -> Luggage:
    """What workers of this plan open: plugin files, reference files of their steps, files of trusted authorities.

    Their content is known by hashes: of reference files that of the attempt's beginning, of plugin files that of the
    text that was loaded. Raises `SettingsError` where a file cannot be read, or where two files have one path.
    """
    files: dict[str, str] = {}
    named: dict[str, str] = {}
    given: dict[str, GivenFile] = {}
    for name, source, place, sha256 in _wanted(pipeline, plan):
        if files.setdefault(place, sha256) != sha256:
            raise SettingsError(
                f"{name} goes through a link and up again, to another file than the one that its path spells",
                next_step="name it by its own path: workers on other machines find files by that",
            )
        named[name] = place
        given.setdefault(sha256, GivenFile(arrival(sha256), source, sha256))
    return Luggage(tuple(given.values()), Baggage(files, named))


def _wanted(pipeline: Pipeline, plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    """Each file: what the run calls it, where it lies, the path that it gets, and the hash of its content."""
    for file in plan.plugin_files:
        real = os.path.realpath(file)
        yield file, real, real, registry.file_hash(Path(file)) or reference_hash(Path(real))
    graph = plan.graph
    for node in graph.of_kind("transform"):
        if not graph.stateful[node.stage]:
            for path in map(str, pipeline.plugins[node.id].reference_files()):
                yield path, _whole(path), _spelled(path), plan.references[path]
    for provider in plan.services.providers:
        if isinstance(provider.verify, str):
            path = provider.verify
            yield path, _whole(path), _spelled(path), reference_hash(Path(path))


def _whole(path: str) -> str:
    """The path from the root, with every step of it: what it leads to is for the system to say."""
    return str(Path(path).absolute())


def _spelled(path: str) -> str:
    """The path from the root as it reads, without `..`."""
    return os.path.normpath(_whole(path))
