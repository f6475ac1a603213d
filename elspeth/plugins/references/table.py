"""A reference file by its key: some bytes per record, whatever Python's objects would need."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from elspeth import canonical
from elspeth.plugins.references.digest_index import DigestIndex, digest_of
from elspeth.plugins.references.records import Record, refused
from elspeth.schema.typed_text import identity


def key_part(value: Any, kind: str | None = None) -> str | None:
    """A value as part of a key: its text, so that the number 7 finds the `7` of a CSV file; None for null.

    `kind` is the type of a decimal, date or time, which are the same by value. Raises `TypeError` for a list or a
    mapping, `ValueError` for what is not of its kind.
    """
    if value is None:
        return None
    if kind is not None:
        return identity(kind, str(key_part(value)))
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError


def key_of(parts: Sequence[str]) -> str:
    """The parts of a key as one text, so that no two keys have the same."""
    return parts[0] if len(parts) == 1 else canonical.to_text(list(parts))


class ReferenceTable:
    """The wanted columns of a reference file, by key."""

    def __init__(
        self, path: Path, found: Iterator[Record], keys: Sequence[str], columns: Sequence[str],
        progress: Callable[[], None] = lambda: None, kinds: Sequence[str | None] = (),
    ) -> None:  # fmt: skip
        """Reads all of `found`. Raises `SettingsError` for a key that is doubled, null or no scalar, or not there.

        `progress` is called from time to time; `kinds` are those of `key_part`, by key.
        """
        kinds = kinds or (None,) * len(keys)
        self._index = DigestIndex()
        self._values = bytearray()
        self._ends = array("Q")
        for number, (line, record) in enumerate(found):
            if not number % 10_000:
                progress()
            _require(path, line, record, (*keys, *columns))
            parts = [_part(path, line, record, name, kind) for name, kind in zip(keys, kinds, strict=True)]
            if self._index.add(digest_of(key_of(parts))) >= 0:
                named = ", ".join(f"{name} {part!r}" for name, part in zip(keys, parts, strict=True))
                raise refused(path, f"has a key that stands there before: {named}", line)
            self._values += canonical.to_text([record[name] for name in columns]).encode()
            self._ends.append(len(self._values))

    def __len__(self) -> int:
        return len(self._index)

    def find(self, key: str) -> list[Any] | None:
        """The values of the wanted columns in the record with this key (as `key_of` writes it), or None."""
        place = self._index.find(digest_of(key))
        if place < 0:
            return None
        begin = self._ends[place - 1] if place else 0
        found: list[Any] = canonical.from_text(self._values[begin : self._ends[place]].decode())
        return found


def _require(path: Path, line: int, record: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name not in record:
            close = difflib.get_close_matches(name, record, 1)
            has = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(list(record)[:20])}"
            raise refused(path, f"has no column {name!r}; {has}", line)


def _part(path: Path, line: int, record: dict[str, Any], name: str, kind: str | None) -> str:
    try:
        part = key_part(record[name], kind)
    except ValueError as error:
        raise refused(path, f"has {record[name]!r:.80} as key in {name!r}, which is no {kind}: {error}", line) from None
    except TypeError:
        raise refused(path, f"has a list or a mapping as key in {name!r}", line) from None
    if part is None:
        raise refused(path, f"has null as key in {name!r}", line)
    return part
