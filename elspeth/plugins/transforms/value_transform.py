"""Computes fields from expressions over the row."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elspeth.expressions import EvaluationError, compile_expression
from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


class Operation(BaseModel):
    """One computed field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str = Field(min_length=1, description="The field that gets the value; a new one stands at the end.")
    expression: str = Field(description="What to compute, for example `row['price'] * row['count']`.")

    @field_validator("expression")
    @classmethod
    def _compiles(cls, text: str) -> str:
        compile_expression(text)  # an ExpressionError is a ValueError, which names the column and what is allowed
        return text


class ValueTransformOptions(PluginOptions):
    """`operations` are carried out in order."""

    operations: tuple[Operation, ...] = Field(
        min_length=1, description="What to compute; an operation sees the results of those before it."
    )


class ValueTransform(Transform):
    """Computes fields from expressions; each operation sees the results of the earlier ones."""

    name: ClassVar[str] = "value_transform"
    Options = ValueTransformOptions
    options: ValueTransformOptions

    def __init__(self, options: ValueTransformOptions) -> None:
        super().__init__(options)
        self._expressions = [compile_expression(operation.expression) for operation in options.operations]
        self._operations = [
            (operation.target, expression.evaluate)
            for operation, expression in zip(options.operations, self._expressions, strict=True)
        ]

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with the computed fields. Raises `RowError` where an expression has no value."""
        out = row.copy()
        try:
            for target, evaluate in self._operations:
                out[target] = evaluate(out)
        except EvaluationError as error:
            raise RowError(
                f"{target!r} cannot be computed: {error.reason}", target=target, expression=error.text
            ) from error
        return out

    def fields_in(self) -> frozenset[str]:
        """The fields that a row must have: those that are read before an earlier operation computes them."""
        needed: set[str] = set()
        computed: set[str] = set()
        for (target, _), expression in zip(self._operations, self._expressions, strict=True):
            needed |= expression.required - computed
            computed.add(target)
        return frozenset(needed)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, and the targets."""
        return fields | {target for target, _ in self._operations}
