"""Computes fields from expressions over the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elspeth.expressions import EvaluationError, Expression, compile_expression
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
        self._expressions, _ = self._compiled({})
        self._operations = self._steps(self._expressions)
        self._named = frozenset().union(*(expression.fields for expression in self._expressions))

    def setup(self, ctx: Context) -> None:
        """Compiles the expressions for the types of the fields, and for what fields are called in rows."""
        self._operations = self._steps(self._compiled(ctx.types, ctx.names)[0])

    def _compiled(
        self, types: Mapping[str, str], names: Mapping[str, str] | None = None
    ) -> tuple[list[Expression], Mapping[str, str]]:
        """The expressions, each for the types that fields have when it is its turn, and the types afterwards."""
        present, names, expressions = dict(types), dict(names or {}), []
        for operation in self.options.operations:
            expression = compile_expression(operation.expression, present, names)
            expressions.append(expression)
            present.pop(operation.target, None)
            names.pop(operation.target, None)  # behind this operation, rows have a field of this name
            if expression.kind is not None:
                present[operation.target] = expression.kind
        return expressions, present

    def _steps(self, expressions: Sequence[Expression]) -> list[tuple[str, Callable[[Row], Any]]]:
        pairs = zip(self.options.operations, expressions, strict=True)
        return [(operation.target, expression.evaluate) for operation, expression in pairs]

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

    def fields_named(self) -> frozenset[str]:
        """All fields that expressions name."""
        return self._named

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, and the targets."""
        return fields | {target for target, _ in self._operations}

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """What is computed anew stands behind what there was."""
        return tuple(dict.fromkeys((*order, *(target for target, _ in self._operations))))

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before, and those of the expressions."""
        return self._compiled(types)[1]

    def check_types(self, types: Mapping[str, str]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Parts of the expressions that have no value for any row."""
        return [
            (("operations", place, "expression"), error.sentence)
            for place, expression in enumerate(self._compiled(types)[0])
            for error in expression.problems
        ]
