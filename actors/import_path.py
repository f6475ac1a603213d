"""Where imports come from, for a process that is to have them from the same places. Light: fork servers import it."""

from __future__ import annotations

import os
import sys


def import_path() -> list[str]:
    """`sys.path`, with the working directory of this moment where it says "here"."""
    return [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - pathlib is an import of 6 ms
