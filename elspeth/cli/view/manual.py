"""The commands as manual pages (man(7)): what `--help` says, for `man elspeth-run`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from elspeth import __version__

EXIT_CODES = (
    "0: done. 1: the run failed, or something is wrong. 2: command line or settings cannot be used. 3: run already in"
    " progress. 4: run not found. 5: no checkpoint. 6: configuration mismatch. 7: source changed. 8: an output is"
    " damaged. 9: taken over. 10: rows came and none went a normal way. 12: a person must act. 13: written by a newer"
    " Elspeth. 75: temporary, mend and resume. 129, 130, 143: stopped by a signal."
)


def pages(root: click.Group) -> Iterator[tuple[str, str]]:
    """File name and text of each page: one of the whole, one of each command and of each command within it."""
    context = click.Context(root, info_name="elspeth", **root.context_settings)
    yield "elspeth.1", _page(root, context, ("elspeth",))
    yield from _below(root, context, ("elspeth",))


def _below(group: click.Group, context: click.Context, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        here = (*words, name)
        # Below the context of its group, as when it is called: a command keeps the names of its help option from there.
        inner = click.Context(command, parent=context, info_name=name)
        yield f"{'-'.join(here)}.1", _page(command, inner, here)
        if isinstance(command, click.Group):
            yield from _below(command, inner, here)


def _page(command: click.Command, context: click.Context, words: Sequence[str]) -> str:
    title = "-".join(words)
    summary, *rest = _paragraphs(command.help or command.short_help or "")
    lines = [
        f'.TH "{title.upper()}" "1" "" "Elspeth {__version__}" "Elspeth"',
        ".SH NAME",
        f"{_text(title)} \\- {_text(summary[:1].lower() + summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(' '.join(words))}",
        _text(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        _text(summary),
    ]
    for paragraph in rest:
        lines += [".PP", _text(paragraph)]
    lines += _options(command, context)
    if isinstance(command, click.Group):
        lines += _commands(command, context, words)
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.strip()]
    if examples:
        lines += [".SH EXAMPLES", ".nf", *map(_text, examples), ".fi"]
    lines += [".SH EXIT STATUS", _text(EXIT_CODES), ".SH SEE ALSO", _see_also(words)]
    return "\n".join(lines) + "\n"


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            lines += [".TP", f".B {_text(record[0])}", _text(record[1] or "")]
    return [".SH OPTIONS", *lines] if lines else []


def _commands(group: click.Group, context: click.Context, words: Sequence[str]) -> list[str]:
    lines = [".SH COMMANDS"]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        lines += [".TP", f".B {_text('-'.join((*words, name)))}(1)", _text(command.get_short_help_str(limit=200))]
    return lines


def _see_also(words: Sequence[str]) -> str:
    above = ["-".join(words[:count]) for count in range(1, len(words))] or ["elspeth-run", "elspeth-resume"]
    return ", ".join(f"\\fB{_text(name)}\\fP(1)" for name in above)


def _paragraphs(help_text: str) -> list[str]:
    found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", help_text.strip())]
    return [part for part in found if part] or [""]


def _text(text: str) -> str:
    """As roff takes it: nothing of it is a request or an escape."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))
