"""`elspeth` without the chain: a run's digests are all zeros, and the difference in time is what chaining costs.

    python ops/bench/unchained.py run --settings pipeline.yaml --execute

`elspeth verify` finds nothing in order that this leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from elspeth.audit.chain import digests
from elspeth.audit.chain.digests import GENESIS, Lines, TableDigest
from elspeth.audit.chain.records import Record

NOTHING = Lines(b"", b"", b"", b"")


def _no_lines(_table: str, _records: Sequence[Record], *_layout: object) -> Lines:
    return NOTHING


def _no_digest(table: str, count: int, _pieces: Sequence[Lines]) -> TableDigest:
    return TableDigest(table, count, GENESIS, b"")


digests.lines_of, digests.digest_lines = _no_lines, _no_digest

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])
    from elspeth.cli.app import main
    from elspeth.runs.lifecycle import fork_server

    fork_server.MODULES = (*fork_server.MODULES, "ops.bench.unchained")  # the children are forked from what imports it
    main()
