"""What can be wrong with an expression: its text, or its value for one row."""

from __future__ import annotations

from elspeth.expressions.bounded import shorten

ALLOWED = (
    "literals, row['x'], row.get('x', default), comparisons, in, is None, and, or, not, + - * / // % **, "
    "a if c else b, functions such as lower(x)"
)


class ExpressionError(ValueError):
    """The text is no expression. `column` counts from 1; `reason` says what was found there, `sentence` both."""

    def __init__(self, text: str, column: int, reason: str) -> None:
        self.sentence = f"{reason} (column {column} of {shorten(text, 80)!r})"
        super().__init__(f"{self.sentence}; allowed are {ALLOWED}")
        self.text = text
        self.column = column
        self.reason = reason


class EvaluationError(Exception):
    """The expression has no value for this row. `reason` is a sentence, `text` the expression."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text}: {reason}")
        self.text = text
        self.reason = reason
