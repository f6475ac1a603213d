"""Which files a pipeline reads and writes, Elspeth's own among them: none that is written may be another one, too.

Files are told apart by inode, so that links do not hide what they are; where there is none yet, by their real path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from elspeth.audit.export.journal_file import require_journal
from elspeth.audit.store.place import PostgresPlace, place_of
from elspeth.errors import SettingsError
from elspeth.file_identity import identity
from elspeth.graph.steps import Step, steps_of
from elspeth.plugins.contract import Plugin, Sink
from elspeth.plugins.sources.file_set import stdin_folder
from elspeth.plugins.sources.files import FileSource
from elspeth.settings import Positions, Problem, Settings
from elspeth.settings.problems import KeyPath

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite puts behind the name of a database."""


@dataclass(frozen=True, slots=True)
class FileRole:
    """A file and what it is to the pipeline. `place` is the key of the settings that names it, empty without one."""

    what: str
    path: Path
    written: bool
    place: KeyPath = ()


def problems(
    settings: Settings, plugins: Mapping[str, Plugin], positions: Positions, settings_file: Path | None = None
) -> list[Problem]:
    """Every file that would be two things at once, and every output inside of a folder that is Elspeth's own."""
    steps = steps_of(settings)
    found = list(_stdin_twice(steps, plugins, positions))
    own = list(own_files(settings, plugins.values(), settings_file))
    mine = [role for step in steps if step.id in plugins for role in _of_plugin(step, plugins[step.id])]
    users: dict[tuple[int, int] | str, FileRole] = {}
    for role in (*own, *mine):
        other = users.setdefault(identity(role.path), role)
        if other is not role and other.what != role.what and (role.written or other.written):
            named = max((other, role), key=lambda one: (bool(one.place), one.written, one is role))
            message = f"{role.what} and {other.what} use the same file"
            found.append(positions.problem(named.place, message, found=str(named.path)))
    for role in (*mine, *(one for one in own if one.place)):
        inside = role.written and _inside(role.path, own_folders(settings))
        if inside:
            found.append(positions.problem(role.place, f"{role.what} lies in {inside}", found=str(role.path)))
    journal = settings.landscape.dump_to_jsonl and settings.landscape.dump_to_jsonl_path
    if journal and not any(problem.key.endswith("dump_to_jsonl_path") for problem in found):
        try:
            require_journal(Path(journal))
        except SettingsError as error:
            found.append(positions.problem(("landscape", "dump_to_jsonl_path"), error.message))
    return found


def own_files(settings: Settings, plugins: Iterable[Plugin], settings_file: Path | None = None) -> Iterator[FileRole]:
    """Every file beside inputs and outputs: what Elspeth writes, and what settings and plugins consist of."""
    landscape = settings.landscape
    database = place_of(landscape.url)
    if not isinstance(database, PostgresPlace):
        yield FileRole("the audit database", database, True, ("landscape", "url"))
        for end in SIDE_FILES:
            yield FileRole(f"the audit database's {end[1:]} file", database.with_name(database.name + end), True)
    if landscape.dump_to_jsonl and landscape.dump_to_jsonl_path is not None:
        yield FileRole("the journal", Path(landscape.dump_to_jsonl_path), True, ("landscape", "dump_to_jsonl_path"))
    metrics = settings.telemetry.prometheus
    if metrics is not None and metrics.textfile is not None:
        place = ("telemetry", "prometheus", "textfile")
        yield FileRole("the file of metrics", Path(metrics.textfile), True, place)
    if settings_file is not None:
        yield FileRole("the settings file", settings_file, False)
    yield FileRole("the file of variables", Path(".env"), False)
    for index, file in enumerate(settings.plugins):
        yield FileRole(f"the plugin file {file}", Path(file), False, ("plugins", index))
    for plugin in plugins:
        for reference in plugin.reference_files():
            yield FileRole(f"the reference file {reference}", reference, False)


def own_folders(settings: Settings) -> dict[str, Path]:
    """The folders in which everything is Elspeth's, by what they are."""
    payloads = Path(settings.payload_store.base_path)
    database = place_of(settings.landscape.url)
    beside = payloads.parent if isinstance(database, PostgresPlace) else database.parent
    return {
        "the folder of locks": beside / "locks",
        "the payload store": payloads,
        "the folder of cut tails": payloads.parent / "cut",
        "the folder of notes on exports": payloads.parent / "exports",
        "the folder of what came by standard input": stdin_folder(payloads.parent),
    }


def inputs_of(plugin: Plugin) -> tuple[Path, ...]:
    """The files that a source is going to read, as far as its options say and they are there."""
    if isinstance(plugin, FileSource):
        return plugin.inputs()
    path = getattr(plugin.options, "path", None)
    return (Path(path),) if path is not None else ()


def _stdin_twice(steps: Iterable[Step], plugins: Mapping[str, Plugin], positions: Positions) -> Iterator[Problem]:
    readers = [
        step for step in steps if isinstance(plugin := plugins.get(step.id), FileSource) and plugin.options.reads_stdin
    ]
    for step in readers[1:]:
        message = f"{step.id} and {readers[0].id} both read standard input, which can be read once"
        yield positions.problem(step.at("options", "path"), message, found="-")


def _of_plugin(step: Step, plugin: Plugin) -> Iterator[FileRole]:
    place = step.at("options", "path")
    if isinstance(plugin, Sink):
        yield from (FileRole(step.id, path, True, place) for path in plugin.outputs())
    elif step.kind == "source":
        yield from (FileRole(step.id, path, False, place) for path in inputs_of(plugin))


def _inside(path: Path, folders: Mapping[str, Path]) -> str | None:
    real = os.path.realpath(path)
    for what, folder in folders.items():
        if real.startswith(os.path.realpath(folder) + os.sep):
            return what
    return None
