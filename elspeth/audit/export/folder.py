"""Writes the whole evidence of a run into a folder: a file of JSON lines per table, and a manifest of them.

Streaming: memory does not grow with the run. All of it is one snapshot of the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from elspeth import __version__, canonical
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.chain.records import RANGED
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import stream
from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.export.jsonl import CHAIN, TABLES, columns_of, lines, named
from elspeth.audit.query.payload_references import references
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database
from elspeth.audit.store.commits.commit_records import key_columns
from elspeth.clock import utc_now
from elspeth.durable import keep, make_folder, sync_folder
from elspeth.errors import ElspethError, SettingsError, Temporary
from elspeth.payloads import PayloadStore, is_reference

MANIFEST = "manifest.json"
PAYLOADS = "payloads"
VERSION = 1
FETCHED = 2000  # records at a time


def export_run(reader: AuditReader, run_id: str, directory: Path, key: bytes | None = None) -> dict[str, Any]:
    """Export a run (an exact id) into a folder that is new or empty; answers the manifest.

    With a signing `key` the manifest is signed. Raises `SettingsError` where something is there already, `Temporary`
    where the folder cannot be written. What was begun and not finished has no manifest.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"{directory} exists and is not empty", next_step="name a new folder with -o")
    connection = reader.connection
    with database.translated_errors(reader.path):
        connection.execute("BEGIN")
        try:
            return _export(connection, run_id, directory, key)
        except OSError as error:
            raise Temporary(
                f"{error.filename or directory} could not be written: {error.strerror or error}",
                next_step=f"mend it, remove {directory} if it is there and export again, or name another folder",
            ) from error
        finally:
            connection.execute("ROLLBACK")


def _export(connection: Connection, run_id: str, directory: Path, key: bytes | None) -> dict[str, Any]:
    make_folder(directory)
    files = {}
    for table in TABLES:
        with _File(directory / f"{table}.jsonl") as file:
            for block in records(connection, run_id, table):
                file.write(lines(block), len(block))
        files[table] = file.facts()
    with _File(directory / f"{PAYLOADS}.jsonl") as file:
        for value in _payloads(connection, run_id):
            file.write(lines([value]), 1)
    files[PAYLOADS] = file.facts()
    manifest = {
        "elspeth_export": VERSION,
        "elspeth_version": __version__,
        "layout": NEWEST.number,
        "exported_at": utc_now(),
        "run_id": run_id,
        "head": head(connection, run_id),
        "files": files,
    }
    if key is not None:
        manifest["signature"] = signature(key, manifest)
    # The manifest vouches for the others, so their names are on disk before its own is.
    sync_folder(directory)
    keep(directory / MANIFEST, (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode(), mode=0o666)
    return manifest


def records(connection: Connection, run_id: str, table: str) -> Iterator[list[dict[str, Any]]]:
    """All records of a run in one table, in key order, some thousand at a time."""
    columns = ", ".join(f'"{column}"' for column in columns_of(table))
    if table in RANGED:
        key = TABLES[table][0]
        where = f"{key} >= ? AND {key} < ?"
        values: tuple[str, ...] = (run_id, f"{run_id}~")
    else:
        where, values = "run_id = ?", (run_id,)
    order = ", ".join(TABLES[table][:2] if table in CHAIN else key_columns(table))
    rows = stream(connection, f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}", values)
    while fetched := list(islice(rows, FETCHED)):
        yield named(table, fetched)


def head(connection: Connection, run_id: str) -> dict[str, Any]:
    """The chain's head: number, digest and signature of the last commit, and what the first one follows."""
    row = connection.execute(
        "SELECT commit_no, digest, signature FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1", (run_id,)
    ).fetchone()
    if row is None:
        raise ElspethError(f"run {run_id} has no commits: its chain was removed", next_step=f"elspeth verify {run_id}")
    (origin,) = connection.execute(
        "SELECT previous_digest FROM commits WHERE run_id = ? ORDER BY commit_no LIMIT 1", (run_id,)
    ).fetchone()
    return {**dict(zip(("commit_no", "digest", "signature"), row, strict=True)), "follows": origin}


def signature(key: bytes, manifest: dict[str, Any]) -> str:
    """HMAC-SHA-256 (hex) of a manifest's canonical JSON, the signature itself aside."""
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    return hmac.new(key, canonical.dumps(unsigned), hashlib.sha256).hexdigest()


def _payloads(connection: Connection, run_id: str) -> Iterator[dict[str, Any]]:
    """What the run keeps in the payload store, each content once; what is gone is left out."""
    settings, directory = connection.execute(
        "SELECT settings_json, working_directory FROM runs WHERE run_id = ?", (run_id,)
    ).fetchone()
    stores = [PayloadStore(base) for base in bases_of(settings, directory)]
    seen: set[str] = set()
    for _, _, _, reference, _ in references(connection, run_id):
        if reference in seen or not is_reference(reference):
            continue
        store = next((store for store in stores if store.path(reference).is_file()), None)
        if store is None:
            continue
        seen.add(reference)
        content = store.read(reference)
        try:
            yield {"sha256": reference, "data": content.decode()}
        except UnicodeDecodeError:  # a reference file may be of any encoding
            yield {"sha256": reference, "base64": base64.b64encode(content).decode()}


class _File:
    """A file that is being written, and what the manifest will say of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._size = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> _File:
        self._out: IO[bytes] = self._path.open("xb")
        return self

    def write(self, data: bytes, count: int) -> None:
        self._out.write(data)
        self._hash.update(data)
        self._count += count
        self._size += len(data)

    def __exit__(self, *_: object) -> None:
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()

    def facts(self) -> dict[str, Any]:
        return {"file": self._path.name, "records": self._count, "bytes": self._size, "sha256": self._hash.hexdigest()}
