"""What the ten statistics share: their options, and the checks before a batch is looked at."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from elspeth.plugins.aggregations.statistics.errors import batch_error
from elspeth.plugins.aggregations.statistics.values import check_present
from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row
from elspeth.plugins.typed_fields import TypedFields
from elspeth.schema.typed_text import identity


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


_LABELS = ("positive_label", "baseline_variant", "baseline_cohort")
"""Options that hold a value of a field."""


def _one_text(first: dict[tuple[str, Any], Any], kind: str, value: Any) -> Any:
    """The first text that stood for the same; what is no such text, which a plugin may have left, stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return first.setdefault((kind, identity(kind, value)), value)
    except ValueError:
        return value


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
    _typed = TypedFields({})

    options: StatisticOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The result rows. Raises `RowError` for a batch that is empty, lacks a field, or has no such statistic."""
        if not rows:
            raise batch_error("empty_batch", "the batch has no row")
        check_present(rows, self.fields_needed())
        return self.compute(self._with_one_text(self._with_floats(rows)))

    def setup(self, ctx: Context) -> None:
        """Takes the types of the fields."""
        self._typed = TypedFields(ctx.types)

    def _with_floats(self, rows: list[Row]) -> list[Row]:
        """The rows, with a decimal that is measured as the float next to it: statistics are floats."""
        fields = [name for name in self.measured_fields() if self._typed.kind(name) == "decimal"]
        if not fields:
            return rows
        return [{**row, **{name: self._as_float(name, row[name]) for name in fields}} for row in rows]

    def _with_one_text(self, rows: list[Row]) -> list[Row]:
        """The rows, with one text for all that stand for the same decimal, date or time: the first that comes.

        A label that an option names comes before all others.
        """
        labels = sorted(
            self.named_fields().difference(self.measured_fields())
        )  # the first is the same in every process
        kinds = {name: kind for name in labels if (kind := self._typed.kind(name)) is not None}
        if not kinds:
            return rows
        first: dict[tuple[str, Any], Any] = {}
        for kind in set(kinds.values()):
            for option in _LABELS:
                _one_text(first, kind, getattr(self.options, option, None))
        return [
            {**row, **{name: _one_text(first, kind, row[name]) for name, kind in kinds.items() if name in row}}
            for row in rows
        ]

    def _as_float(self, name: str, value: Any) -> float | None:
        found = self._typed.value(name, value)
        return None if found is None else float(found)

    def measured_fields(self) -> tuple[str, ...]:
        """The fields whose numbers are measured."""
        named = (getattr(self.options, option, None) for option in ("value_field", "score_field"))
        return tuple(name for name in named if name is not None)

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
