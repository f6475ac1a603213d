"""Files that a run makes beside those that its settings name: a name that leaves no room for them is found first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from elspeth.audit.store.place import Place, PostgresPlace, place_of
from elspeth.plugins.contract import Plugin
from elspeth.plugins.sinks.file_sink import FileSink
from elspeth.plugins.sinks.preflight import LONGEST_PATH
from elspeth.plugins.sinks.truncations import LONGEST_NAME, shortened
from elspeth.plugins.sources.file_set import stdin_folder
from elspeth.runs.lifecycle.file_roles import SIDE_FILES
from elspeth.runs.liveness.locks import lock_path
from elspeth.settings import Positions, Problem, Settings
from elspeth.settings.problems import KeyPath

_RUN = "x" * 8
_ATTEMPT = 9999
_UNGUESSED = "x" * 16  # the part of a passing file's name that nobody can guess


def problems(settings: Settings, plugins: Mapping[str, Plugin], positions: Positions) -> list[Problem]:
    """Every path of the settings behind, or beside, which a file could not be made that the run will need."""
    found: list[Problem] = []
    for place, file, what in _later(settings, plugins):
        why = _impossible(file)
        if why and not any(problem.key == positions.problem(place, "").key for problem in found):
            found.append(positions.problem(place, f"leaves no room for {what}: {why}", found=_shown(file)))
    return found


def default_journal(database: Place, state: Path, run_id: str) -> Path:
    """Where a run's journal is kept, if nobody says where: beside a database that is a file, else in `state`."""
    if isinstance(database, PostgresPlace):
        return state / f"audit.{run_id}.jsonl"
    return database.with_name(f"{database.stem}.{run_id}.jsonl")


def _later(settings: Settings, plugins: Mapping[str, Plugin]) -> Iterator[tuple[KeyPath, Path, str]]:
    landscape = settings.landscape
    database = place_of(landscape.url)
    url: KeyPath = ("landscape", "url")
    base = Path(settings.payload_store.base_path)
    store: KeyPath = ("payload_store", "base_path")
    if isinstance(database, PostgresPlace):
        locks = base.parent / "locks" / f"postgresql-{_UNGUESSED[:12]}"
        yield store, locks / f"{_RUN}.{_ATTEMPT}.lock", "the lock of an attempt"
    else:
        for end in ("", *SIDE_FILES):
            beside = database.with_name(database.name + end)
            yield url, beside, f"the database's {end[1:]} file" if end else "the database"
        yield url, lock_path(database, _RUN, _ATTEMPT), "the lock of an attempt"
    if landscape.dump_to_jsonl and landscape.dump_to_jsonl_path is None:
        yield url, default_journal(database, base.parent, _RUN), "the journal of a run"
    elif landscape.dump_to_jsonl:
        yield ("landscape", "dump_to_jsonl_path"), Path(str(landscape.dump_to_jsonl_path)), "the journal"
    yield store, base / "xx" / ("x" * 62), "a payload"
    yield store, stdin_folder(base.parent) / f"{_RUN}.partial", "what came by standard input"
    yield store, base.parent / "exports" / f".elspeth-{_UNGUESSED}.partial", "the note on an export"
    for name in settings.sinks:
        plugin = plugins.get(name)
        if not isinstance(plugin, FileSink):
            continue
        for path in plugin.outputs():
            beside = Path(os.path.realpath(path)).parent
            place = ("sinks", name, "options", "path")
            yield place, beside / f".elspeth-{_UNGUESSED}-{_UNGUESSED}.takeover", "the copy that a take-over makes"
            copy = shortened(path.name, f"-{10**15}-{'x' * 8}")
            yield store, base.parent / "cut" / copy, f"copies of what is cut off {_shown(path)}"


def _impossible(path: Path) -> str | None:
    """Why no file can have this path, whatever folders are made for it."""
    if "\0" in str(path):
        return "no name can hold the character NUL"
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST_NAME:
        return f"a name of {longest} bytes, where {LONGEST_NAME} are possible"
    whole = len(os.fsencode(path.absolute()))
    if whole >= LONGEST_PATH:
        return f"a path of {whole:,} bytes, where {LONGEST_PATH - 1:,} are possible"
    return None


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 80 else f"{text[:38]}...{text[-39:]}"
