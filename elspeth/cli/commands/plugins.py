"""`elspeth plugins`: which plugins there are, and what each one takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, ExamplesGroup, json_option, pass_context
from elspeth.cli.shared_options import plugin_files_option
from elspeth.errors import EXIT_OK, SettingsError
from elspeth.plugins import registry
from elspeth.plugins.describe import Description, Option, describe
from elspeth.settings import suggest

KINDS = ("source", "transform", "aggregation", "sink")

_kind_option = click.option("--kind", type=click.Choice(KINDS), help="Plugins of this kind only.")


@click.group(
    "plugins",
    cls=ExamplesGroup,
    epilog="""
        elspeth plugins list
        elspeth plugins inspect csv --kind source
    """,
)
def command() -> None:
    """List plugins, and what each one takes."""


@command.command(
    "list",
    cls=Examples,
    epilog="""
        elspeth plugins list
        elspeth plugins list --kind sink --json
        elspeth plugins list --file ./my_plugins.py
    """,
)
@_kind_option
@plugin_files_option
@json_option
@pass_context
def list_plugins(context: CliContext, kind: str | None, files: tuple[Path, ...]) -> int:
    """List the plugins that settings can name: built in, from packages, and from files that are named here."""
    registry.load_files(files, named_in="--file")
    found = [plugin for plugin in registry.available() if kind in (None, plugin.kind)]
    if context.json:
        output.result_json([asdict(plugin) for plugin in found])
        return EXIT_OK
    rows = [(plugin.kind, plugin.name, plugin.origin, plugin.summary) for plugin in found]
    output.result(output.table(["kind", "name", "from", "what it does"], rows, whole=("kind", "name")))
    return EXIT_OK


@command.command(
    "inspect",
    cls=Examples,
    epilog="""
        elspeth plugins inspect csv
        elspeth plugins inspect csv --kind sink
        elspeth plugins inspect field_mapper --json
    """,
)
@click.argument("name", shell_complete=completion.plugins())
@_kind_option
@plugin_files_option
@json_option
@pass_context
def inspect(context: CliContext, name: str, kind: str | None, files: tuple[Path, ...]) -> int:
    """Show a plugin: what it does, its options with types and defaults. A name may stand for plugins of two kinds."""
    registry.load_files(files, named_in="--file")
    known = [plugin for plugin in registry.available() if kind in (None, plugin.kind)]
    found = [describe(registry.find(plugin.kind, plugin.name)) for plugin in known if plugin.name == name]
    if not found:
        raise _unknown(name, kind, known)
    if context.json:
        output.result_json([asdict(each) for each in found])
    else:
        output.result("\n\n\n".join(_text(each) for each in found))
    return EXIT_OK


def _unknown(name: str, kind: str | None, known: list[registry.PluginInfo]) -> SettingsError:
    names = sorted({plugin.name for plugin in known})
    guess = suggest(name, names)
    return SettingsError(
        f"there is no {kind or 'plugin'} called {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
        details=[f"known: {', '.join(names)}"],
        next_step="elspeth plugins list",
    )


def _text(plugin: Description) -> str:
    facts = [
        ("version", f"{plugin.version} (plugin API {plugin.api_version})"),
        ("determinism", plugin.determinism),
        ("delivery", (plugin.delivery or "").replace("_", " ")),
        ("creates rows", "yes" if plugin.creates_rows else ""),
        ("module", plugin.module),
        ("source hash", plugin.source_hash),
    ]
    lines = [output.styled(f"{plugin.kind} {plugin.name}", "bold"), "", *_paragraphs(plugin.text, output.width())]
    lines += [f"{name:<13} {value}" for name, value in facts if value]
    options = list(_rows(plugin.options))
    table = output.table(["option", "type", "default", "meaning"], options) if options else "It takes no options."
    results = list(plugin.result_fields.items())
    return "\n".join([*lines, "", table, *(["", output.table(["result", "meaning"], results)] if results else [])])


def _paragraphs(text: str, room: int) -> Iterable[str]:
    """The text in lines that fit; indented lines, such as examples, stay as they are."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(" "):
            yield from (*paragraph.splitlines(), "")
        else:
            yield from (*output.wrapped(" ".join(paragraph.split()), room), "")


def _rows(options: Iterable[Option], within: str = "") -> Iterable[tuple[str, str, str, str]]:
    for option in options:
        default = "required" if option.required else _shown(option.default)
        yield f"{within}{option.name}", option.type, default, option.description
        yield from _rows(option.within, f"{within}{option.name}.")


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
        case _:
            return str(value)
