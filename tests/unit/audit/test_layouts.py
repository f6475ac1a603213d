"""A layout that a release wrote is what it was, and each commit is digested in the one that it names."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth import canonical
from elspeth.audit.chain import digests, signing
from elspeth.audit.chain.layouts import FIRST, LAYOUTS, NEWEST, Layout, layout_of
from elspeth.audit.chain.records import COLUMNS, FIXED
from elspeth.audit.store import schema
from elspeth.audit.store.past_schemas import PAST
from tests.kit.fixtures.unpack import layouts, unpack

PINNED = {
    1: "be6dde1c52ddfb20",
    2: "394dfc0abf831d5e",
    3: "394dfc0abf831d5e",
}
"""A hash of each layout's columns. A layout that is kept in `tests/kit/fixtures` was released: it is never changed, and
what differs is a layout with a new number. Only the hash of one that no release wrote may be put here anew."""

DIGESTED = {1: "fa8e157f14341ebe", 2: "bd950252c1a8aacb", 3: "aa7275d557145df1"}
"""A hash of what each layout makes of the same records: what is digested, and in which form, is pinned as well."""

KEPT = {1: "777861e72d4091f4", 2: "88a70510038e7562"}
"""And of each past schema."""

NEWEST_SCHEMA = "2629fc77f4bdfb9e"
"""And of the newest. It may be pinned anew with a layout that no release wrote, and is a past one with the next."""


@pytest.mark.parametrize("number", LAYOUTS)
def test_a_layout_is_what_it_was(number: int) -> None:
    layout = LAYOUTS[number]
    value = {
        "columns": {table: list(columns) for table, columns in layout.columns.items()},
        "purgeable": {table: list(columns) for table, columns in layout.purgeable.items()},
        "signs_every_commit": layout.signs_every_commit,
    }
    assert canonical.sha256(value)[:16] == PINNED[number]


def sample(layout: Layout) -> dict[str, list[tuple[Any, ...]]]:
    """Two records for each table, with text, numbers and nothing in turn; of the second, nothing can be purged."""
    values: tuple[Any, ...] = ("ä\n", 7, 0.25, None, -1, "")

    def value(table: str, column: str, at: int, no: int) -> Any:
        if column in layout.purgeable.get(table, ()):
            return None if no else f'{{"of":{at}}}'
        return values[at % len(values)] if at else f"k{no}"

    return {
        table: [tuple(value(table, column, at, no) for at, column in enumerate(columns)) for no in range(2)]
        for table, columns in layout.columns.items()
    }


@pytest.mark.parametrize("number", LAYOUTS)
def test_what_a_layout_makes_of_records_is_what_it_made(number: int) -> None:
    layout = LAYOUTS[number]
    parts = [digests.digest_table(table, records, layout) for table, records in sample(layout).items()]
    assert [part.table for part in parts if part.purgeable_digest] == [
        table for table in layout.columns if table in layout.purgeable
    ]
    marks = [[part.marks.hex(), (part.purgeable_marks or b"").hex()] for part in parts]
    commit = digests.digest_commit("0" * 64, "mf3k2a9x", 2, 7, "t", parts, layout)
    assert canonical.sha256([commit, marks])[:16] == DIGESTED[number]


def test_the_newest_schema_is_what_it_was() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        schema.create(database)
        made = sorted((kind, name, sql) for (kind, name), sql in schema._objects(database).items())
    assert canonical.sha256([list(one) for one in made])[:16] == NEWEST_SCHEMA


def test_every_layout_is_pinned_and_each_but_the_newest_has_runs_that_are_kept() -> None:
    assert set(PINNED) == set(DIGESTED) == set(LAYOUTS)
    assert set(LAYOUTS) - {NEWEST.number} <= set(layouts())
    assert set(PAST) == set(LAYOUTS) - {NEWEST.number}


@pytest.mark.parametrize("number", PAST)
def test_a_past_schema_is_what_it_was(number: int, tmp_path: Path) -> None:
    assert hashlib.sha256(PAST[number].encode()).hexdigest()[:16] == KEPT[number]
    folder = unpack("every_table", tmp_path / "kept", layout=number)
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as database:
        assert schema.version(database) == number
        assert schema.differences(database) == []


def test_the_newest_layout_and_the_newest_schema_hold_the_same_columns() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        schema.create(database)
        for table, columns in NEWEST.columns.items():
            assert set(columns) <= set(schema.columns(database, table)), table
    assert {**FIXED, **COLUMNS}.keys() == NEWEST.columns.keys()


def test_a_digest_of_the_first_layout_is_the_one_that_was_always_made() -> None:
    table = digests.digest_table("tokens", [("mf3k2a9x-000000000", "mf3k2a9x-000000000", None, "t")], FIRST)
    digest = digests.digest_commit("0" * 64, "mf3k2a9x", 1, 0, "t", [table], FIRST)
    assert digest == "be35941d0668e57b6cf5757178d2bdc08138f7c8d74ada5055d66cd851304e85"


def test_the_layout_is_part_of_the_digest() -> None:
    made = {digests.digest_commit("0" * 64, "mf3k2a9x", 1, 0, "t", [], layout) for layout in LAYOUTS.values()}
    assert len(made) == len(LAYOUTS)


@pytest.mark.parametrize("number", [0, 1, -1, NEWEST.number + 1, "2", 2.0, True, b""])
def test_what_names_no_layout_is_none(number: object) -> None:
    assert layout_of(number) is None


def test_a_commit_that_names_none_is_of_the_first() -> None:
    assert layout_of(None) is FIRST


def test_a_signature_has_the_form_that_it_always_had() -> None:
    digest = "ab" * 32
    made = signing.signature(b"a key", "mf3k2a9x", 12, digest)
    assert made == "7179dee6be3512cb51d01070ba0e90bb9732cf0bc93a786386371c713165eb38"
    assert signing.is_signed(made, b"a key", "mf3k2a9x", 12, digest)
    for other in (
        signing.signature(b"a key", "mf3k2a9x", 1, "2" + digest),
        signing.signature(b"another", "mf3k2a9x", 12, digest),
        signing.signature(b"a key", "mf3k2a9y", 12, digest),
        made.upper(),
        made[:-1],
        "",
        None,
        b"x",
    ):
        assert not signing.is_signed(other, b"a key", "mf3k2a9x", 12, digest)
