"""What verification finds: one frozen value per contradiction, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "schema",  # the database's structure is not what it was made as
    "integrity",  # SQLite finds the database's pages out of order
    "chain",  # the links between commits do not hold
    "signature",  # a commit is not signed with the key
    "unfinished",  # with the key: the run has no end that is signed
    "changed", "added", "removed", "moved",  # a record is not what a commit wrote
    "state",  # a run's status says something else than its chained events
    "hash",  # data does not have the hash recorded beside it
    "reference",  # a record names another that does not exist
    "account",  # a row or token without its one outcome, or with more
    "output",  # a file is not what a run wrote
    "payload",  # a file of the payload store is gone, or not what its name says
    "journal",  # a journal does not hold what was committed
    "export",  # an exported file is not what its manifest says
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One contradiction. `record` is the key of the record concerned, `commit_no` the commit it belongs to."""

    kind: Kind
    sentence: str
    table: str | None = None
    record: str | None = None
    commit_no: int | None = None
