"""The comparison with records as they were before they were small: `bare`, with the layout of earlier databases.

`bare_texts.py INPUT OUTPUT_FOLDER DATABASE` inserts every record as it is read, into a table of its own: text keys,
hashes and times as texts, a token beside each row, a decision beside each state, as a good loop with an audit would.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from elspeth.audit.store import schema
from ops.bench import bare

LAYOUT = 2
"""The last version of the schema of which that is so."""


class Texts(bare.Audit):
    """Records of one run, each in its table as people read it."""

    def create(self) -> None:
        """Lay the database out as it was."""
        for statement in schema.past(LAYOUT):
            self.connection.execute(statement)

    def stored(self) -> dict[str, list[Any]]:
        """The records of a commit as they are."""
        return self.records


if __name__ == "__main__":
    bare.main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), Texts)
