"""What the ten statistics share: their options, and the checks before a batch is looked at."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from elspeth.plugins.aggregations.statistics.errors import batch_error
from elspeth.plugins.aggregations.statistics.values import at
from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError(f"found {text!r}, which is blank")
    return text


def _label(value: Any) -> Any:
    if isinstance(value, str):
        return _not_blank(value)
    if value is not None and type(value) not in (int, bool):
        raise ValueError(f"found {repr(value)[:80]}; allowed are text, a whole number, true or false")
    return value


def _no_bool(value: Any) -> Any:
    # Pydantic would take true for 1.
    if isinstance(value, bool):
        raise ValueError(f"found {str(value).lower()}; a number is needed")
    return value


Text = Annotated[str, AfterValidator(_not_blank)]
Label = Annotated[str | int | bool | None, BeforeValidator(_label)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
Finite = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]


class StatisticOptions(PluginOptions):
    """What each of the statistics takes."""

    required_input_fields: tuple[Text, ...] = Field(
        default=(), description="Fields that every row must have, beside those that other options name."
    )

    def differ(self, *names: str) -> None:
        """Raise `ValueError` if two of these options name one field."""
        values = [getattr(self, name) for name in names]
        if len(set(values)) < len(values):
            raise ValueError(
                f"{', '.join(names)}: these must be different fields, found {', '.join(map(repr, values))}"
            )


class Statistic(Aggregation):
    """Base of the ten. A batch is refused as a whole, with `RowError` whose reason is a fixed word."""

    sometimes: ClassVar[frozenset[str]] = frozenset()
    """Those of `result_fields` that a row has only where there is something to say."""

    output_modes = ("transform",)

    options: StatisticOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The result rows. Raises `RowError` for a batch that is empty, lacks a field, or has no such statistic."""
        if not rows:
            raise batch_error("empty_batch", "the batch has no row")
        _need(rows, self.fields_needed())
        return self.compute(rows)

    def compute(self, rows: list[Row]) -> list[Row]:
        """The result rows of a batch that has rows, and every field in each."""
        raise NotImplementedError

    def named_fields(self) -> frozenset[str]:
        """The fields that options name."""
        raise NotImplementedError

    def fields_needed(self) -> frozenset[str]:
        """The fields without which a row of a batch is refused."""
        return self.fields_in()

    def fields_in(self) -> frozenset[str]:
        """The fields that options name."""
        return self.named_fields() | frozenset(self.options.required_input_fields)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The result's, whatever there was before."""
        return frozenset(self.result_fields) - self.sometimes

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The result's, and those that are there only where there is something to say."""
        return frozenset(self.result_fields)


def _need(rows: list[Row], names: frozenset[str]) -> None:
    for name in sorted(names):
        lacking = [index for index, row in enumerate(rows) if name not in row]
        if lacking:
            raise batch_error(
                "missing_field",
                f"there is no field {name!r} in {at(lacking)}",
                [(index, "missing_field") for index in lacking],
                field=name,
            )
