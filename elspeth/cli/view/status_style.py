"""The colour of a run's status or verdict: it repeats what the word beside it says, and never stands for it."""

from __future__ import annotations

import re

_WORDS = {
    "red": ("failed", "orphaned", "frozen", "dead", "unknown"),
    "yellow": ("interrupted", "stopped", "given", "see"),
    "green": ("completed", "alive"),
    "cyan": ("running",),
}


def style_of(status: str) -> str:
    """The style for a status as it is shown; of several words (`running (orphaned)`) the worst one decides."""
    words = set(re.findall("[a-z]+", status))
    return next((style for style, names in _WORDS.items() if words & set(names)), "bold")
