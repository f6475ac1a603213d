"""The kit finds transforms and aggregations that break the contract: one for each claim, and the sentence it gets."""

from __future__ import annotations

import itertools

import pytest
from pydantic import ConfigDict

from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row, RowError, Transform
from elspeth.testing import check_aggregation, check_transform

NO_OPTIONS = PluginOptions()
ROWS: list[Row] = [{"a": 1, "inner": [1]}, {"a": 2, "inner": []}, {"a": -1, "inner": [2]}]
_calls = itertools.count()


class Doubled(Transform):
    """A transform that keeps its contract; the broken ones change one thing about it."""

    name = "doubled"

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        if row["a"] < 0:
            raise RowError("negative", a=row["a"])
        return {**row, "a": row["a"] * 2}


class ChangesInput(Doubled):
    """Sorts a list inside the row it is given."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        row["inner"].append(0)
        return row


class Remembers(Doubled):
    """Counts rows."""

    def setup(self, ctx: Context) -> None:
        self.seen = 0

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        self.seen += 1
        return {**row, "seen": self.seen}


class Varies(Doubled):
    """Takes a number from the world."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return {**row, "call": next(_calls)}


class Seeded(Doubled):
    """Takes its chance from the context, as it should."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return {**row, "chance": ctx.random.random(), "key": ctx.idempotency_key, "now": ctx.now}


class Honest(Varies):
    """Says that it varies."""

    determinism = "nondeterministic"


class Lists(Doubled):
    """Returns a list without saying so."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return [row, row]


class GivesNone(Doubled):
    """Returns nothing."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return None  # type: ignore[return-value]


class GivesSets(Doubled):
    """Returns what JSON cannot hold."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return {"a": {1}}


class Stumbles(Doubled):
    """Lets a KeyError out."""

    def process(self, row: Row, ctx: Context) -> Row | list[Row]:
        return {"x": row["x"]}


class Promises(Doubled):
    """Promises a field it does not give."""

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        return fields | {"never"}


class GivesMore(Doubled):
    """Gives a field it said it would not."""

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        return fields - {"a"}


class AsksTooMuch(Doubled):
    """Says it needs a field that it can do without."""

    def fields_in(self) -> frozenset[str]:
        return frozenset({"b"})


class Undocumented(Doubled):
    pass


Undocumented.__doc__ = None


class OpenOptions(PluginOptions):
    """Takes any option."""

    model_config = ConfigDict(extra="ignore")


class TakesAnything(Doubled):
    """Ignores options it does not know."""

    Options = OpenOptions


class SilentOptions(PluginOptions):
    """Has an option without a word."""

    size: int = 1


class Silent(Doubled):
    """Does not say what its option is."""

    Options = SilentOptions


TRANSFORMS = [
    (ChangesInput, "must not change what it is given"),
    (Remembers, "must not carry anything from one row to the next"),
    (Varies, "says it is deterministic, so it must decide alike"),
    (Lists, "must set `creates_rows`"),
    (GivesNone, "must return rows, which are dicts; found None"),
    (GivesSets, "must give a row that JSON can hold"),
    (Stumbles, "must raise RowError .* raised KeyError: 'x'"),
    (Promises, r"must give the fields `fields_out` promises; .* lacks \['never'\]"),
    (GivesMore, r"must give no field but those of `fields_possible`; .* has \['a'\]"),
    (AsksTooMuch, r"says in `fields_in` what it cannot do without; it took a row that lacks \['b'\]"),
    (Undocumented, "must have a docstring"),
    (TakesAnything, "must refuse options it does not know"),
    (Silent, "option size has no description"),
]


@pytest.mark.parametrize(("cls", "words"), TRANSFORMS)
def test_a_broken_transform_is_told_which_claim_it_breaks(cls: type[Transform], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_transform(cls(cls.Options()), ROWS)


@pytest.mark.parametrize("cls", [Doubled, Seeded, Honest])
def test_a_transform_that_keeps_its_contract_passes(cls: type[Transform]) -> None:
    check_transform(cls(NO_OPTIONS), ROWS)


class Summed(Aggregation):
    """An aggregation that keeps its contract."""

    name = "summed"

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        return [{"sum": sum(row["a"] for row in rows)}]


class Keeps(Summed):
    """Adds to the sum of the last batch."""

    def setup(self, ctx: Context) -> None:
        self.total = 0

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        self.total += len(rows)
        return [{"sum": self.total}]


class Sorts(Summed):
    """Sorts the batch in place."""

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        rows.sort(key=lambda row: row["a"])
        return [{"least": rows[0]["a"]}]


class GivesOne(Summed):
    """Returns a row instead of a list."""

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        return {"sum": 1}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Keeps, "must not carry anything from one batch to the next"),
        (Sorts, "must not change what it is given"),
        (GivesOne, "must return a list of rows"),
    ],
)
def test_a_broken_aggregation_is_told_which_claim_it_breaks(cls: type[Aggregation], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_aggregation(cls(NO_OPTIONS), ROWS)


def test_an_aggregation_that_keeps_its_contract_passes() -> None:
    check_aggregation(Summed(NO_OPTIONS), ROWS)
    with pytest.raises(AssertionError, match="must give a row for each row of its batch; 3 rows became 1"):
        check_aggregation(Summed(NO_OPTIONS), ROWS, passthrough=True)
