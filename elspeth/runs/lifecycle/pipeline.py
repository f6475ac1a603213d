"""A pipeline ready to be planned: checked settings, the graph, and a plugin object for every node that has one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import msgspec
import orjson

from elspeth import __version__, canonical
from elspeth.audit.chain.records import Records
from elspeth.canonical import JsonObject
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.errors import ElspethError, SettingsError
from elspeth.graph.branches import check_branches
from elspeth.graph.build import build
from elspeth.graph.contracts import check_contracts
from elspeth.graph.model import Graph, Node
from elspeth.graph.steps import Step, steps_of
from elspeth.graph.types import check_types, with_types
from elspeth.outputs import SinkState
from elspeth.plugins import contract, registry
from elspeth.plugins.contract import Context, Plugin, Sink, Source, SourceInfo
from elspeth.plugins.options import OptionProblems, effective
from elspeth.plugins.references.hashes import reference_hash
from elspeth.runs.lifecycle import asked_providers, file_roles, later_files
from elspeth.settings import (
    Loaded,
    Positions,
    Problem,
    Settings,
    SettingsProblems,
    load,
    load_stored,
    settings_hash,
    wires,
)
from elspeth.settings.load import concealed
from elspeth.settings.model import Aggregation

_STEPS = frozenset({"source", "sources", "sinks", "transforms", "aggregations", "gates", "coalesce", "plugins"})
"""The keys of the settings below which steps stand, or what they are made of."""

CANONICAL_VERSION = "rfc8785+bigint"


@dataclass(slots=True)
class Pipeline:
    """What `validate`, `run` and `resume` all begin with. Nothing has been written when it exists.

    `sources` and `sinks` are what inspection found: sizes and headers of inputs, base positions of outputs. `copies`
    says for which reference file a copy stands that plugins read in its place.
    """

    loaded: Loaded
    graph: Graph
    plugins: dict[str, Plugin]
    sources: dict[str, SourceInfo] = field(default_factory=dict)
    sinks: dict[str, SinkState] = field(default_factory=dict)
    copies: dict[Path, Path] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings, with real credentials in them."""
        return self.loaded.settings

    @property
    def headers(self) -> dict[str, str]:
        """Field names as they stand in the inputs, by identifier."""
        merged: dict[str, str] = {}
        for info in self.sources.values():
            merged.update(info.headers or {})
        return merged

    def headers_by_source(self) -> dict[str, dict[str, str]]:
        """The header of each source that has one."""
        return {node: info.headers for node, info in self.sources.items() if info.headers is not None}

    def sink(self, node_id: str) -> Sink:
        """The plugin of a sink."""
        return cast("Sink", self.plugins[node_id])

    def source(self, node_id: str) -> Source:
        """The plugin of a source."""
        return cast("Source", self.plugins[node_id])

    def sizes(self) -> dict[str, int]:
        """Bytes of each source that can tell."""
        return {node: info.size_bytes for node, info in self.sources.items() if info.size_bytes is not None}

    def size(self) -> int | None:
        """Bytes of input, as far as all sources can tell."""
        sizes = [info.size_bytes for info in self.sources.values()]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    def grown(self, positions: Mapping[str, SourcePosition]) -> tuple[str, ...]:
        """A sentence for each source that has more input by now than was read, which ended where `positions` say."""
        found = []
        for node in self.graph.of_kind("source"):
            held = positions.get(node.id)
            with contextlib.suppress(ElspethError, OSError):  # an input that is gone was read all the same
                found.append(self.source(node.id).grown(held.cursor if held else None))
        return tuple(sentence for sentence in found if sentence is not None)

    def inspect(self, state_directory: Path) -> None:
        """Look at inputs and outputs without touching them. Raises what their plugins raise."""
        for node in self.graph.of_kind("source"):
            self.sources[node.id] = self.source(node.id).describe()
        for node in self.graph.of_kind("sink"):
            self.inspect_sink(node.id, state_directory)
        for node in self.graph.of_kind("transform", "aggregation"):
            self.plugins[node.id].check_references()
        self.check_fields()

    def inspect_sink(self, node_id: str, state_directory: Path) -> None:
        """Look at one output without touching it. Raises what its plugin raises."""
        plugin = self.sink(node_id)
        plugin.setup(self.sink_context("", node_id, state_directory))
        position = plugin.inspect()
        self.sinks[node_id] = SinkState(position, plugin.describe(position))

    def sink_context(self, run_id: str, node_id: str, state_directory: Path) -> Context:
        """What a sink is told when nothing is written yet."""
        return Context(
            run_id, node_id, state_directory=state_directory, headers=self.headers,
            takes_refused=self.graph.takes_refused(node_id), evidence=self.graph.evidence(node_id),
        )  # fmt: skip

    def check_fields(self) -> None:
        """Hold the steps against the headers that were found. Raises `SettingsProblems` for what no row could pass."""
        headers = self.headers_by_source()
        found = ((node, self.sink(node).fields(state.position)) for node, state in self.sinks.items())
        outputs = {node: fields for node, fields in found if fields is not None}
        problems = check_contracts(
            self.graph, self.settings, self.plugins, self.loaded.positions, headers=headers, outputs=outputs
        )
        if problems:
            raise SettingsProblems(problems)

    def node_records(self) -> Records:
        """The records of `nodes` and `edges`, without credentials."""
        nodes = []
        for node in self.graph.nodes:
            plugin = self.plugins.get(node.id)
            config = self.loaded.conceal(config_of(node))
            text = canonical.dumps(config).decode()
            nodes.append((
                node.id, node.plugin, node.kind, plugin.version if plugin else __version__,
                plugin.determinism if plugin else "deterministic",
                registry.source_hash(type(plugin)) if plugin else None, text, canonical.sha256(config), node.sequence,
                node.stage,
            ))  # fmt: skip
        edges = [(edge.edge_id, edge.from_node, edge.to_node, edge.label, edge.mode) for edge in self.graph.edges]
        return {"nodes": sorted(nodes), "edges": sorted(edges)}

    def code(self) -> JsonObject:
        """What decides results beside the settings: versions and hashes of plugin code and of reference files.

        Raises `SettingsError` where a reference file cannot be read.
        """
        found: JsonObject = {}
        for node_id, plugin in sorted(self.plugins.items()):
            files = {str(self.copies.get(path, path)): reference_hash(path) for path in plugin.reference_files()}
            found[node_id] = [plugin.version, registry.source_hash(type(plugin)), files]
        return found

    def settings_hash(self) -> str:
        """SHA-256 over the part of the settings that can change results."""
        return settings_hash(self.loaded.document)

    def pipeline_hash(self) -> str:
        """SHA-256 over settings and code together."""
        return canonical.sha256({"settings": self.settings_hash(), "code": self.code()})


def config_of(node: Node) -> JsonObject:
    """A node's configuration as plain data, for the record."""
    value = cast("JsonObject", orjson.loads(orjson.dumps(msgspec.to_builtins(node), default=str)))
    del value["types"]  # they follow from the rest
    return {key: item for key, item in value.items() if item not in (None, {}, [])}


class _Builder:
    """Builds graph and plugins while the settings are being checked, so that all problems come in one go."""

    def __init__(self, base: Path, file: Path | None = None) -> None:
        self._base = base
        self._file = file
        self.graph: Graph | None = None
        self.warnings: list[Problem] = []
        self.plugins: dict[str, Plugin] = {}

    def __call__(self, settings: Settings, positions: Positions) -> None:
        problems = self._load_plugin_files(settings, positions)
        if problems:
            positions = replace(positions, unknown={*positions.unknown, ("plugins",)})
        options: list[Problem] = []
        self._build_plugins(settings, positions, options)  # first: nodes hold what options mean, defaults included
        told = {problem.key for problem in options}
        try:
            if not any(map(wires, positions.unknown)):
                self.graph = build(settings, positions, self.warnings)
        except SettingsProblems as error:
            problems += [problem for problem in error.problems if problem.key not in told]
        problems += options
        # Of steps of which something is not known nobody can tell whether they fit each other.
        known = not any(path[0] in _STEPS for path in positions.unknown)
        if self.graph is not None and known and not problems:
            problems += check_branches(self.graph, settings, self.plugins, positions)
            problems += check_contracts(self.graph, settings, self.plugins, positions)
            self.graph = with_types(self.graph, self.plugins)
            if self._file is not None:  # a run that was started goes on, whatever becomes of its rows
                problems += check_types(self.graph, settings, self.plugins, positions)
            if positions.known(("providers",)):
                problems += asked_providers.problems(settings, self.plugins, positions)
            self.warnings += asked_providers.unpriced(settings, self.plugins, positions)
            # A run that was started has its files; nobody can look for one that is impossible.
            if not positions.unknown:
                impossible = later_files.problems(settings, self.plugins, positions) if self._file is not None else []
                problems += impossible or file_roles.problems(settings, self.plugins, positions, self._file)
        if problems:
            raise SettingsProblems(problems)

    def _load_plugin_files(self, settings: Settings, positions: Positions) -> list[Problem]:
        problems = []
        for number, file in enumerate(settings.plugins):
            try:
                registry.load_files([self._base / file])
            except SettingsError as error:
                if self._file is None:  # of a run that was started, which has no file in which to mend it
                    raise
                problems.append(_problem(positions, ("plugins", number), error.message.rstrip(".")))
        return problems

    def _build_plugins(self, settings: Settings, positions: Positions, problems: list[Problem]) -> None:
        for step in steps_of(settings):
            if step.kind == "gate" or step.kind == "coalesce":
                continue
            try:
                cls = registry.find(step.kind, step.plugin)
            except ElspethError as error:
                if not positions.known(("plugins",)):
                    continue  # it may be a plugin of a file that could not be read
                place = step.at("plugin")
                known = f" ({'; '.join(error.details)})" if error.details else ""
                problems.append(_problem(positions, place, f"{error.message}{known}"))
                continue
            mode_is_known = positions.known(step.at("output_mode"))
            if isinstance(step.section, Aggregation) and self._file is not None and mode_is_known:
                # A run that was started goes on.
                problems += _output_mode(positions, step, step.section, cast("type[contract.Aggregation]", cls))
            options: JsonObject = getattr(step.section, "options", {})
            try:
                self.plugins[step.id] = registry.build(cls, options, step.id)
                options.update(effective(cls, options, step.id))
            except OptionProblems as error:
                for item in error.problems:
                    if positions.known(step.at("options", *item.about)):
                        place = step.at("options", *item.key)
                        problems.append(_problem(positions, place, item.message, suggestion=item.suggestion))
            except ElspethError as error:
                option = error.option if isinstance(error, SettingsError) else ()
                place = step.at("options", *option)
                if positions.known(place):
                    problems.append(_problem(positions, place, "; ".join((error.message, *error.details))))


def _output_mode(
    positions: Positions, step: Step, section: Aggregation, cls: type[contract.Aggregation]
) -> list[Problem]:
    if section.output_mode in cls.output_modes:
        return []
    message = f"{step.plugin} makes new rows of a batch and hands none of them on"
    return [_problem(positions, step.at("output_mode"), message, ", ".join(cls.output_modes), section.output_mode)]


def _problem(
    positions: Positions, place: tuple[str | int, ...], message: str, allowed: str = "", found: str = "",
    suggestion: str = "",
) -> Problem:  # fmt: skip
    return positions.problem(place, message, found=found, allowed=allowed, suggestion=suggestion)


def load_pipeline(
    path: Path, *, environ: Mapping[str, str] = os.environ, dotenv: bool | Path = True, overrides: Sequence[str] = ()
) -> Pipeline:
    """The pipeline that a settings file describes. Raises `SettingsProblems` with everything that is wrong with it."""
    builder = _Builder(Path.cwd(), path)
    loaded = load(path, environ=environ, dotenv=dotenv, overrides=overrides, further=builder)
    assert builder.graph is not None
    further = concealed(builder.warnings, loaded.credentials)
    loaded = replace(loaded, warnings=(*loaded.warnings, *further))
    return Pipeline(loaded, builder.graph, builder.plugins)


def load_stored_pipeline(
    settings_json: str,
    *,
    environ: Mapping[str, str] = os.environ,
    dotenv: bool | Path = True,
    overrides: Sequence[str] = (),
) -> Pipeline:
    """The pipeline of a recorded run; relative paths are taken from the present working directory."""
    loaded = load_stored(settings_json, environ, overrides, dotenv=dotenv)
    builder = _Builder(Path.cwd())
    try:
        builder(loaded.settings, loaded.positions)
    except SettingsProblems as error:
        raise SettingsProblems(concealed(error.problems, loaded.credentials), next_step=error.next_step) from None
    assert builder.graph is not None
    return Pipeline(loaded, builder.graph, builder.plugins)
