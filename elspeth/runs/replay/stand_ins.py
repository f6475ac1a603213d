"""Reference files as a run read them: where one is another by now, a copy of what was kept of it stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from elspeth.audit.query.reference_files import ReferenceFile, ReferenceFiles
from elspeth.errors import ElspethError, SettingsError
from elspeth.payloads import PayloadStore
from elspeth.plugins import registry
from elspeth.plugins.contract import Plugin
from elspeth.plugins.references.hashes import reference_hash
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.reference_files import LARGEST


class StandIns:
    """Copies in `folder` of what the payload stores in `bases` keep of the reference files of a run.

    `notes` says which files are not what they were, and what is read in their place.
    """

    def __init__(self, run_id: str, bases: Sequence[Path], folder: Path) -> None:
        self._run_id = run_id
        self._stores = [PayloadStore(base) for base in bases]
        self._folder = folder
        self._copies = 0
        self.notes: list[str] = []

    def use(self, pipeline: Pipeline, recorded: Mapping[int, ReferenceFiles]) -> None:
        """Build the plugins anew whose files are not what the run read last, with options that name the copies.

        Raises `ElspethError` where a file is gone and its content is not to be had.
        """
        if not recorded:
            return  # the run has none, or is of before they were kept
        latest = recorded[max(recorded)]
        copies: dict[Path, Path] = {}
        for path, file in sorted(latest.items()):
            now = _hash(Path(path))
            if now != file.sha256 and (copy := self._copy(path, file, gone=now is None)) is not None:
                copies[Path(path)] = copy
        for node_id, plugin in list(pipeline.plugins.items()):
            named = {path: copies[path] for path in plugin.reference_files() if path in copies}
            if named:
                pipeline.plugins[node_id] = self._rebuilt(pipeline, node_id, plugin, named)
        pipeline.copies.update({copy: path for path, copy in copies.items()})
        for path, file in sorted(latest.items()):
            if any(path in files and files[path] != file for files in recorded.values()):
                self._note(f"{path} was another file in an earlier attempt: rows that were decided by it may differ")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _copy(self, path: str, file: ReferenceFile, *, gone: bool) -> Path | None:
        content = self._content(file)
        if content is None:
            why = f"what was kept of it is no longer in the payload store (SHA-256 {file.sha256[:12]}...)"
            if not file.kept:
                why = f"of {file.size:,} bytes no content is kept (more than {LARGEST:,})"
            self._require(Path(path), why, gone=gone)
            return None
        self._copies += 1
        copy = self._folder / str(self._copies) / Path(path).name  # its suffix may say what it holds
        copy.parent.mkdir()
        copy.write_bytes(content)
        return copy

    def _content(self, file: ReferenceFile) -> bytes | None:
        for store in self._stores if file.kept else ():
            try:
                return store.get(file.sha256)
            except (OSError, ValueError):  # gone, or no longer what it was
                continue
        return None

    def _require(self, path: Path, why: str, *, gone: bool) -> None:
        if gone:
            raise ElspethError(
                f"run {self._run_id} cannot be replayed: the reference file {path} is gone, and {why}",
                next_step="put the file back as it was, and replay again",
            )
        self._note(f"{path} changed since, and {why}: it is read as it is now")

    def _rebuilt(self, pipeline: Pipeline, node_id: str, plugin: Plugin, named: Mapping[Path, Path]) -> Plugin:
        wanted = {named.get(path, path) for path in plugin.reference_files()}
        with suppress(Exception):  # a text that is no path was taken for one: what options mean is the plugin's own
            rebuilt = registry.build(type(plugin), _pointed(pipeline.graph.node(node_id).options, named), node_id)
            if set(rebuilt.reference_files()) == wanted:
                for path in named:
                    what = "changed since" if _hash(path) else "is gone"
                    self._note(f"{path} {what}: the content that the run read is taken from the payload store")
                return rebuilt
        for path in named:
            why = f"the options of {node_id} do not name it by its path, so that what was kept cannot be read for it"
            self._require(path, why, gone=_hash(path) is None)
        return plugin


def _hash(path: Path) -> str | None:
    try:
        return reference_hash(path)
    except SettingsError:
        return None


def _pointed(value: Any, named: Mapping[Path, Path]) -> Any:
    """Options in which the copies stand where the files were named."""
    if isinstance(value, dict):
        return {key: _pointed(item, named) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_pointed(item, named) for item in value]
    if isinstance(value, str | Path) and value and Path(value) in named:
        return str(named[Path(value)])
    return value
