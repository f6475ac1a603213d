"""What each run of a database follows: the head of the run before it, so that none can be taken away unnoticed.

A run that began here says so in its first commit. One that was copied here began elsewhere, behind a run that may not
be here; its place is in the operator's action that copied it, which is part of its chain like any other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from elspeth.audit.connection import Connection

COPY = "copy"
"""The operator's action that a copied run ends with where it came to."""


class Place(NamedTuple):
    """A run, the digest that it follows here, and the layout of the commit that says so (None: the first layout).

    `began_behind` is what it followed where it began: for most runs the same.
    """

    run_id: str
    follows: str
    layout: int | None
    began_behind: str


def arrival(follows: str, origin: str, number: int, digest: str) -> dict[str, Any]:
    """The detail of a copy: what the run follows here, the database it came from, and its head there."""
    return {"follows": follows, "from": origin, "head": {"commit_no": number, "digest": digest}}


def places(connection: Connection) -> list[Place]:
    """Where each run stands, ordered by id."""
    found = {
        run_id: Place(run_id, digest, layout, digest)
        for run_id, digest, layout in connection.execute(
            "SELECT run_id, previous_digest, layout FROM commits WHERE commit_no = 0 ORDER BY run_id"
        )
    }
    for run_id, detail, layout in connection.execute(
        "SELECT a.run_id, a.detail, c.layout FROM operator_actions AS a"
        " JOIN commits AS c ON c.run_id = a.run_id AND c.commit_no = a.commit_no"
        " WHERE a.action = ? ORDER BY a.run_id, a.commit_no",
        (COPY,),
    ):
        if run_id in found:
            found[run_id] = Place(run_id, _followed(detail), layout, found[run_id].began_behind)
    return list(found.values())


def _followed(detail: object) -> str:
    """What a copy says that its run follows; nothing that could be found, where it cannot be read."""
    try:
        return str(orjson.loads(detail)["follows"])  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError):
        return ""
