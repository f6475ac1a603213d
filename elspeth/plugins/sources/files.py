"""A source over one file or many: which is read next, and one cursor and one proof over all of them.

The cursor of a single file is that file's own. Of many it says in which file, counted from 0, and where in it:
`{"file": 2, "at": [...]}`. Its proof covers the names and all bytes of the files before, and of that file what lies
before the cursor.

Standard input is a single file: the one in which it was kept when the run began.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins.compression.kinds import kind_of
from elspeth.plugins.contract import Context, Cursor, Invalid, PluginOptions, Row, Source, SourceInfo
from elspeth.plugins.sources import file_set
from elspeth.plugins.sources.file_options import STDIN, FileOptions
from elspeth.plugins.sources.file_set import FileEntry
from elspeth.plugins.sources.one_file import OneFile
from elspeth.schema.text_forms import TextForms

logger = logging.getLogger(__name__)

_BEYOND = 1 << 44
"""More bytes than a file unpacks to: offsets of files of unknown length rise by it from one to the next."""


class FileSource(Source):
    """Reads files one after the other. A format says in `one` how it reads a single one."""

    one: ClassVar[type[OneFile]]
    Options: ClassVar[type[PluginOptions]] = FileOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._fixed: tuple[FileEntry, ...] | None = None
        self._kept: FileEntry | None = None
        self._set: bool | None = None
        self._index = 0
        self._file: OneFile | None = None
        self._before = hashlib.sha256()  # names and contents of the files before
        self._yielded = False  # a row of the file at hand
        self._offsets: list[int] | None = None  # where each file begins
        self._proof: str | None = None  # of the last row, which was in a file before

    def setup(self, ctx: Context) -> None:
        """Take the set of files that was fixed when the run began."""
        if ctx.inputs is not None:
            self.fix(ctx.inputs)

    def fix(self, entries: Sequence[Sequence[Any]]) -> None:
        """Read these files, each a path, its size in bytes and the time of its last change (ns), and no others."""
        fixed = tuple(FileEntry(*entry) for entry in entries)
        if self.options.reads_stdin:
            (self._kept,), self._file = fixed, None
        else:
            self._fixed, self._set = fixed, True

    def kept(self) -> FileEntry | None:
        """The file in which standard input was kept, if that is what is read, and the run has begun."""
        return self._kept

    def fixed(self) -> tuple[FileEntry, ...] | None:
        """The files of a set, in the order in which they are read; None for a single file. Raises `SettingsError`."""
        if self._set is None:
            self._set = not self.options.reads_stdin and file_set.is_set(self.options.path)
        if self._set and self._fixed is None:
            self._fixed = file_set.expand(self.options.path)
        return self._fixed if self._set else None

    def forms(self) -> TextForms | None:
        forms: TextForms | None = self.options.forms
        return forms

    def inputs(self) -> tuple[Path, ...]:
        """The files as far as they are there, for comparison with outputs; raises nothing."""
        if self.options.reads_stdin:
            return ()
        try:
            entries = self.fixed()
        except SettingsError:
            return tuple(self.options.paths)
        return tuple(self.options.paths) if entries is None else tuple(Path(entry.path) for entry in entries)

    def packed(self) -> bool:
        """Whether a file is compressed, so that offsets do not count the bytes of the file as it lies there."""
        return any(kind_of(self.options.compression, path) for path in self.inputs() or self.options.paths)

    # -- looking -----------------------------------------------------------------------------------------------

    def describe(self) -> SourceInfo:
        entries = self.fixed()
        if entries is None and self.options.reads_stdin and self._kept is None:
            return SourceInfo(files=(STDIN,))  # whoever only looks takes nothing of it
        if entries is None:
            info = self._single().describe()
            if self.options.reads_stdin:
                info = replace(info, files=(STDIN,))
            return replace(info, headers=self._with_name(info.headers))
        found = [self._looked_at(entry) for entry in entries]
        sizes = [info.size_bytes for info in found]
        size = sum(one for one in sizes if one is not None) if None not in sizes else None
        if size == 0 and self.options.on_empty == "refuse":
            raise SettingsError(
                f"Source files {file_set.named([entry.path for entry in entries])} are empty (0 bytes), and on_empty "
                "is refuse",
                next_step="Put the input there, or set on_empty: warn.",
                option=("on_empty",),
            )
        headers = found[0].headers
        for entry, info in zip(entries, found, strict=True):
            if self._drift(found[0], entries[0], info, entry) is not None:
                headers = None
        return SourceInfo(size, tuple(Path(entry.path) for entry in entries), self._with_name(headers))

    def _looked_at(self, entry: FileEntry) -> SourceInfo:
        file_set.require_as_it_was(entry)
        return self._reader(entry.path).describe()

    def _with_name(self, headers: dict[str, str] | None) -> dict[str, str] | None:
        name = self.options.file_field
        if headers is None or name is None:
            return headers
        if name in headers:
            raise SettingsError(
                f"the option file_field wants a field '{name}', and there is one already",
                next_step="Give it another name.",
                option=("file_field",),
            )
        return {**headers, name: name}

    def _drift(self, first: SourceInfo, one: FileEntry, info: SourceInfo, other: FileEntry) -> str | None:
        """How the fields of a file differ from those of the first, as a sentence. Raises `SettingsError` if refused."""
        if first.headers is None or info.headers is None or first.headers.keys() == info.headers.keys():
            return None
        parts = []
        if missing := [name for name in first.headers if name not in info.headers]:
            parts.append(f"lacks {', '.join(missing)}")
        if more := [name for name in info.headers if name not in first.headers]:
            parts.append(f"has {', '.join(more)} besides")
        found = f"Source file {other.path} has another header than {one.path}: it {' and '.join(parts)}"
        if self._on_drift == "refuse":
            step = "Read them by sources of their own, or set on_drift: warn or take."
            raise SettingsError(found, next_step=step, option=("on_drift",))
        return found

    @property
    def _on_drift(self) -> str:
        return str(getattr(self.options, "on_drift", "take"))  # where there are no headers, none differ

    # -- reading -----------------------------------------------------------------------------------------------

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        entries = self.fixed()
        if entries is None:
            file = self._single()
            rows = file.read(cursor)
            yield from (
                rows if self.options.file_field is None else ((self._completed(row, file), at) for row, at in rows)
            )
            if self._kept is not None:
                file_set.require_as_it_was(self._kept)
            return
        inner = None
        if cursor is not None:
            self._go_to(entries, cursor)
            inner = cursor["at"]
        else:
            self._before, self._proof = hashlib.sha256(), None
            self._begin(entries, 0)
        while True:
            file = self._at_hand()
            entry = entries[self._index]
            file_set.require_as_it_was(entry)
            self._say_drift(entries, entry, begins=inner is None)
            for row, at in file.read(inner):
                self._yielded = True
                yield self._completed(row, file), {"file": self._index, "at": at}
            file.said_at_end()
            file_set.require_as_it_was(entry)
            if self._index + 1 == len(entries):
                return
            self._proof = self.proof()
            self._before.update(_link(entry.path, file.digest_of_all()))
            self._begin(entries, self._index + 1)
            inner = None

    def _say_drift(self, entries: Sequence[FileEntry], entry: FileEntry, *, begins: bool) -> None:
        if begins and self._index and self._on_drift != "take":
            found = self._drift(self._looked_at(entries[0]), entries[0], self._looked_at(entry), entry)
            if found is not None:
                logger.warning(found)

    def _completed(self, row: Row | Invalid, file: OneFile) -> Row | Invalid:
        name, path = self.options.file_field, str(STDIN if self.options.reads_stdin else file.path)
        if isinstance(row, Invalid):
            fields = row.fields if name is None else {**(row.fields or {}), name: path}
            return replace(row, error=row.error if self._fixed is None else f"in {path}: {row.error}", fields=fields)
        if name is None:
            return row
        if name in row:
            return Invalid(
                file.raw() or "", f"has the field {name!r}, which the option file_field wants for it", None, row
            )
        row[name] = path
        return row

    def _go_to(self, entries: Sequence[FileEntry], cursor: Cursor) -> None:
        """Be in the file of a cursor, with the proof of those before it; `check` has done so perhaps."""
        if self._file is not None and self._index == cursor["file"]:
            return
        self._before = hashlib.sha256()
        for entry in entries[: cursor["file"]]:
            file_set.require_as_it_was(entry)
            self._before.update(_link(entry.path, self._reader(entry.path).digest_of_all()))
        self._begin(entries, cursor["file"])
        self._yielded = True

    def _begin(self, entries: Sequence[FileEntry], index: int) -> None:
        if self._file is not None:
            self._file.teardown()
        self._index, self._file, self._yielded = index, self._reader(entries[index].path), False

    def _reader(self, path: str) -> OneFile:
        return self.one(self.options.model_copy(update={"path": Path(path), "on_empty": "warn"}))

    def _at_hand(self) -> OneFile:
        assert self._file is not None, "a file is begun first"
        return self._file

    def _single(self) -> OneFile:
        if self._file is None:
            self._file = self._of_stdin() if self.options.reads_stdin else self.one(self.options)
        return self._file

    def _of_stdin(self) -> OneFile:
        if self._kept is None:
            raise SettingsError(
                "standard input is taken by a run alone, which keeps it in a file",
                next_step="Give a file instead: --set source.options.path=FILE",
            )
        file_set.require_as_it_was(self._kept)
        return self.one(self.options.model_copy(update={"path": Path(self._kept.path)}))

    # -- proof -------------------------------------------------------------------------------------------------

    def proof(self) -> str:
        if self.fixed() is None:
            return self._single().proof()
        if self._file is None or (not self._yielded and self._proof is not None):
            return self._proof or hashlib.sha256().hexdigest()
        digest = self._before.copy()
        digest.update(_link(str(self._file.path), self._file.proof()))
        return digest.hexdigest()

    def check(self, cursor: Cursor, proof: str) -> None:
        entries = self.fixed()
        if entries is None:
            self._single().check(cursor, proof)
            return
        index = cursor["file"]
        if index >= len(entries):
            raise SourceChanged(
                f"Source files were read up to number {index + 1:,} of them, and there are {len(entries):,} now",
                next_step="Put the files back and resume, or start a fresh run with --force-new.",
            )
        self._go_to(entries, cursor)
        file_set.require_as_it_was(entries[index])
        self._at_hand().reach(cursor["at"])
        if self.proof() != proof:
            raise SourceChanged(
                f"Source files were changed: what was processed of them, up to line {cursor['at'][1]:,} of "
                f"{entries[index].path}, differs",
                details=file_set.touched(entries[: index + 1]),
                next_step="Put the files back as they were and resume, or start a fresh run with --force-new.",
            )

    # -- told --------------------------------------------------------------------------------------------------

    def raw(self) -> str | None:
        return None if self._file is None else self._file.raw()

    def end(self) -> Cursor | None:
        return self._single().end() if self.fixed() is None else None

    def said_at_end(self) -> str | None:
        return self._single().said_at_end() if self.fixed() is None else self._appeared()

    def grown(self, cursor: Cursor | None) -> str | None:
        if self.options.reads_stdin:
            return None  # it was read to its end before the run began
        return self._single().grown(cursor) if self.fixed() is None else self._appeared()

    def _appeared(self) -> str | None:
        found = file_set.appeared(self.options.path, self.fixed() or ())
        if not found:
            return None
        verb = "is" if len(found) == 1 else "are"
        return f"source files appeared since the run began, which {verb} not looked at: {file_set.named(found)}"

    def line(self, cursor: Cursor) -> int:
        file = self._single() if self._file is None else self._file
        return file.line(cursor["at"] if isinstance(cursor, dict) else cursor)

    def file(self, cursor: Cursor) -> str | None:
        return (self.fixed() or ())[cursor["file"]].path if isinstance(cursor, dict) else None

    def offset(self, cursor: Cursor) -> int:
        if not isinstance(cursor, dict):
            return self._single().offset(cursor)
        if self._offsets is None:
            entries, compression = self.fixed() or (), self.options.compression
            packed = any(kind_of(compression, Path(entry.path)) for entry in entries)
            self._offsets = [0, *accumulate(_BEYOND if packed else entry.size for entry in entries)]
        return self._offsets[cursor["file"]] + int(cursor["at"][0])

    def teardown(self) -> None:
        if self._file is not None:
            self._file.teardown()


def _link(path: str, digest: str) -> bytes:
    """What a file adds to the proof of those behind it."""
    return json.dumps([path, digest]).encode()
