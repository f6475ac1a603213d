"""What a shell may complete: ids of runs, names of plugins, and sections and sinks of a pipeline file.

A completion must never hurt: it is asked for in the middle of typing. So it writes nothing, waits for nobody, says
nothing when something is wrong, and imports what it needs when it is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from elspeth.cli.context import CliContext

if TYPE_CHECKING:
    from elspeth.audit.store.place import Place

MOST_RUNS = 50
"""So many runs are offered, the latest: more cannot be looked through."""

MOST_BYTES = 1024 * 1024
"""Of a pipeline file; a larger one is none that somebody has written."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def runs(*, unfinished: bool = False) -> Complete:
    """Ids of runs, latest first, and `latest`; only those that can be resumed or given up if `unfinished`."""
    return _silent(partial(_runs, unfinished=unfinished))


def plugins() -> Complete:
    """Names of plugins that settings can name without naming a file."""
    return _silent(_plugins)


def assignments() -> Complete:
    """The beginning of SECTION.KEY=VALUE: sections, and the sinks of the pipeline file."""
    return _silent(_assignments)


def changeable() -> Complete:
    """The beginning of SECTION.KEY=VALUE: the keys that may be set when a run is resumed."""
    return _silent(_changeable)


def _silent(found: Callable[[click.Context], Iterable[tuple[str, str]]]) -> Complete:
    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(value, help=text) for value, text in found(ctx) if value.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - whatever it is, nobody wants to read of it while typing
            return []

    return complete


def _runs(ctx: click.Context, *, unfinished: bool) -> Iterator[tuple[str, str]]:
    from elspeth.audit.query.glance import recent_runs

    database = _database(ctx)
    if not isinstance(database, Path):
        return  # whoever types does not wait for a server
    found = recent_runs(database, MOST_RUNS, unfinished=unfinished)
    if found:
        yield "latest", f"{found[0].run_id}, {found[0].status}"
    yield from ((run.run_id, f"{run.status}, {run.started_at[:16].replace('T', ' ')}") for run in found)


def _database(ctx: click.Context) -> Place:
    from elspeth.audit.query.locate import PLACES, VARIABLE
    from elspeth.audit.store.place import place_of

    named = ctx.find_root().ensure_object(CliContext).database or os.environ.get(VARIABLE)
    return place_of(named) if named else next(place for place in PLACES if place.is_file())


def _plugins(ctx: click.Context) -> Iterator[tuple[str, str]]:
    from importlib.metadata import entry_points

    from elspeth.plugins.registry import BUILT_IN, ENTRY_POINT_GROUP

    kinds: dict[str, list[str]] = {}
    for kind, name in BUILT_IN:
        if ctx.params.get("kind") in (None, kind):
            kinds.setdefault(name, []).append(kind)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        kinds.setdefault(entry.name, []).append("from a package")
    return ((name, ", ".join(found)) for name, found in kinds.items())


def _assignments(ctx: click.Context) -> Iterator[tuple[str, str]]:
    from elspeth.settings.model import Settings

    for section in Settings.model_fields:
        yield f"{section}.", "a section of the settings"
    for sink, plugin in _sinks(ctx):
        yield f"sinks.{sink}.options.", f"options of sink {sink}, {plugin}"
        yield f"default_sink={sink}", f"sink {sink}, {plugin}"


def _changeable(_: click.Context) -> Iterator[tuple[str, str]]:
    from elspeth.settings.compare import CHANGEABLE
    from elspeth.settings.model import Settings

    for section in CHANGEABLE:
        for key in getattr(Settings.model_fields[section].annotation, "model_fields", {}):
            yield f"{section}.{key}=", "what cannot change results"


def _sinks(ctx: click.Context) -> Iterator[tuple[str, Any]]:
    import yaml

    from elspeth.settings.normalize import steps

    settings = ctx.params.get("file") or ctx.params.get("option") or Path("pipeline.yaml")
    if settings.is_file() and settings.stat().st_size <= MOST_BYTES:
        document = yaml.safe_load(settings.read_bytes())
        for (section, *names), step in steps(document):
            if section == "sinks":
                yield str(names[0]), step.get("plugin")
