"""Texts that not every database holds: a NUL byte ends a text in one, and is no part of any in another.

They are told as JSON strings, readably, and so that what was meant can be said again. This is done where a record is
made, so that its digest is the same wherever it is stored.
"""

from __future__ import annotations

import json
import re

_ODD = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text, or where it holds NUL or half a pair of surrogates, what JSON makes of it.

    >>> storable("a\\x00b")
    '"a\\\\u0000b"'
    """
    if not _ODD.search(text) and original(text) == text:
        return text
    return _ODD.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def storable_or_none(text: str | None) -> str | None:
    """The same of what may be missing."""
    return None if text is None else storable(text)


def original(text: str) -> str:
    """What `storable` was given."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"' or "\\u" not in text:
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    # One that would have been stored as it is stands for itself.
    return found if isinstance(found, str) and (_ODD.search(found) or original(found) != found) else text
