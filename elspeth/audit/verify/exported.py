"""Verifies an export without its database: rebuilds the tables in a temporary one, and asks the same of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from elspeth.audit.chain.layouts import FIRST, NEWEST
from elspeth.audit.connection import Connection
from elspeth.audit.export.folder import MANIFEST, PAYLOADS, VERSION, head, signature
from elspeth.audit.export.jsonl import BLOBS, TABLES, added_later, columns_of
from elspeth.audit.purge import PURGE, last_action
from elspeth.audit.query.payload_references import references
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.links import held_by_later
from elspeth.audit.verify.run import verify_run
from elspeth.errors import ElspethError, NewerVersion
from elspeth.file_identity import open_regular

INSERTED = 2000  # records at a time

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an export. Raises `ElspethError` where it is none."""
    path = directory / MANIFEST
    try:
        with open_regular(path) as file:
            manifest = json.load(file)
        form, layout = manifest["elspeth_export"], manifest.get("layout", FIRST.number)
        if type(form) is not int or type(layout) is not int or not {"run_id", "head", "files"} <= manifest.keys():
            raise ValueError("its form is not known here")
    except FileNotFoundError:
        raise ElspethError(
            f"{directory} holds no export: there is no {MANIFEST}", next_step="elspeth export RUN_ID -o FOLDER"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ElspethError(f"{path} is not the manifest of an export: {error}") from None
    for what, found, known in (("form", form, VERSION), ("layout", layout, NEWEST.number)):
        if found <= known:
            continue
        raise NewerVersion(
            f"{path} has {what} {found}, this program knows {what}s up to {known}",
            next_step="use the newer Elspeth that wrote it",
        )
    return dict(manifest)


@dataclass(slots=True)
class ExportVerdict:
    """What was found, and a sentence about commits that hold by a later signature."""

    findings: list[Discrepancy]
    note: str | None = None


def verify_export(directory: Path, key: bytes | None = None) -> ExportVerdict:
    """Everything about an export that does not hold: its files, and what `verify_run` finds in the records.

    With the signing `key`, the manifest and all of the chain must be signed with it. Raises `ElspethError` where the
    folder holds no export.
    """
    manifest, verdict = read_manifest(directory), ExportVerdict([])
    verdict.findings += _findings(directory, manifest, key, verdict)
    return verdict


def _findings(
    directory: Path, manifest: dict[str, Any], key: bytes | None, verdict: ExportVerdict
) -> Iterator[Discrepancy]:
    if key is not None:
        found = manifest.get("signature")
        if not isinstance(found, str):
            yield Discrepancy("signature", f"{MANIFEST} is not signed")
        elif not hmac.compare_digest(found.encode(), signature(key, manifest).encode()):
            yield Discrepancy("signature", f"{MANIFEST} is not signed with this key, or was changed since")
    for table in (*TABLES, PAYLOADS):
        yield from _file_findings(directory, manifest, table)
    for path in sorted(directory.iterdir()):
        if path.name != MANIFEST and path.name not in {f"{table}.jsonl" for table in (*TABLES, PAYLOADS)}:
            yield Discrepancy("export", f"{path.name} does not belong to the export", None, path.name)
    with tempfile.TemporaryDirectory(prefix="elspeth-verify-") as folder:
        path = Path(folder) / "audit.db"
        broken = _rebuild(directory, path)
        if broken is not None:
            yield broken
            return
        with AuditReader(path) as reader:
            connection = reader.connection
            if not connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (manifest["run_id"],)).fetchone():
                yield Discrepancy("export", f"run {manifest['run_id']} is not in runs.jsonl", "runs")
                return
            yield from verify_run(reader, manifest["run_id"], key, alone=True)
            verdict.note = held_by_later(connection, manifest["run_id"]) if key is not None else None
            yield from _head_findings(connection, manifest)
            yield from _payload_findings(directory, connection, manifest["run_id"])


def _file_findings(directory: Path, manifest: dict[str, Any], table: str) -> Iterator[Discrepancy]:
    facts, path = manifest["files"].get(table), directory / f"{table}.jsonl"
    if not isinstance(facts, dict):
        yield Discrepancy("export", f"{MANIFEST} says nothing about {path.name}", table)
        return
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        yield Discrepancy("export", f"{path.name} cannot be read: {error.strerror or error}", table)
        return
    if digest != facts.get("sha256"):
        held = "" if size == facts.get("bytes") else f": it holds {size:,} bytes, {facts.get('bytes')!r} are recorded"
        yield Discrepancy("export", f"{path.name} is not what was exported{held}", table)


def _rebuild(directory: Path, path: Path) -> Discrepancy | None:
    """The tables as they were; answers what a file holds that cannot be put into one."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        schema.create_plain(connection)
        for table in TABLES:
            try:
                for block in _blocks(directory / f"{table}.jsonl", columns_of(table), added_later(table)):
                    names = ", ".join(f'"{column}"' for column in columns_of(table))
                    places = ", ".join("?" * len(columns_of(table)))
                    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", block)
            except (OSError, ValueError, KeyError, sqlite3.Error, msgspec.DecodeError) as error:
                return Discrepancy("export", f"{table}.jsonl cannot be read as records: {error}", table)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return None


def _blocks(path: Path, columns: tuple[str, ...], later: frozenset[str]) -> Iterator[list[list[Any]]]:
    block: list[list[Any]] = []
    with open_regular(path) as file:
        for line in file:
            value = _decode(line)
            if value.keys() | later != set(columns):
                raise ValueError(f"a record with the columns {', '.join(value)}")
            block.append([
                bytes.fromhex(found) if column in BLOBS and isinstance(found, str) else found
                for column in columns
                for found in (value.get(column),)
            ])  # fmt: skip
            if len(block) == INSERTED:
                yield block
                block = []
    yield block


def _head_findings(connection: Connection, manifest: dict[str, Any]) -> Iterator[Discrepancy]:
    if head(connection, manifest["run_id"]) != manifest["head"]:
        yield Discrepancy("chain", f"the head of the chain is not the one in {MANIFEST}", "commits")
    for table, facts in manifest["files"].items():
        if table in TABLES and isinstance(facts, dict):
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            if count != facts.get("records"):
                yield Discrepancy(
                    "export", f"{table}.jsonl holds {count:,} records, {facts.get('records')!r} are recorded"
                )


def _content(value: dict[str, Any]) -> bytes:
    """What an exported payload holds. Raises `ValueError` and the like where it holds nothing."""
    if "base64" in value:
        return base64.b64decode(value["base64"], validate=True)
    return bytes(value["data"].encode("utf-8", "surrogateescape"))


def _payload_findings(directory: Path, connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    kept: set[str] = set()
    if not (directory / f"{PAYLOADS}.jsonl").is_file():
        return  # which has been said
    with open_regular(directory / f"{PAYLOADS}.jsonl") as file:
        for line in file:
            try:
                value = json.loads(line)
                digest = hashlib.sha256(_content(value)).hexdigest()
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield Discrepancy("export", f"{PAYLOADS}.jsonl holds a line that cannot be read: {error}", PAYLOADS)
                continue
            if digest != value.get("sha256"):
                yield Discrepancy(
                    "payload", f"payload {value.get('sha256')} was changed", PAYLOADS, value.get("sha256")
                )
            kept.add(digest)
    purged = last_action(connection, run_id, PURGE)
    for table, column, record, reference, commit_no in references(connection, run_id):
        if reference not in kept and commit_no >= purged:
            yield Discrepancy(
                "payload", f"{table} {record}: {column} {reference} was not exported", table, record, commit_no
            )
