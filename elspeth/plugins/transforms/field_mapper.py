"""Renames fields, lifts nested values to fields of their own, and can drop everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform

_MISSING = object()


class FieldMapperOptions(PluginOptions):
    """`mapping` says which field becomes which."""

    mapping: dict[str, str] = Field(
        min_length=1,
        description="Old name to new name. `a.b` on the left reaches the value b inside the object a, and `a.0` the "
        "first item of the list a; on the right a dot is part of the name.",
    )
    select_only: bool = Field(
        default=False, description="Keep only the mapped fields, in the order of the mapping, and drop all others."
    )
    strict: bool = Field(
        default=False,
        description="Refuse a row that lacks a mapped field, or in which a new name is taken by another field. "
        "Otherwise a missing field is left out, and the taken name gets the mapped value.",
    )

    @field_validator("mapping")
    @classmethod
    def _one_source_per_target(cls, mapping: dict[str, str]) -> dict[str, str]:
        sources: dict[str, str] = {}
        for old, new in mapping.items():
            if new in sources:
                raise ValueError(f"{sources[new]!r} and {old!r} both become {new!r}; a field has one origin")
            sources[new] = old
        return mapping


class FieldMapper(Transform):
    """Renames fields (a renamed field keeps its place), and lifts nested values to new fields at the end.

    A key that itself contains a dot wins over a path of the same spelling. A lifted value also stays where it was.
    """

    name: ClassVar[str] = "field_mapper"
    Options = FieldMapperOptions
    options: FieldMapperOptions

    def __init__(self, options: FieldMapperOptions) -> None:
        super().__init__(options)
        self._mapping = list(options.mapping.items())
        self._dotted = [(old, new) for old, new in self._mapping if "." in old]
        self._targets = frozenset(new for old, new in self._mapping if old != new)
        self._strict = options.strict
        self._keys: tuple[str, ...] = ()
        self._new_keys: list[str] = []
        self._taken = False

    def process(self, row: Row, ctx: Context) -> Row:
        """The mapped row. Raises `RowError` for a missing field or a taken name if `strict`."""
        return self._select(row) if self.options.select_only else self._rename(row)

    def fields_in(self) -> frozenset[str]:
        """The mapped fields if `strict`; of a path, either the field it begins with or one of the same spelling."""
        return frozenset(old for old, _ in self._mapping if "." not in old) if self.options.strict else frozenset()

    def fields_wanted(self) -> frozenset[str]:
        """The mapped fields, but for paths: a field may be spelled as one is."""
        return frozenset(old for old, _ in self._mapping if "." not in old)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields that are certain afterwards, given the certain fields before."""
        mapped = {new for old, new in self._mapping if old in fields or self.options.strict}
        if self.options.select_only:
            return frozenset(mapped)
        return frozenset(mapped | (fields - {old for old, _ in self._mapping}))

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields that there can be afterwards, given those that there can be before."""
        mapped = {new for old, new in self._mapping if old in fields or old.partition(".")[0] in fields}
        if self.options.select_only:
            return frozenset(mapped)
        return frozenset(mapped | (fields - {old for old, _ in self._mapping}))

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """A renamed field keeps its place; not told where a name is taken, or a value may be lifted."""
        if any(old not in order and old.partition(".")[0] in order for old, _ in self._dotted):
            return None
        if self.options.select_only:
            return tuple(new for old, new in self._mapping if old in order)
        out = tuple(self.options.mapping.get(name, name) for name in order)
        return out if len(set(out)) == len(out) else None

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types of fields by their new names."""
        moved = {new: types[old] for old, new in self._mapping if old in types}
        if self.options.select_only:
            return moved
        gone = {name for pair in self._mapping for name in pair}
        return {name: kind for name, kind in types.items() if name not in gone} | moved

    def _select(self, row: Row) -> Row:
        out: Row = {}
        for old, new in self._mapping:
            value = row[old] if old in row else _inside(row, old)
            if value is not _MISSING:
                out[new] = value
            elif self.options.strict:
                raise _lacks(row, old)
        return out

    def _rename(self, row: Row) -> Row:
        lifted = self._lifted(row) if self._dotted else []
        if self._strict:
            self._check(row, {new for new, _ in lifted})
        # Rows mostly come with the same keys in the same order: work out the new ones once.
        keys = tuple(row)
        if keys != self._keys:
            self._keys = keys
            self._new_keys = [self.options.mapping.get(key, key) for key in keys]
            self._taken = not self._targets.isdisjoint(keys)
        if self._taken:
            mapping = self.options.mapping
            given = {new for old, new in self._mapping if old in row}.union(new for new, _ in lifted)
            out = {mapping.get(key, key): value for key, value in row.items() if key in mapping or key not in given}
        else:
            out = dict(zip(self._new_keys, row.values(), strict=True))
        out.update(lifted)
        return out

    def _lifted(self, row: Row) -> list[tuple[str, Any]]:
        found = ((new, _inside(row, old)) for old, new in self._dotted if old not in row)
        return [(new, value) for new, value in found if value is not _MISSING]

    def _check(self, row: Row, lifted: set[str]) -> None:
        for old, new in self._mapping:
            if old not in row and new not in lifted:
                raise _lacks(row, old)
            if new in row and new not in self.options.mapping:
                raise RowError(f"field {old!r} cannot become {new!r}: the row has a field {new!r} already", field=new)


def _inside(row: Row, path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _lacks(row: Row, field: str) -> RowError:
    return RowError(f"the row has no field {field!r}", field=field, fields=list(row)[:50])
