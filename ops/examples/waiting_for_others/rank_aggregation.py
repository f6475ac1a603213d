"""An aggregation that keeps its rows: each is told how it ranks in its batch."""

from __future__ import annotations

from pydantic import Field

from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row


class RankOptions(PluginOptions):
    """Options of the `rank` aggregation."""

    field: str = Field(description="The field by which rows are ranked, the highest first; equals share a rank.")


class Rank(Aggregation):
    """Adds `rank` and `of`: with `output_mode: passthrough` there is one row out for each row in, in their order."""

    name = "rank"
    Options = RankOptions
    options: RankOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The rows of the batch with their ranks."""
        values = [row[self.options.field] for row in rows]
        ranks = [1 + sum(other > value for other in values) for value in values]
        return [{**row, "rank": rank, "of": len(rows)} for row, rank in zip(rows, ranks, strict=True)]

    def fields_in(self) -> frozenset[str]:
        """Without this field a batch is refused."""
        return frozenset({self.options.field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str]:
        """What rows had, and their rank."""
        return fields | {"rank", "of"}
