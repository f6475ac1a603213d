"""A record of any audited table that would be another one, or gone, or there twice, stops a database's way forward."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.evidence.test_next_layout import NEXT
from tests.kit.fixtures.unpack import KEY, layouts, unpack
from tests.kit.processes.running import environment

BENDING = """
import sys
from pathlib import Path
from elspeth.audit import migration
from elspeth.audit.chain.layouts import LAYOUTS, NEWEST
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError
from tests.kit.fixtures.tampering import tampering

path, how, key = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
who = {"user": "ada", "uid": 1, "command_line": "elspeth doctor --fix", "reason": None}
renew, repack = migration._renew, migration._repack
# Where a view has come in place of a table, what its records hold is bent.
BEHIND = {
    "rows": ("token_records", "created_at", "source_data", "what < 3"),
    "tokens": ("token_records", "created_at", None, "what <> 2"),
    "node_states": ("state_records", "duration", "output_data", "what < 3"),
    "routing_events": ("state_records", "routed", "reason", "what > 1"),
    "token_outcomes": ("outcome_records", "recorded_at", "error_json", "1"),
}


def content():
    with tampering(path) as database:
        return list(database.iterdump())


def bend(connection, name, *rest):
    renew(connection, name, *rest)
    if name != table:
        return
    column = LAYOUTS[1].columns[table][-1]
    first = f"commit_no = (SELECT min(commit_no) FROM {name})"
    if how == "another":
        connection.execute(f"UPDATE {name} SET {column} = coalesce({column}, '') || 'x' WHERE {first}")
    elif how == "erased":
        connection.execute(f"UPDATE {name} SET {erasable} = NULL")
    elif how == "of no run, and gone":
        connection.execute(f"DELETE FROM {name} WHERE run_id = 'zzzzzzzz'")
    elif how == "of another commit":
        connection.execute(f"UPDATE {name} SET commit_no = commit_no + 1 WHERE {first}")
    else:
        connection.execute(f"DELETE FROM {name} WHERE {first}")


def bend_records(connection, form, *rest):
    repack(connection, form, *rest)
    if table not in form.holds:
        return
    name, column, erased, those = BEHIND[table]
    first = f"{those} AND commit_no = (SELECT min(commit_no) FROM {name} WHERE {those})"
    if how == "another":
        connection.execute(f"UPDATE {name} SET {column} = coalesce({column}, '') || 'x' WHERE {first}")
    elif how == "erased":
        connection.execute(f"UPDATE {name} SET {erased} = NULL")
    elif how == "of no run, and gone":
        connection.execute(f"DELETE FROM {name} WHERE {those} AND substr({form.key}, 1, 8) = 'zzzzzzzz'")
    elif how == "of another commit":
        connection.execute(f"UPDATE {name} SET commit_no = commit_no + 1 WHERE {first}")
    else:
        connection.execute(f"DELETE FROM {name} WHERE {first}")


if how == "of no run, and gone":
    with tampering(path) as database:
        for table in NEWEST.columns.keys() - {"runs"}:
            columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
            made = [
                "'zzzzzzzz'" if name == "run_id" or name == LAYOUTS[1].columns[table][0] else f'"{name}"'
                for name in columns
            ]
            database.execute(f"INSERT INTO {table} SELECT {', '.join(made)} FROM {table} LIMIT 1")
migration._renew, migration._repack = bend, bend_records
before = content()
for table in NEWEST.columns:
    erasable = next(iter(NEWEST.purgeable.get(table, ())), None)
    if (how == "erased" and erasable is None) or (how == "of no run, and gone" and table == "runs"):
        continue
    try:
        AuditWriter(path, signing_key=key.encode() or None, migrate=who).close()
    except ElspethError as error:
        assert "would not be what it was" in error.message, error.message
        # A token and a state go with what they share a record with.
        with_it = {"tokens": "rows", "routing_events": "node_states"}.get(table, table)
        assert table in error.message or with_it in error.message, (table, error.message)
    else:
        raise AssertionError(f"{table} was bent, and nobody noticed")
    assert content() == before, table
migration._renew, migration._repack = renew, repack
AuditWriter(path, signing_key=key.encode() or None, migrate=who).close()
assert content() != before
"""


@pytest.mark.parametrize("key", [KEY, ""], ids=["key", "no key"])
@pytest.mark.parametrize("how", ["another", "erased", "of another commit", "gone", "of no run, and gone"])
@pytest.mark.parametrize("layout", layouts())
def test_what_would_be_bent_stops_it_and_leaves_all_as_it_was(how: str, key: str, layout: int, tmp_path: Path) -> None:
    folder = unpack("every_table", tmp_path / "kept", layout=layout)
    words = [sys.executable, "-c", BENDING, folder / "runs" / "audit.db", how, key]
    done = subprocess.run(words, env=environment(PYTHONPATH=NEXT), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
