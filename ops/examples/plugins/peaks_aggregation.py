"""An aggregation: of all rows of a batch, the one with the highest value of each group."""

from __future__ import annotations

from pydantic import Field

from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row, RowError


class PeaksOptions(PluginOptions):
    """Options of the `peaks` aggregation."""

    value_field: str = Field(description="The field whose highest number is looked for.")
    group_by: str = Field(description="One row is given for each value of this field.")


class Peaks(Aggregation):
    """Gives the highest row of each group, in the order in which the groups first appeared; the first of equals."""

    name = "peaks"
    Options = PeaksOptions
    options: PeaksOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """Elspeth holds the rows until the trigger fires; nothing is kept here from one batch to the next."""
        field, group_by = self.options.value_field, self.options.group_by
        highest: dict[str, Row] = {}
        for row in rows:
            if not isinstance(row.get(field), int | float):
                raise RowError(f"field {field!r} of a row of the batch holds no number", row=row)
            group = str(row.get(group_by))
            if group not in highest or row[field] > highest[group][field]:
                highest[group] = row
        return [{**row, "rows": len(rows)} for row in highest.values()]
