"""Compares what runs wrote to files with those files: outputs, and the payload store.

An output that a later run wrote too is held against that run's record, so that one that was replaced is told from one
that somebody edited.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from elspeth.audit.connection import Connection
from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.purge import PURGE, last_action
from elspeth.audit.query.payload_references import references
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.links import in_order
from elspeth.coordinator.checkpoint import read_checkpoint
from elspeth.file_identity import NotRegularFile, open_regular
from elspeth.outputs import sink_states
from elspeth.payloads import PayloadStore, is_reference

NAMED = 10  # findings about the payload store
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class RecordedOutput:
    """What a run says about one of its outputs. `size` bytes from the beginning of the file have this hash."""

    run_id: str
    record: str
    sink: str
    path: Path
    size: int
    sha256: str
    final: bool  # False: the run is not complete, and the file may go on behind this position


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about one output: a sentence, and the finding where something is wrong."""

    path: Path
    sentence: str
    finding: Discrepancy | None = None


def check_outputs(connection: Connection, run_id: str, holds: Callable[[str], bool]) -> list[Checked]:
    """Every output of the run, compared with its file. `holds` says whether the evidence of a later run does: only then
    is it believed that it wrote what is there now."""
    directories = dict(connection.execute("SELECT run_id, working_directory FROM runs"))
    runs = in_order(connection)
    at = runs.index(run_id)
    later: dict[Path, RecordedOutput] = {}
    for run in runs[at + 1 :]:
        later |= {written.path: written for written in _written(connection, run, directories[run])}
    mine = _written(connection, run_id, directories[run_id])
    return [_checked(written, later.get(written.path), holds) for written in mine]


def wrote(connection: Connection, path: Path, size: int) -> bool:
    """Whether this file of `size` bytes, as it is, is what a recorded run wrote there, or what one that was not
    completed had committed of it. Raises `OSError`."""
    directories = dict(connection.execute("SELECT run_id, working_directory FROM runs"))
    place = Path(os.path.realpath(path))
    runs = connection.execute(
        "SELECT run_id FROM artifacts WHERE kind = 'output' AND size_bytes = ? UNION"
        " SELECT run_id FROM runs WHERE status <> 'completed'",
        (size,),
    ).fetchall()
    for (run_id,) in runs:
        for written in _written(connection, run_id, directories[run_id]):
            if written.path == place and 0 < written.size <= size and _difference(written) is None:
                return True
    return False


def payload_findings(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    """References into the payload store behind which there is no file, or another content. Purged ones may be gone."""
    purged_before = last_action(connection, run_id, PURGE)
    settings, directory = connection.execute(
        "SELECT settings_json, working_directory FROM runs WHERE run_id = ?", (run_id,)
    ).fetchone()
    bases = [base for base in bases_of(settings, directory) if base.is_dir()]
    left = NAMED
    seen: set[bytes] = set()
    for table, key, record, reference, commit_no in references(connection, run_id):
        digest = bytes.fromhex(reference) if is_reference(reference) else None
        if digest is not None and digest in seen:
            continue
        wrong = _payload(bases, reference) if digest is not None else "only 64 hexadecimal digits are a reference"
        if wrong is None and digest is not None:
            seen.add(digest)
        elif wrong is not None and not (wrong == _GONE and commit_no < purged_before):
            yield Discrepancy("payload", f"{table} {record}: {key} {reference}: {wrong}", table, record, commit_no)
            left -= 1
            if not left:
                return


_GONE = "it is not in the payload store"


def _payload(bases: list[Path], reference: str) -> str | None:
    for base in bases:
        try:
            PayloadStore(base).get(reference)
        except FileNotFoundError:
            continue
        except ValueError:
            return "its content in the payload store was changed"
        except OSError as error:
            return f"its content cannot be read: {error.strerror or error}"
        return None
    return _GONE


def _written(connection: Connection, run_id: str, directory: str) -> list[RecordedOutput]:
    """What the artifacts of a finished run say, or the last checkpoint of one that is not."""
    found = connection.execute(
        "SELECT artifact_id, node_id, path, size_bytes, content_hash FROM artifacts"
        " WHERE artifact_id >= ? AND artifact_id < ? AND path IS NOT NULL ORDER BY artifact_id",
        (f"{run_id}!output.", f"{run_id}!output/"),
    ).fetchall()
    if found:
        return [
            RecordedOutput(run_id, record, sink, _resolved(directory, path), size, sha256, final=True)
            for record, sink, path, size, sha256 in found
        ]
    newest = connection.execute(
        "SELECT checkpoint_id, message FROM checkpoints WHERE checkpoint_id > ? AND checkpoint_id < ?"
        " ORDER BY checkpoint_id DESC LIMIT 1",
        (f"{run_id}#", f"{run_id}$"),
    ).fetchone()
    if newest is None:
        return []
    states = sink_states(read_checkpoint(newest[1], newest[0]).sink_positions)
    return [
        RecordedOutput(
            run_id, newest[0], sink, _resolved(directory, at.resolved or at.path), at.size, at.sha256, final=False
        )
        for sink, at in ((sink, state.output) for sink, state in states.items())
        if at.path is not None and at.size is not None and at.sha256 is not None
    ]


def _resolved(directory: str, path: str) -> Path:
    return Path(os.path.realpath(Path(directory) / path))  # Path.resolve raises where links lead in a circle


def _checked(mine: RecordedOutput, later: RecordedOutput | None, holds: Callable[[str], bool]) -> Checked:
    try:
        wrong = _difference(mine)
        if wrong is None:
            return Checked(mine.path, f"{mine.path} is what run {mine.run_id} wrote")
        if later is None:
            return _tampered(mine, wrong)
        differs = _difference(later)
    except OSError as error:
        return _tampered(mine, f"cannot be read: {error.strerror or error}")
    if differs is None and not holds(later.run_id):
        return _tampered(mine, f"{wrong}; it is what the later run {later.run_id} wrote, but that one does not hold")
    if differs is None:
        return Checked(mine.path, f"{mine.path} was replaced: it is what the later run {later.run_id} wrote")
    return _tampered(mine, f"{wrong}; nor is it what the later run {later.run_id} wrote: that one {differs}")


def _tampered(mine: RecordedOutput, wrong: str) -> Checked:
    sentence = f"{mine.path} is not what run {mine.run_id} wrote: it {wrong}"
    return Checked(mine.path, sentence, Discrepancy("output", sentence, "artifacts" if mine.final else "checkpoints",
                                                mine.record))  # fmt: skip


def _difference(written: RecordedOutput) -> str | None:
    """How the file differs from the record, None if it does not."""
    try:
        file = open_regular(written.path)
    except FileNotFoundError:
        # An output is created when the first attempt begins; before that there is nothing to be missing.
        return "is missing" if written.final or written.size else None
    except NotRegularFile:
        return "is no regular file"
    with file:
        size = os.fstat(file.fileno()).st_size
        if size < written.size:
            return f"holds {size:,} bytes, {written.size:,} are recorded"
        digest = hashlib.sha256()
        left = written.size
        while left and (block := file.read(min(BLOCK, left))):
            digest.update(block)
            left -= len(block)
    if digest.hexdigest() != written.sha256:
        return f"has another content than the SHA-256 {written.sha256[:12]}... that is recorded for it"
    if written.final and size > written.size:
        return f"was added to: {size:,} bytes, {written.size:,} are recorded"
    return None
