"""What a run would do, told before it does anything: the graph, inputs, outputs, database, and how it would go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elspeth.audit.query import locate
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.cli import output
from elspeth.cli.view.expectations import audit_line, audit_size, field_lines
from elspeth.errors import ElspethError, Temporary
from elspeth.graph import picture
from elspeth.graph.contracts import otherwise
from elspeth.graph.flows import schema_of
from elspeth.graph.idle_steps import idle_steps
from elspeth.outputs import OutputInfo
from elspeth.plugins.contract import Sink
from elspeth.plugins.sources.file_set import named
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.settings.model import Checkpoint


@dataclass(frozen=True, slots=True)
class Input:
    """A source as it was found. `size_bytes` is None where nobody can tell."""

    source: str
    plugin: str
    path: str | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Output:
    """A sink, and what a run would do to its target."""

    sink: str
    plugin: str
    path: str | None
    effect: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `folders` would be created.

    `fields` are, by source, the names in rows and as they stand in its header; `audit_bytes` is an estimate.
    """

    settings: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    fields: dict[str, dict[str, str]]
    database: str
    database_effect: str
    audit_bytes: int | None
    folders: tuple[str, ...]
    checkpoints: str
    workers: int
    cluster: str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_value(self) -> dict[str, Any]:
        """The plan as plain data."""
        return asdict(self)

    def text(self, pipeline: Pipeline, command: str | None) -> str:
        """The plan for people; `command` is what carries it out, None where it would be refused."""
        inputs = [(each.source, each.plugin, each.path, _size(each.size_bytes)) for each in self.inputs]
        outputs = [(each.sink, each.plugin, each.path, each.effect, each.delivery) for each in self.outputs]
        parts = [
            output.styled(f"Plan for {self.settings}", "bold"),
            picture.text(pipeline.graph, width=output.width()).rstrip("\n"),
            output.table(["source", "plugin", "file", "size"], inputs),
            *(["\n".join(lines)] if (lines := field_lines(pipeline)) else []),
            output.table(["sink", "plugin", "file", "will be", "delivery"], outputs),
            "\n".join(self._driven()),
        ]
        if self.notes or self.warnings:
            parts.append("\n".join([*self.notes, *(f"warning: {line}" for line in self.warnings)]))
        todo = f" To run it:\n  {command}" if command else ""
        parts.append(f"Everything was checked; nothing was run or written.{todo}")
        return "\n\n".join(parts)

    def _driven(self) -> list[str]:
        lines = [
            f"Audit trail  {self.database}: {self.database_effect}; {audit_line(self.audit_bytes)}",
            f"Checkpoints  {self.checkpoints}",
            f"Workers      {workers_line(self.workers, self.cluster)}",
        ]
        return lines + ([f"New folders  {', '.join(self.folders)}"] if self.folders else [])


def plan(pipeline: Pipeline, database: Place, foreseen: Sequence[str] = ()) -> Plan:
    """The plan for a pipeline that was inspected; `foreseen` is what earlier runs mean for it.

    Raises `ElspethError` if the database cannot be used.
    """
    outputs = tuple(_output(pipeline, node.id, node.plugin) for node in pipeline.graph.of_kind("sink"))
    files = [Path(each.path) for each in outputs if each.path]
    if not isinstance(database, PostgresPlace):
        files.append(database)
    folders = dict.fromkeys(str(file.parent) for file in files if not file.parent.exists())
    return Plan(
        settings=str(pipeline.loaded.path),
        inputs=tuple(
            Input(node.id, node.plugin, _file(pipeline, node.id), pipeline.sources[node.id].size_bytes)
            for node in pipeline.graph.of_kind("source")
        ),
        outputs=outputs,
        fields=pipeline.headers_by_source(),
        database=str(database),
        database_effect=_database_effect(database),
        audit_bytes=audit_size(pipeline),
        folders=tuple(folders),
        checkpoints=_checkpoints(pipeline.settings.checkpoint),
        workers=pipeline.settings.concurrency.max_workers,
        cluster=None if (cluster := pipeline.settings.cluster) is None else cluster.words(),
        notes=(*foreseen, *cautions(pipeline)),
        warnings=tuple(str(problem) for problem in pipeline.loaded.warnings),
    )


def workers_line(here: int, cluster: str | None) -> str:
    """How many workers there may be, and where."""
    if cluster is None:
        return f"up to {here}"
    return f"up to {here} here, {cluster}" if here else f"none here, {cluster}"


def cautions(pipeline: Pipeline) -> list[str]:
    """What should be known before a run, a sentence each: which names differ, and what may.

    The bytes that come out may differ from run to run where decisions depend on anything but the input.
    """
    lines = [
        f"{source}: its file {named([str(file) for file in info.files])} is empty (0 bytes)."
        for source, info in pipeline.sources.items()
        if info.size_bytes == 0 and info.files
    ]
    lines += [
        f"{source}: its file {named([str(file) for file in info.files])} ends before a header: no row will come."
        for source, info in pipeline.sources.items()
        if info.lacks_header
    ]
    lines += _never_there(pipeline)
    lines += idle_steps(pipeline.graph, pipeline.plugins, pipeline.headers_by_source())
    if any(getattr(plugin.options, "headers", None) == "original" for plugin in pipeline.plugins.values()):
        lines += _spellings(pipeline)
    for node in pipeline.graph.nodes:
        plugin = pipeline.plugins.get(node.id)
        if plugin is not None and plugin.determinism != "deterministic":
            lines.append(f"{node.id} ({node.plugin}) is not deterministic: run twice, it may decide otherwise. "
                         "What was committed never changes.")  # fmt: skip
        if isinstance(plugin, Sink) and plugin.delivery != "exactly_once":
            lines.append(f"{node.id} ({node.plugin}) delivers at least once: after a crash it may be sent a row again, "
                         "with the same key.")  # fmt: skip
        if node.pool_size > 1 and pipeline.graph.stateful[node.stage]:
            lines.append(f"{node.id} takes its rows one by one: pool_size has no effect on a step that remembers "
                         "rows.")  # fmt: skip
        if node.timeout_seconds is not None or node.trigger_seconds is not None:
            lines.append(f"{node.id} waits for a time-out: which rows meet in it depends on how fast they come.")
    return lines


def _never_there(pipeline: Pipeline) -> list[str]:
    """Fields that a source declares and that may be missing, where the header has them by another name."""
    lines = []
    for source, header in pipeline.headers_by_source().items():
        for field in schema_of(pipeline.graph.node(source)).fields:
            words = otherwise(field.name, header) if field.optional and field.name not in header else ""
            if words:
                lines.append(f"No row of {source} will have {field.name!r}: its header has no such field{words}.")
    return lines


def _spellings(pipeline: Pipeline) -> list[str]:
    """Names whose originals differ from source to source, though a sink is to write the original."""
    lines = []
    for name, written in pipeline.headers.items():
        found = [info.headers[name] for info in pipeline.sources.values() if info.headers and name in info.headers]
        others = [repr(original) for original in dict.fromkeys(found) if original != written]
        if others:
            lines.append(f"{name!r} is {', '.join(others)} in one source and {written!r} in a later one: "
                         f"`headers: original` writes {written!r}.")  # fmt: skip
    return lines


def _output(pipeline: Pipeline, node: str, plugin: str) -> Output:
    info = pipeline.sinks[node].output
    return Output(node, plugin, info.path, _effect(info), pipeline.sink(node).delivery.replace("_", " "))


def _effect(info: OutputInfo) -> str:
    if info.path is None:
        return "written to"
    if info.replaces is not None:
        return f"overwritten ({output.size(info.replaces.size)} there now)"
    return f"appended to ({output.size(info.size)} stay)" if info.size else "created"


def _file(pipeline: Pipeline, node: str) -> str | None:
    files = pipeline.sources[node].files
    return named([str(file) for file in files]) if files else None


def _size(number: int | None) -> str:
    return "?" if number is None else output.size(number)


def _database_effect(database: Place) -> str:
    if isinstance(database, Path) and not database.exists():
        folder = database.absolute().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            why = "is not writable" if folder.is_dir() else "is not a folder"
            raise Temporary(f"the audit database {database} cannot be created: {folder} {why}",
                            next_step="mend it, or name another database with --database")  # fmt: skip
        return "will be created"
    if locate.is_blank(database):
        return "is empty and will be filled"
    wrong = locate.describe(database)
    if wrong is not None:
        raise ElspethError(
            f"the audit database {database} {wrong}", next_step="name another one: landscape.url in the settings"
        )
    with AuditReader(database) as reader:
        return f"holds {output.count(len(reader.runs()), 'run')}; this one is added"


def _checkpoints(checkpoint: Checkpoint) -> str:
    if not checkpoint.enabled:
        return "none: the run could not be resumed"
    words = {
        "every_row": "after every row",
        "every_n": f"every {output.count(checkpoint.checkpoint_interval or 0, 'row')}",
        "aggregation_only": "when a batch is complete",
    }[checkpoint.frequency]
    rows, size = output.count(checkpoint.max_rows, "row"), output.size(checkpoint.max_bytes)
    return f"{words}; at the latest every {rows}, {size} or {output.seconds(checkpoint.max_seconds)}"
