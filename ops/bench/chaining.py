"""Measures what chaining costs a run: the time to digest all its records, against the time the run took.

    python ops/bench/chaining.py runs/audit.db [RUN_ID]

Digests every commit of a finished run once more, from its records in memory, with the functions that the audit process
uses, and compares the processor time with the run's duration on the same machine. Exits with 1 above a tenth.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

from elspeth.audit import chain
from elspeth.audit.batch import key_columns
from elspeth.audit.reader import AuditReader
from elspeth.audit.records import COLUMNS

LIMIT = 0.1


def digesting(reader: AuditReader, run_id: str) -> tuple[float, int]:
    """Seconds of processor time to digest all records of the run, commit by commit; and how many there are."""
    seconds, count = 0.0, 0
    for table, names in COLUMNS.items():
        columns = ", ".join(f'"{name}"' for name in names)
        order = ", ".join(key_columns(table))
        by_commit: dict[int, list[tuple[object, ...]]] = {}
        for row in reader.connection.execute(
            f"SELECT {columns}, commit_no FROM {table} WHERE run_id = ? ORDER BY {order}", (run_id,)
        ):
            by_commit.setdefault(row[-1], []).append(row[:-1])
        begun = time.process_time()
        for records in by_commit.values():
            chain.digest_table(table, records)
        seconds += time.process_time() - begun
        count += sum(map(len, by_commit.values()))
    return seconds, count


def main() -> int:
    """Print the measure; answers the exit code."""
    with AuditReader(Path(sys.argv[1])) as reader:
        run = reader.run(sys.argv[2] if len(sys.argv) > 2 else "latest")
        if run.completed_at is None:
            sys.exit(f"run {run.run_id} is not complete")
        seconds, records = digesting(reader, run.run_id)
        rows = reader.row_count(run.run_id)
    begun, ended = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in (run.started_at, run.completed_at))
    whole = (ended - begun).total_seconds()
    share = seconds / whole
    print(f"run {run.run_id}: {rows:,} rows, {records:,} records, {whole:.2f} s")
    print(f"chaining: {seconds:.2f} s, {seconds / max(records, 1) * 1e6:.2f} us a record, {share:.1%} of the run")
    return 0 if share <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
