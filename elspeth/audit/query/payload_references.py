"""Which contents in the payload store belong to a run."""

from __future__ import annotations

from collections.abc import Iterator

from elspeth.audit.chain.records import COLUMNS, REFERENCES
from elspeth.audit.connection import Connection
from elspeth.audit.query import reference_files


def references(connection: Connection, run_id: str) -> Iterator[tuple[str, str, str, str, int]]:
    """Table, column, record, reference and commit of everything that a run keeps in the payload store."""
    for table, key, column in (
        (table, COLUMNS[table][0], column) for table, columns in REFERENCES.items() for column in columns
    ):
        for record, reference, commit_no in connection.execute(
            f"SELECT {key}, {column}, commit_no FROM {table} WHERE {key} >= ? AND {key} < ? AND {column} IS NOT NULL",
            (run_id, f"{run_id}~"),
        ):
            yield table, column, record, str(reference), commit_no
    for event, reference, commit_no in reference_files.kept(connection, run_id):
        yield "supervision_events", "detail", event, reference, commit_no
