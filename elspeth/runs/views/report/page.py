"""The page that draws a report: one file of ours, which asks nothing of anybody and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from elspeth.canonical import JsonObject
from elspeth.runs.views.report.value import as_text

MARK = "<!-- elspeth report -->"
"""What a report begins with: it may take the place of another one, and of no other file."""


def page(value: JsonObject) -> str:
    """The whole page, with the value inside.

    The value is data in a script element: nothing in it can end the element, since it has no `<`. What the page may
    load is said in its Content-Security-Policy: nothing; what it may run: the one script with this hash.
    """
    text = as_text(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return _drawn(text, _part("page.js"))


def live_page() -> tuple[bytes, str]:
    """The page that is sent its values one after the other, and its policy, which is to be sent as a header as well.

    It may load from where it came, and is shown in no frame of anybody's.
    """
    more = " connect-src 'self';"
    scripts = (_part("page.js"), _part("page.live.js"))
    return _drawn("null", *scripts, more=more).encode(), _policy(*scripts, more=more) + "; frame-ancestors 'none'"


def _drawn(value: str, *scripts: str, more: str = "") -> str:
    parts = {
        "POLICY": _policy(*scripts, more=more),
        "STYLE": _part("page.css"),
        "SCRIPT": "</script>\n<script>".join(scripts),
        "VALUE": value,
    }
    return "".join(parts.get(piece, piece) for piece in _part("page.html").split("@@"))


def _policy(*scripts: str, more: str) -> str:
    ours = " ".join(f"'{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; style-src '{_hash(_part('page.css'))}'; script-src {ours};{more} base-uri 'none';"
        " form-action 'none'; require-trusted-types-for 'script'"
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
