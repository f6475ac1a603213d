"""Text from outside, made harmless to show: control characters are shown as what they are, not sent to a terminal.

Row data, headers, file names and error texts may hold escape sequences that recolour, overwrite or retitle a terminal,
and bidirectional controls that make a line read as another one than it is (CVE-2021-42574).
"""

from __future__ import annotations

import re

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN = "\u2028\u2029\ufeff\ufdd0-\ufdef"
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}{_HIDDEN}]")
_BEYOND_JSON = re.compile(f"[\x7f-\x9f{_BIDI}{_HIDDEN}]")


def visible(text: str) -> str:
    """The text with C0 and C1 controls, bidirectional controls and line separators of Unicode written as escapes.

    Line feeds and tabs stay.

    >>> visible("red: \\x1b[31m")
    'red: \\\\x1b[31m'
    """
    return _CONTROLS.sub(_escape, text)


def visible_json(text: str) -> str:
    """JSON text with the same characters escaped, as JSON escapes them; its value stays what it was."""
    return _BEYOND_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def one_line(text: str) -> str:
    """The text as it can stand in a line: line feeds and tabs are shown, too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, most: int) -> str:
    """The text, or its first `most` characters and how many more there are."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
