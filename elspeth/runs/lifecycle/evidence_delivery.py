"""Copies of the evidence that the settings ask for: the journal beside the database, and the export to a sink.

The export is written by the main process when the run is complete, through the sink's plugin. Where it begins is kept
in a note beside it, so that one that was not finished is cut back and written again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from elspeth import canonical
from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.audit.export.jsonl import TABLES, lines
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.store.database import translated_errors
from elspeth.audit.store.place import Place
from elspeth.canonical import JsonObject
from elspeth.durable import keep
from elspeth.errors import ElspethError, SettingsError
from elspeth.outputs import SinkState
from elspeth.plugins.contract import Context, Position, Row, Sink
from elspeth.plugins.sinks.prefix_hash import digest_file
from elspeth.runs.lifecycle.later_files import default_journal
from elspeth.runs.lifecycle.pipeline import Pipeline, load_stored_pipeline
from elspeth.runs.lifecycle.replaced_files import of_no_run
from elspeth.runs.lifecycle.requirements import enter
from elspeth.settings.model import Export


def journal_of(pipeline: Pipeline, database: Place, run_id: str) -> str | None:
    """The run's journal, None if the settings ask for none: the file they name, else one of the run's own."""
    landscape = pipeline.settings.landscape
    if not landscape.dump_to_jsonl:
        return None
    named = landscape.dump_to_jsonl_path
    state = Path(pipeline.settings.payload_store.base_path).parent
    return str(Path(named) if named else default_journal(database.absolute(), state.absolute(), run_id))


def check(pipeline: Pipeline, state_directory: Path) -> None:
    """Look at where the export will go, before the run begins. Raises `SettingsError`, or what the sink raises."""
    export = pipeline.settings.landscape.export
    if not export.enabled:
        return
    plugin = _sink(pipeline, Context("", str(export.sink), state_directory=state_directory))
    mine = {os.path.realpath(path) for path in plugin.outputs()}
    for node in pipeline.graph.of_kind("sink"):
        if mine & {os.path.realpath(path) for path in pipeline.sink(node.id).outputs()}:
            raise SettingsError(f"the sinks {node.id} and {export.sink} write the same file")
    variable = export.signing_secret_ref or SIGNING_KEY
    if export.sign and not os.environ.get(variable):
        raise SettingsError(
            f"landscape.export.sign needs a key, and {variable} is not set", next_step=f"set {variable}"
        )
    plugin.inspect()


def deliver(pipeline: Pipeline, database: Place, run_id: str, state_directory: Path) -> bool:
    """Hand the records of a completed run to the sink that the settings name; answers whether there was need to.

    Raises `ElspethError` where the sink refuses a record, and what it raises; the run is complete nevertheless, and
    resuming it tries again.
    """
    export = pipeline.settings.landscape.export
    if not export.enabled:
        return False
    note = state_directory / "exports" / f"{run_id}.json"
    held = json.loads(note.read_bytes()) if note.is_file() else {}
    context = Context(run_id, str(export.sink), state_directory=state_directory)
    plugin = _sink(pipeline, context)
    if held.get("done") and Path(plugin.describe(held["position"]).path or note).exists():
        return False
    position = held["position"] if held and not held.get("done") else plugin.inspect()
    state = {str(export.sink): SinkState(position, plugin.describe(position))}
    context.keeps_replaced = bool(of_no_run(database, state)) and not _is_an_export(plugin, position, note.parent)
    _keep(note, {"position": position, "done": False})
    try:
        plugin.check(position)
        plugin.open(position)
        with AuditReader(database) as reader, translated_errors(database):
            reader.connection.execute("BEGIN")
            for block in _blocks(reader, run_id, export):
                refused = next((answer for answer in plugin.write(block) if answer is not None), None)
                if refused is not None:
                    raise ElspethError(
                        f"the sink {export.sink} refused an audit record: {refused}",
                        details=[f"run {run_id} is complete; its export is not"],
                        next_step=f"elspeth export {run_id} -o FOLDER",
                    )
        position = plugin.finish()
    finally:
        plugin.close()
        plugin.teardown()
    _keep(note, {"position": position, "done": True})
    return True


def finish(
    database: Place, run: Run, environ: Mapping[str, str] = os.environ, *, dotenv: bool | Path = True,
    working_directory: Path | None = None,
) -> list[str]:  # fmt: skip
    """Whatever copies of a completed run are missing, made now; a sentence for each. Enters its working directory, or
    the one that is named in its place.
    """
    stored = json.loads(run.settings_json).get("landscape") or {}
    if not (stored.get("dump_to_jsonl") or (stored.get("export") or {}).get("enabled")):
        return []
    database = database.absolute()
    enter(run, working_directory)
    pipeline = load_stored_pipeline(run.settings_json, environ=environ, dotenv=dotenv, overrides=())
    made = []
    place = journal_of(pipeline, database, run.run_id)
    if place is not None:
        from elspeth.audit.export.journal import (
            Journal,  # few runs keep one, and every run would wait for this import
        )

        journal = Journal(Path(place), run.run_id)
        try:
            with AuditReader(database) as reader:
                missing = journal.catch_up(reader.connection)
        finally:
            journal.close()
        if missing:
            made.append(f"{missing} commits that were missing in the journal {place} were added.")
    state_directory = Path(pipeline.settings.payload_store.base_path).parent
    if deliver(pipeline, database, run.run_id, state_directory):
        made.append(f"Its audit records were handed to the sink {pipeline.settings.landscape.export.sink}.")
    return made


def _sink(pipeline: Pipeline, context: Context) -> Sink:
    plugin = pipeline.sink(context.node_id)
    plugin.setup(context)
    return plugin


def _is_an_export(plugin: Sink, position: Position, notes: Path) -> bool:
    """Whether the file that is there, where the export is to be written, is the export of an earlier run."""
    found = plugin.describe(position)
    for note in notes.glob("*.json"):
        info = plugin.describe(json.loads(note.read_bytes())["position"])
        if info.resolved == found.resolved and found.replaces is not None and info.size == found.replaces.size:
            try:
                return bool(digest_file(Path(str(info.resolved)))[1] == info.sha256)
            except OSError:
                return False
    return False


def _blocks(reader: AuditReader, run_id: str, export: Export) -> Iterator[list[Row]]:
    """The records as rows, in the form asked for, and at the end a row that vouches for all of them."""
    from elspeth.audit.export.folder import (  # few runs are exported, and every run would wait for this import
        head,
        records,
    )

    digest = hashlib.sha256()
    counts = dict.fromkeys(TABLES, 0)
    for table in TABLES:
        for block in records(reader.connection, run_id, table):
            counts[table] += len(block)
            digest.update(lines(block))
            yield [_row(table, record, export) for record in block]
    manifest: JsonObject = {
        "run_id": run_id, "commit_no": None, "head": head(reader.connection, run_id), "records": counts,
        "sha256": digest.hexdigest(),
    }  # fmt: skip
    if export.sign:
        key = os.environ.get(export.signing_secret_ref or SIGNING_KEY, "").encode()
        manifest["signature"] = hmac.new(key, canonical.dumps(manifest), hashlib.sha256).hexdigest()
    yield [_row("manifest", manifest, export)]


def _row(table: str, record: JsonObject, export: Export) -> Row:
    """`json`: the record's own columns. `csv`: the same columns for every table, the record as JSON in the last one."""
    kind = {"table": table, **({"record_type": record_type(table)} if export.record_type else {})}
    if export.format == "json":
        return {**kind, **record}
    text = lines([record]).decode().rstrip("\n")
    return {**kind, "run_id": record["run_id"], "commit_no": record["commit_no"], "record": text}


def record_type(table: str) -> str:
    """What one record of a table is called: the table's name in the singular."""
    return table.removesuffix("es") if table.endswith("ches") else table.removesuffix("s")


def _keep(note: Path, value: JsonObject) -> None:
    """Note where the export stands. Durably: one that forgot that it was begun would be appended to a second time."""
    keep(note, json.dumps(value).encode())
