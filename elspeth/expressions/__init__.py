"""Conditions and computed values: a small, bounded subset of Python with functions, compiled once to a plain function.

    row['amount'] > 1000 and contains(lower(row['subject']), 'invoice')

Allowed: literals, lists, dicts; `row['x']`, `row.get('x', default)` and subscripts of what they give; `'x' in row`;
comparisons (also chained), `in`, `is None`; `and`, `or`, `not`; `+ - * / // % **`; `a if c else b`; the functions of
`elspeth.expressions.functions`. Tuples and sets may stand inside a comparison. Nothing else: no methods, attributes,
comprehensions, f-strings, lambdas or assignments.

Whatever the text and the row, evaluation ends soon and needs little memory: texts are at most `MAX_LENGTH` long and
`MAX_DEPTH` deep, and the operators and functions whose result can be larger than the sum of what they are given are
guarded. Everything else grows with the sum of what the row holds, because nothing can be named and used again.
"""

from elspeth.expressions.compiled import Expression, compile_expression
from elspeth.expressions.errors import EvaluationError, ExpressionError
from elspeth.expressions.limits import MAX_DEPTH, MAX_LENGTH

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "EvaluationError", "Expression", "ExpressionError", "compile_expression"]
