"""Character encodings of outputs: which can be used, and what stands at the start of a file in them."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_MARKED = {
    "utf-8-sig": ("utf-8", codecs.BOM_UTF8),
    "utf-16": ("utf-16-le", codecs.BOM_UTF16_LE),
    "utf-32": ("utf-32-le", codecs.BOM_UTF32_LE),
}
_STATEFUL = ("utf-7", "hz", "iso2022", "idna", "punycode", "unicode_escape", "raw_unicode_escape")


@dataclass(frozen=True, slots=True)
class Encoding:
    """`codec` encodes any piece of text by itself; `mark` are the bytes that go before the first piece of a file."""

    codec: str
    mark: bytes = b""


def find_encoding(name: str) -> Encoding:
    """The encoding of this name. Raises `ValueError` for a name that is unknown or cannot be continued in the middle.

    Encodings with shift states (UTF-7, ISO-2022) are refused: what a character becomes depends there on what was
    written before it, which nobody knows after a restart.
    """
    try:
        canonical = codecs.lookup(name).name
        "x".encode(name)
    except (LookupError, ValueError, TypeError):
        raise ValueError(f"{name!r} is not a text encoding; use utf-8, or one such as latin-1 or cp1252") from None
    if canonical.startswith(_STATEFUL):
        raise ValueError(f"{name!r} has shift states and cannot be continued after a restart; use utf-8")
    if canonical in _MARKED:
        codec, mark = _MARKED[canonical]
        return Encoding(codec, mark)
    return Encoding(canonical)
