"""Lets rows through that meet a condition, and sends the others elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.expressions import EvaluationError, compile_expression
from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, SideOutput, Transform


class FilterOptions(PluginOptions):
    """What a row must be like, and where the others go."""

    condition: str = Field(
        description="What must be true of a row that goes on, for example `row['price'] > 0`: an expression that gives "
        "true or false."
    )
    rejected: str = Field(
        default="discard", description="Where the other rows go, unchanged: a sink, a connection, or `discard`."
    )

    @field_validator("condition")
    @classmethod
    def _compiles(cls, text: str) -> str:
        outcomes = compile_expression(text).outcomes  # raises ExpressionError, a ValueError that names the column
        if outcomes is not None and not all(isinstance(outcome, bool) for outcome in outcomes):
            raise ValueError(f"{text!r} is never just true or false; write a comparison, or bool(x)")
        return text


class Filter(Transform):
    """Lets rows through for which a condition is true; the others leave unchanged by `rejected`, which is recorded.

    A row for which the condition has no value, or another one than true or false, is refused like by any other step.
    """

    name: ClassVar[str] = "filter"
    Options = FilterOptions
    options: FilterOptions

    def __init__(self, options: FilterOptions) -> None:
        super().__init__(options)
        self._expression = compile_expression(options.condition)
        self._evaluate = self._expression.evaluate
        self._rejected = SideOutput("rejected", "the condition is not met", {"condition": options.condition})

    def setup(self, ctx: Context) -> None:
        """Compiles the condition for the types of the fields, and for what fields are called in rows."""
        self._evaluate = compile_expression(self.options.condition, ctx.types, ctx.names).evaluate

    @classmethod
    def side_outputs(cls, options: Mapping[str, Any]) -> Mapping[str, str]:
        """`rejected`, where the option says."""
        return {"rejected": options.get("rejected", "discard")}

    def process(self, row: Row, ctx: Context) -> Row | SideOutput:
        """The row itself, or the side output `rejected`. Raises `RowError` where the condition is not true or false."""
        try:
            value = self._evaluate(row)
        except EvaluationError as error:
            raise RowError(f"the condition has no value: {error.reason}", condition=self.options.condition) from error
        if value is True:
            return row
        if value is False:
            return self._rejected
        raise RowError(
            f"the condition gives {str(value)[:80]!r} ({type(value).__name__}), neither true nor false",
            condition=self.options.condition,
        )

    def fields_in(self) -> frozenset[str]:
        """The fields that the condition reads."""
        return self._expression.required

    def fields_named(self) -> frozenset[str]:
        """All fields that the condition names."""
        return self._expression.fields

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The same types."""
        return types

    def check_types(self, types: Mapping[str, str]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Parts of the condition that have no value for any row."""
        return [
            (("condition",), error.sentence) for error in compile_expression(self.options.condition, types).problems
        ]
