"""What is on record of the reference files that an attempt began with: their hashes, and what was kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from elspeth.audit.connection import Connection

EVENT = "references"
"""The event of an attempt whose detail says it."""


class ReferenceFile(msgspec.Struct, frozen=True):
    """A file that decides results. `sha256` in hex, `size` in bytes; `kept`: its content is in the payload store."""

    sha256: str
    size: int
    kept: bool


ReferenceFiles = Mapping[str, ReferenceFile]
"""By path, as the plugins' options name it."""


def decoded(detail: str | None) -> ReferenceFiles:
    """What such an event says. Raises `msgspec.DecodeError` where it is nothing of the kind."""
    return msgspec.json.decode(detail or "", type=dict[str, ReferenceFile])


def kept(connection: Connection, run_id: str) -> Iterator[tuple[str, str, int]]:
    """Event, reference into the payload store and commit of each content that a run keeps of such files.

    What cannot be read was changed by hand: the chain says so, and it names nothing.
    """
    for event_id, detail, commit_no in connection.execute(
        "SELECT event_id, detail, commit_no FROM supervision_events WHERE event_id >= ? AND event_id < ? AND event = ?",
        (run_id, f"{run_id}~", EVENT),
    ):
        try:
            files = decoded(detail)
        except msgspec.DecodeError:
            continue
        for file in files.values():
            if file.kept:
                yield event_id, file.sha256, commit_no
