"""Markdown taken apart: headings, links, and the fenced blocks that a reader may type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)\s*$")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line it starts in (from 1)."""

    language: str
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    fence, language, begin = "", "", 0
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.match(line.strip())
        if fence and match and match[1].startswith(fence) and not match[2]:
            yield Block(language, "\n".join(inside) + "\n", begin)
            fence = ""
        elif fence:
            inside.append(line)
        elif match:
            fence, language, begin, inside = match[1], match[2], number, []


def prose(text: str) -> str:
    """A document without its fenced blocks and its inline code."""
    kept, fence = [], ""
    for line in text.splitlines():
        match = _FENCE.match(line.strip())
        if match and (not fence or match[1].startswith(fence)):
            fence = "" if fence else match[1]
        elif not fence:
            kept.append(re.sub(r"`[^`]*`", "", line))
    return "\n".join(kept)


def links(text: str) -> list[str]:
    """The targets of all links of a document."""
    return _LINK.findall(prose(text))


def anchors(file: Path) -> set[str]:
    """The names by which links reach the headings of a document."""
    names = set()
    for line in prose(file.read_text(encoding="utf-8").replace("`", "")).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip().lower()
            names.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    return names
