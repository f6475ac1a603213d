"""Adds fields from a reference file, found by one or several keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, SideOutput, Transform
from elspeth.plugins.references.records import Format, records
from elspeth.plugins.references.table import ReferenceTable, key_of, key_part
from elspeth.plugins.typed_fields import TypedFields

_BY_SUFFIX: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
Name = Annotated[str, Field(min_length=1)]


class LookupOptions(PluginOptions):
    """The reference file, what finds a record in it, and what is taken from there."""

    path: Path = Field(description="The reference file: CSV with a header, or JSON lines. Its content is on record.")
    format: Format | None = Field(
        default=None, description="`csv` or `jsonl`; by the file's suffix (.csv, .jsonl, .ndjson) if not given."
    )
    keys: dict[Name, Name] = Field(
        min_length=1,
        description="Field of the row to column of the file; all must agree. They are compared as text: the number 7 "
        "finds `7`, and null finds nothing; decimals, dates and times by value.",
    )
    fields: dict[Name, Name] = Field(min_length=1, description="Column of the file to the field of the row it becomes.")
    on_missing: Literal["error", "empty", "drop"] = Field(
        default="error",
        description="What happens to a row whose key is not in the file: it is refused, its new fields are null, or it "
        "is discarded, which is recorded.",
    )
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] = Field(
        default="utf-8", description="How the file's bytes are text."
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="What stands between values of CSV.")

    @model_validator(mode="after")
    def _is_clear(self) -> LookupOptions:
        if self.format is None and self.path.suffix.lower() not in _BY_SUFFIX:
            raise ValueError(f"path: {str(self.path)!r} has none of the suffixes {', '.join(_BY_SUFFIX)}; set `format`")
        targets = list(self.fields.values())
        twice = [name for name in targets if targets.count(name) > 1]
        if twice:
            raise ValueError(f"fields: two columns become {twice[0]!r}; a field has one origin")
        return self


class Lookup(Transform):
    """Adds fields from a reference file (CSV or JSON lines), found by one or several keys.

    A field of the row that has the name of a new one gets the new value. A key that stands in the file twice is an
    error of the file. Every worker holds all keys in memory: some 40 bytes each, and the values taken from the file.
    """

    name: ClassVar[str] = "lookup"
    Options = LookupOptions
    options: LookupOptions

    def __init__(self, options: LookupOptions) -> None:
        super().__init__(options)
        self._keys = tuple(options.keys)
        self._targets = tuple(options.fields.values())
        self._table: ReferenceTable | None = None
        self._kinds: tuple[str | None, ...] = (None,) * len(self._keys)

    @classmethod
    def side_outputs(cls, options: Mapping[str, Any]) -> Mapping[str, str]:
        """`missing`, for rows whose key is not in the file, if they are to be dropped."""
        return {"missing": "discard"} if options.get("on_missing") == "drop" else {}

    def setup(self, ctx: Context) -> None:
        """Reads the reference file. Raises `SettingsError` for whatever is wrong with it."""
        typed = TypedFields(ctx.types)
        self._kinds = tuple(map(typed.kind, self._keys))
        self._table = self._read(ctx)

    def reference_files(self) -> tuple[Path, ...]:
        """The file whose content decides results."""
        return (self.options.path,)

    def check_references(self) -> None:
        """Raise `SettingsError` where the file cannot be read, or a key stands in it twice."""
        self._read(None)

    def _read(self, ctx: Context | None) -> ReferenceTable:
        options = self.options
        format = options.format or _BY_SUFFIX[options.path.suffix.lower()]
        found = records(options.path, format, encoding=options.encoding, delimiter=options.delimiter)
        columns = tuple(options.keys.values()), tuple(options.fields)
        return ReferenceTable(options.path, found, *columns, ctx.progress if ctx else lambda: None, self._kinds)

    def process(self, row: Row, ctx: Context) -> Row | SideOutput:
        """The row with the new fields. Raises `RowError` for a missing field, or a key that is not in the file."""
        assert self._table is not None
        parts = []
        for name, kind in zip(self._keys, self._kinds, strict=True):
            if name not in row:
                raise RowError(f"the row has no field {name!r}", field=name, fields=list(row)[:50])
            try:
                part = key_part(row[name], kind)
            except ValueError as error:
                raise RowError(
                    f"field {name!r} is a {kind}, and holds {row[name]!r:.80}: {error}", field=name
                ) from None
            except TypeError:
                kind = type(row[name]).__name__
                raise RowError(f"field {name!r} is a {kind}, which cannot be a key", field=name) from None
            if part is None:
                return self._missing(row)
            parts.append(part)
        found = self._table.find(key_of(parts))
        if found is None:
            return self._missing(row)
        return {**row, **dict(zip(self._targets, found, strict=True))}

    def _missing(self, row: Row) -> Row | SideOutput:
        options = self.options
        if options.on_missing == "empty":
            return {**row, **dict.fromkeys(self._targets)}
        key = {name: row[name] for name in self._keys}
        reason = f"{options.path} has no record for {', '.join(f'{name} {row[name]!r:.80}' for name in self._keys)}"
        if options.on_missing == "drop":
            return SideOutput("missing", reason, {"key": key})
        raise RowError(reason, key=key)

    def fields_in(self) -> frozenset[str]:
        """The fields that are the key."""
        return frozenset(self._keys)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, and those from the file."""
        return fields | set(self._targets)

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """What is found stands behind what there was."""
        return tuple(dict.fromkeys((*order, *self._targets)))

    def check_types(self, types: Mapping[str, str]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Nothing; the types of the keys are kept for `check_references`."""
        typed = TypedFields(types)
        self._kinds = tuple(map(typed.kind, self._keys))
        return ()

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before, but for fields from the file, of which nothing is known."""
        return {name: kind for name, kind in types.items() if name not in self._targets}
