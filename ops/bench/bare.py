"""The comparison with the same audit: `plain`, and all the records of the threshold pipeline, in one process.

`bare.py INPUT OUTPUT_FOLDER DATABASE` writes the same rows with the same hashes, the same pragmas, the same chain and
the same patience of the cyclic collector, by `executemany`, a commit every 1,000 rows. It checks nothing, and has no
supervision, no restart and no resume: what it takes is what the records themselves cost.
"""

from __future__ import annotations

import csv
import gc
import hashlib
import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from elspeth.audit.chain import digests
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.mapping.names import Names
from elspeth.audit.mapping.pack import packed
from elspeth.audit.mapping.stored_frames import stored_frame, stored_records
from elspeth.audit.store import database, schema
from elspeth.audit.store.commits.commit_records import PreparedCommit
from elspeth.clock import utc_now

COMMIT_ROWS = 1000
RUN = "bare0000"


class Audit:
    """Records of one run, inserted and chained commit by commit."""

    def __init__(self, path: Path) -> None:
        self.connection = database.open_writer(path)
        self.create()
        needed = [column[1] for column in self.connection.execute("PRAGMA table_info(runs)") if column[3]]
        self.connection.execute(  # records are those of a run that there is
            f"INSERT INTO runs ({', '.join(needed)}) VALUES ({', '.join('?' * len(needed))})",
            [RUN if column == "run_id" else 0 for column in needed],
        )
        self.number, self.head = 0, digests.GENESIS
        self.clear()

    def create(self) -> None:
        """Lay the database out."""
        schema.create(self.connection)
        self.names = Names(self.connection, RUN)

    def stored(self) -> dict[str, list[Any]]:
        """What is inserted of the records of a commit, by the table into which."""
        small = {
            table: stored_records(table, stored_frame(table, records), self.names.numbers)
            for table, records in packed(self.records).items()
        }
        return {"checkpoints": self.records["checkpoints"], **small}

    def clear(self) -> None:
        """Begin the next commit."""
        self.records: dict[str, list[Any]] = {
            name: [] for name in ("rows", "tokens", "node_states", "routing_events", "token_outcomes", "checkpoints")
        }

    def commit(self) -> None:
        """One transaction with everything since the last."""
        made = [digests.digest_table(name, rows) for name, rows in self.records.items() if rows]
        batch = PreparedCommit(RUN, {}, {}, made)
        self.connection.execute("BEGIN IMMEDIATE")
        for table, records in self.stored().items():
            self.connection.executemany(batch.insert(table), [(self.number, *record) for record in records])
        at = utc_now()
        digest = digests.digest_commit(self.head, RUN, 1, self.number, at, batch.digests)
        self.connection.execute(
            "INSERT INTO commits (run_id, commit_no, attempt, previous_digest, digest, record_count, committed_at,"
            " layout) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                RUN,
                self.number,
                1,
                self.head,
                digest,
                sum(part.record_count for part in batch.digests),
                at,
                NEWEST.number,
            ),
        )
        self.connection.executemany(
            "INSERT INTO commit_tables (run_id, commit_no, table_name, record_count, digest, marks, purgeable_digest,"
            " purgeable_marks) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (RUN, self.number, part.table, part.record_count, part.digest, part.marks, part.purgeable_digest,
                 part.purgeable_marks)
                for part in batch.digests
            ],
        )  # fmt: skip
        self.connection.execute("COMMIT")
        self.number, self.head = self.number + 1, digest
        self.clear()


class Output:
    """One CSV output, buffered until its commit, with the running hash that a position needs."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.text = io.StringIO()
        self.writer = csv.writer(self.text, lineterminator="\r\n")
        self.hash = hashlib.sha256()
        self.rows = 0

    def write(self, row: dict[str, Any]) -> int:
        """Write a row; answers its number."""
        if not self.rows:
            self.writer.writerow(row)
        self.writer.writerow(row.values())
        self.rows += 1
        return self.rows

    def flush(self) -> None:
        """Make it durable."""
        data = self.text.getvalue().encode()
        self.hash.update(data)
        self.file.write(data)
        self.file.flush()
        os.fdatasync(self.file.fileno())
        self.text.seek(0)
        self.text.truncate()


def main(source: Path, folder: Path, path: Path, kind: type[Audit] = Audit) -> None:
    """The threshold pipeline with its audit trail, of this kind, in one loop."""
    gc.freeze()
    gc.set_threshold(50_000)
    condition = eval("lambda row: row['amount'] > 1000")
    folder.mkdir(parents=True, exist_ok=True)
    audit = kind(path)
    outputs = {"normal": Output(folder / "normal.csv"), "high_values": Output(folder / "high_values.csv")}
    reasons = {
        answer: orjson.dumps({"condition": "row['amount'] > 1000", "answer": answer}).decode()
        for answer in (True, False)
    }
    encode, sha256, clock = orjson.dumps, hashlib.sha256, time.perf_counter
    with source.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        for index, values in enumerate(rows):
            if not index % 100:
                now = utc_now()
            began = clock()
            row: dict[str, Any] = dict(zip(header, values, strict=True))
            row["id"], row["amount"] = int(row["id"]), int(row["amount"])
            row_id = f"{RUN}-{index:09d}"
            digest = sha256(encode(row, option=orjson.OPT_SORT_KEYS)).hexdigest()
            records = audit.records
            records["rows"].append(
                (row_id, index, "source", digest, encode(row).decode(), None, rows.line_num, now)
            )  # fmt: skip
            records["tokens"].append((row_id, row_id, None, now))
            answer = condition(row)
            state = f"{row_id}:0"
            sink = "high_values" if answer else "normal"
            number = outputs[sink].write(row)
            spent = round((clock() - began) * 1000, 3)
            records["node_states"].append(
                (
                    state,
                    row_id,
                    "amount_threshold",
                    0,
                    1,
                    "completed",
                    digest,
                    digest,
                    None,
                    None,
                    None,
                    now,
                    now,
                    spent,
                )
            )
            edge = "amount_threshold:true" if answer else "amount_threshold:false"
            records["routing_events"].append((state, state, edge, "move", reasons[answer], now))
            records["token_outcomes"].append(
                (row_id + "=", row_id, "routed" if answer else "completed", 1, sink, number, None, None, now)
            )
            if not (index + 1) % COMMIT_ROWS:
                finish(audit, outputs, row_id, index)
        if audit.records["rows"]:
            finish(audit, outputs, row_id, index)
    for output in outputs.values():
        output.file.close()
    audit.connection.execute("PRAGMA journal_mode = DELETE")
    audit.connection.close()


def finish(audit: Audit, outputs: dict[str, Output], row_id: str, index: int) -> None:
    """Outputs first, then the commit that mentions them."""
    positions = {}
    for name, output in outputs.items():
        output.flush()
        positions[name] = {"size": output.file.tell(), "sha256": output.hash.copy().hexdigest(), "rows": output.rows}
    message = orjson.dumps({"rows": index + 1, "sinks": positions}).decode()
    audit.records["checkpoints"].append(
        (f"{RUN}#{audit.number:09d}", 1, audit.number, row_id, row_id, message, utc_now())
    )  # fmt: skip
    audit.commit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
