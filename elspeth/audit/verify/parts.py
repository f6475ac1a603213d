"""The parts of a verification that take long and need nothing of each other, so that several processes can share them.

What a part finds is the same wherever it is looked at, and so is the order in which parts are asked for their findings.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from elspeth.audit.chain.records import FIXED
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_sqlite
from elspeth.audit.purge import ABOUT_ROWS, PURGE, REMOVE, last_action
from elspeth.audit.verify import consistency, links
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.table import NAMED, TableVerifier


class Part(NamedTuple):
    """One question about a run: `about` is a table, or the place of a reference in the list of all."""

    question: str
    about: str = ""


@dataclass(slots=True)
class Found:
    """What one part found. Of a table besides: removed and added records by mark, and what its records hold."""

    findings: list[Discrepancy] = field(default_factory=list)
    lost: list[tuple[bytes, Discrepancy]] = field(default_factory=list)
    found: list[tuple[bytes, Discrepancy]] = field(default_factory=list)
    contents: consistency.Contents | None = None


_LONG = ("node_states", "routing_events", "rows", "calls", "batch_members", "token_outcomes", "tokens", "token_parents")

INTEGRITY, LINKS = Part("integrity"), Part("links")


def records_of(table: str) -> Part:
    """Whether the records of a table are what its commits wrote."""
    return Part("records", table)


def between(question: str) -> Part:
    """One of `consistency.questions`."""
    return Part("between", question)


def tables(connection: Connection, run_id: str) -> list[str]:
    """The tables of which a run should have records: not those about rows once it was removed as a whole."""
    removed = last_action(connection, run_id, REMOVE) > 0
    return [table for table in FIXED if not (removed and table in ABOUT_ROWS)]


def planned(connection: Connection, run_id: str, *, alone: bool) -> list[Part]:
    """All parts of this verification, those first that take longest: the last ones are small, and fill the gaps."""
    there = tables(connection, run_id)
    about_rows = len(there) == len(FIXED)
    asked = consistency.questions(connection, run_id) if about_rows else []
    return [
        *(records_of(table) for table in sorted(there, key=_place)),
        *(between(question) for question in sorted(asked, key=lambda name: name != "node_states.token_id")),
        LINKS,
        *(() if alone else (INTEGRITY,)),
    ]


def _place(table: str) -> int:
    return _LONG.index(table) if table in _LONG else len(_LONG)


def look(connection: Connection, run_id: str, key: bytes | None, part: Part) -> Found:
    """Look at one part."""
    if part == INTEGRITY:
        return Found(list(_integrity(connection)))
    if part == LINKS:
        return Found(list(links.links(connection, run_id, key)))
    if part.question == "records":
        return _table(connection, run_id, part.about)
    return Found(list(consistency.answer(connection, run_id, part.about)))


def _table(connection: Connection, run_id: str, name: str) -> Found:
    contents = consistency.Contents(name)
    verifier = TableVerifier(
        connection,
        run_id,
        name,
        purged_before=last_action(connection, run_id, PURGE),
        contents=contents,
    )
    try:
        findings = verifier.run()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        what = f"{name} holds text that is not UTF-8: {error}"
        return Found([Discrepancy("changed", what, name)], verifier.lost, verifier.found)
    return Found(findings, verifier.lost, verifier.found, contents)


def _integrity(connection: Connection) -> Iterator[Discrepancy]:
    """Records out of order are found by a scan and not by their key: one question sees them, another does not."""
    if not is_sqlite(connection):
        return  # a server's own checksums are its business
    for (sentence,) in connection.execute(f"PRAGMA main.integrity_check({NAMED})"):
        if sentence != "ok":
            yield Discrepancy("integrity", f"the database is damaged: {' '.join(str(sentence).split())}")
