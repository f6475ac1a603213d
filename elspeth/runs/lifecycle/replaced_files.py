"""Which outputs take the place of a file that is nobody's work on record: it is kept before it is overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elspeth.audit.query.locate import is_blank
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.database import translated_errors
from elspeth.audit.store.place import Place
from elspeth.outputs import OutputInfo, SinkState


def of_no_run(database: Place, sinks: Mapping[str, SinkState]) -> tuple[str, ...]:
    """The sinks, by name, whose file is there, has something in it, and was written by no run in this database.

    Such a file is looked at as it is, not by its name alone: what a run wrote and somebody changed is not the run's.
    """
    taken = {name: state.output for name, state in sinks.items() if _takes_a_place(state.output)}
    if not taken or is_blank(database):
        return tuple(taken)
    with AuditReader(database) as reader, translated_errors(database):
        return tuple(name for name, info in taken.items() if not _is_on_record(reader, info))


def _takes_a_place(info: OutputInfo) -> bool:
    return info.replaces is not None and info.replaces.size > 0 and not info.size


def _is_on_record(reader: AuditReader, info: OutputInfo) -> bool:
    from elspeth.audit.verify.outputs import wrote  # with what verifies: only a file that is there asks for it

    assert info.replaces is not None
    try:
        return wrote(reader.connection, Path(info.resolved or info.path or ""), info.replaces.size)
    except OSError:
        return False  # it cannot be read: whoever overwrites it will say so
