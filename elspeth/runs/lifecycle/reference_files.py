"""Keeps what an attempt finds in its reference files, so that it can be decided again when they are no longer there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from elspeth import ids
from elspeth.audit.chain.records import Record
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.reference_files import EVENT, ReferenceFile, ReferenceFiles, decoded
from elspeth.clock import utc_now
from elspeth.errors import ElspethError
from elspeth.file_identity import open_regular
from elspeth.payloads import PayloadStore
from elspeth.plugins.references.hashes import unreadable
from elspeth.runs.lifecycle.pipeline import Pipeline

LARGEST = 64 * 1024 * 1024
"""Bytes of a reference file whose content is kept; of a larger one the hash alone is on record."""

BLOCK = 1 << 20


def keep(pipeline: Pipeline, *, notify: Callable[[str], None] = lambda line: None) -> ReferenceFiles:
    """Put the content of each reference file into the payload store, where it is on disk when this returns.

    Called before anything is recorded that mentions it. `notify` is told of files that are too large. Raises
    `SettingsError` where one cannot be read, `Temporary` where there is no room.
    """
    paths = sorted({path for plugin in pipeline.plugins.values() for path in plugin.reference_files()})
    if not paths:
        return {}
    store = PayloadStore(Path(pipeline.settings.payload_store.base_path))
    found = {str(path): _kept(path, store) for path in paths}
    store.write_out()
    store.sync_names(file.sha256 for file in found.values() if file.kept)
    for path, file in found.items():
        if not file.kept:
            notify(f"{path} holds {file.size:,} bytes: its hash is on record, not its content (more than {LARGEST:,})")
    return found


def _kept(path: Path, store: PayloadStore) -> ReferenceFile:
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST + 1)
            digest, size = hashlib.sha256(content), len(content)
            if size > LARGEST:
                del content
                while block := file.read(BLOCK):
                    digest.update(block)
                    size += len(block)
                return ReferenceFile(digest.hexdigest(), size, kept=False)
    except OSError as error:
        raise unreadable(path, error) from error
    return ReferenceFile(store.put(content), size, kept=True)


def records(run_id: str, attempt: int, files: ReferenceFiles) -> list[Record]:
    """What goes with the record of the attempt's beginning; nothing without such files."""
    if not files:
        return []
    detail = msgspec.json.encode(files).decode()
    return [(ids.event_id(run_id, attempt, EVENT), attempt, None, EVENT, None, detail, utc_now())]


def recorded(reader: AuditReader, run_id: str) -> dict[int, ReferenceFiles]:
    """What the attempts of a run began with. Those without such files, or of before this was recorded, are left out.

    Raises `ElspethError` where what is on record cannot be read.
    """
    found = {}
    for attempt, detail in reader.own_events(run_id, EVENT).items():
        try:
            found[attempt] = decoded(detail)
        except msgspec.DecodeError as error:
            raise ElspethError(
                f"the reference files of attempt {attempt} of run {run_id} cannot be read from its records: {error}",
                next_step=f"elspeth verify {run_id}",
            ) from None
    return found
