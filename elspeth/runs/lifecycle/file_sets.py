"""The files of sources that read many, or standard input: fixed and recorded when a run begins, and read by every
resume."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from elspeth import ids
from elspeth.audit.chain.records import Record
from elspeth.audit.query.reader import AuditReader
from elspeth.clock import utc_now
from elspeth.errors import ElspethError
from elspeth.plugins.sources.files import FileSource
from elspeth.runs.lifecycle.pipeline import Pipeline

EVENT = "files"

FileSets = Mapping[str, tuple[tuple[str, int, int], ...]]
"""Of each such source its files in order: path, size in bytes, time of the last change (ns)."""


def present(pipeline: Pipeline) -> dict[str, tuple[tuple[str, int, int], ...]]:
    """The files as they are there now, or as they were fixed. Raises `SettingsError` where there are none."""
    found = {node: plugin.fixed() for node, plugin in _file_sources(pipeline)}
    return {
        node: tuple((entry.path, entry.size, entry.mtime_ns) for entry in entries)
        for node, entries in found.items()
        if entries is not None
    } | kept(pipeline)


def kept(pipeline: Pipeline) -> dict[str, tuple[tuple[str, int, int], ...]]:
    """The one file in which standard input was kept, of the source that reads it in a run."""
    found = ((node, plugin.kept()) for node, plugin in _file_sources(pipeline))
    return {node: ((entry.path, entry.size, entry.mtime_ns),) for node, entry in found if entry is not None}


def _file_sources(pipeline: Pipeline) -> list[tuple[str, FileSource]]:
    plugins = ((node.id, pipeline.plugins[node.id]) for node in pipeline.graph.of_kind("source"))
    return [(node, plugin) for node, plugin in plugins if isinstance(plugin, FileSource)]


def records(run_id: str, pipeline: Pipeline) -> list[Record]:
    """What goes with the record of the run's beginning; nothing if every source reads one file."""
    found = present(pipeline)
    if not found:
        return []
    return [(ids.event_id(run_id, 1, EVENT), 1, None, EVENT, None, orjson.dumps(found).decode(), utc_now())]


def recorded(reader: AuditReader, run_id: str) -> FileSets:
    """What was fixed when the run began. Raises `ElspethError` where it cannot be read."""
    detail = reader.own_events(run_id, EVENT).get(1)
    if detail is None:
        return {}
    try:
        return msgspec.json.decode(detail, type=dict[str, tuple[tuple[str, int, int], ...]])
    except msgspec.DecodeError as error:
        raise ElspethError(
            f"the files that run {run_id} reads cannot be read from its records: {error}",
            next_step=f"elspeth verify {run_id}",
        ) from None


def fix(pipeline: Pipeline, sets: FileSets) -> None:
    """Let the sources read these files and no others."""
    for node_id, entries in sets.items():
        plugin = pipeline.plugins.get(node_id)
        if isinstance(plugin, FileSource):
            plugin.fix(entries)


def in_words(pipeline: Pipeline) -> dict[str, tuple[str, int]]:
    """What stands for the files of each such source, and the bytes in all of them, for the record of inputs."""
    return {
        node: (", ".join(map(str, pipeline.plugins[node].options.paths)), sum(size for _, size, _ in files))
        for node, files in present(pipeline).items()
        if node not in kept(pipeline)
    }
