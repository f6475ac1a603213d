"""From the text of an expression to the function that gives its value for a row."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from elspeth.expressions.bounded import modulo, plain, power, reason, times
from elspeth.expressions.checker import Checker
from elspeth.expressions.errors import EvaluationError, ExpressionError
from elspeth.expressions.forms import outcomes
from elspeth.expressions.limits import MAX_LENGTH

_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `evaluate(row)` gives its value, or raises `EvaluationError`. `fields` are all row keys it names; `required` those
    that must be there: read as `row['x']`, and not asked for with `'x' in row` in the same expression. `outcomes` are
    the only values it can have, where its form alone tells (`frozenset({True, False})` for a comparison), else None.
    `kind` is the type of its value (as schemas name types), if that is known; `problems` are parts that can have no
    value for any row, because of the types of fields.
    """

    text: str
    fields: frozenset[str]
    required: frozenset[str]
    outcomes: frozenset[Any] | None
    evaluate: Callable[[Mapping[str, Any]], Any]
    kind: str | None = None
    problems: tuple[ExpressionError, ...] = ()


def compile_expression(
    text: str, types: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> Expression:
    """Check and compile `text`. Raises `ExpressionError` with the column and what is allowed.

    `types` are those of the row's fields, as schemas name them: fields of type decimal, date or datetime, which are
    text in a row, are such values in the expression. Its own value is one that a row can hold. `names` are names that
    a field may have in `text` beside its own, each with the field's own, which the compiled form reads.
    """
    tree = _parse(text)
    checker = Checker(text, types or {}, names or {}, tree.body)
    body = checker.whole(tree.body)
    asked = frozenset(checker.asked)
    return Expression(
        text=text,
        fields=frozenset(checker.read | checker.maybe) | asked,
        required=frozenset(checker.read) - asked - checker.maybe,
        outcomes=outcomes(tree.body),
        evaluate=_compile(body, text, frozenset(checker.read), checker.functions),
        kind=_AS_TYPES.get(str(checker.kinds.of(tree.body))),
        problems=tuple(checker.problems),
    )


_AS_TYPES = {"text": "str", **{kind: kind for kind in ("int", "float", "bool", "decimal", "date", "datetime")}}


def _parse(text: str) -> ast.Expression:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, MAX_LENGTH + 1, f"longer than {MAX_LENGTH} characters")
    source = text.strip()
    if not source:
        raise ExpressionError(text, 1, "nothing there")
    if "\n" in source and "#" in source:
        raise ExpressionError(text, text.index("#") + 1, "a # in an expression of several lines")
    source = source.replace("\r", " ").replace("\n", " ")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, mode="eval")
    except SyntaxError as error:
        raise ExpressionError(text, error.offset or len(source), f"not an expression: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(text, 1, f"not an expression: {error or 'nested too deeply'}") from None


_TEMPLATE = """
def evaluate(row):
    try:
        return 0
    except FAILURES as error:
        raise explain(error, row) from error
"""


def _compile(
    body: ast.expr, text: str, read: frozenset[str], functions: Mapping[str, Callable[..., Any]]
) -> Callable[[Mapping[str, Any]], Any]:
    module = ast.parse(_TEMPLATE)
    function = cast(ast.FunctionDef, module.body[0])
    attempt = cast(ast.Try, function.body[0])
    attempt.body = [ast.Return(value=body)]
    names: dict[str, Any] = {
        **functions,
        "__builtins__": {},
        "FAILURES": _FAILURES,
        "explain": lambda error, row: EvaluationError(text, reason(error, row, read)),
        "times": times,
        "power": power,
        "modulo": modulo,
        "plain": plain,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(ast.fix_missing_locations(module), "<expression>", "exec")
    exec(code, names)  # the tree holds nothing but what the checker let through
    return cast("Callable[[Mapping[str, Any]], Any]", names["evaluate"])
