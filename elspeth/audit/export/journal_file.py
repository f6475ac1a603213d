"""What a journal's file looks like, so that no journal is ever begun in a file that holds something else."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth.errors import SettingsError

BEGINS = b'{"table":'
"""How every line of a journal begins. A file that ends inside of it is one that somebody died over."""


def require_journal(path: Path, descriptor: int | None = None) -> None:
    """Raise `SettingsError` if the file is there and is no journal. `descriptor`: look into the one that was opened."""
    if descriptor is None:
        if not path.is_file():
            if path.exists():
                raise SettingsError(f"the journal {path} is not a file", next_step=_NEXT_STEP)
            return
        with path.open("rb") as file:
            found = file.read(len(BEGINS))
    else:
        found = os.pread(descriptor, len(BEGINS), 0)
    if not BEGINS.startswith(found):
        raise SettingsError(f"the journal {path} would be written into a file that holds something else",
                            next_step=_NEXT_STEP)  # fmt: skip


_NEXT_STEP = "name another file in landscape.dump_to_jsonl_path, or move that one away"
