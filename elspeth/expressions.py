"""Conditions and computed values: a small, bounded subset of Python, checked once and compiled to a plain function.

    row['amount'] > 1000 and row.get('country', 'NZ') in ('NZ', 'AU')

Allowed: literals, lists, dicts; `row['x']`, `row.get('x', default)` and subscripts of what they give; `'x' in row`;
comparisons (also chained), `in`, `is None`; `and`, `or`, `not`; `+ - * / // % **`; `a if c else b`. Tuples and sets may
stand inside a comparison. Nothing else: no calls, attributes, comprehensions, f-strings, lambdas or assignments.

Whatever the text and the row, evaluation ends soon and needs little memory: texts are at most `MAX_LENGTH` long and
`MAX_DEPTH` deep, and the operators whose result can be larger than the sum of their operands are guarded. Everything
else grows with the sum of what the row holds, because nothing can be named and used again.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn, cast

from elspeth.bounded import MAX_BITS, modulo, plain, power, reason, shorten, times

MAX_LENGTH = 4000
"""Longest text that is compiled, in characters."""

MAX_DEPTH = 100
"""Deepest nesting; a sum of n terms is n deep."""

ALLOWED = (
    "literals, row['x'], row.get('x', default), comparisons, in, is None, and, or, not, + - * / // % **, a if c else b"
)

_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


class ExpressionError(ValueError):
    """The text is no expression. `column` counts characters from 1; `reason` says what was found there."""

    def __init__(self, text: str, column: int, reason: str) -> None:
        super().__init__(f"{reason} (column {column} of {shorten(text, 80)!r}); allowed are {ALLOWED}")
        self.text = text
        self.column = column
        self.reason = reason


class EvaluationError(Exception):
    """The expression has no value for this row. `reason` is a sentence, `text` the expression."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text}: {reason}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `evaluate(row)` gives its value, or raises `EvaluationError`. `fields` are all row keys it names; `required` those
    that must be there: read as `row['x']`, and not asked for with `'x' in row` in the same expression. `outcomes` are
    the only values it can have, where its form alone tells (`frozenset({True, False})` for a comparison), else None.
    """

    text: str
    fields: frozenset[str]
    required: frozenset[str]
    outcomes: frozenset[Any] | None
    evaluate: Callable[[Mapping[str, Any]], Any]


def compile_expression(text: str) -> Expression:
    """Check and compile `text`. Raises `ExpressionError` with the column and what is allowed."""
    tree = _parse(text)
    checker = _Checker(text)
    body = checker.result(tree.body, 1)
    asked = frozenset(checker.asked)
    return Expression(
        text=text,
        fields=frozenset(checker.read | checker.maybe) | asked,
        required=frozenset(checker.read) - asked - checker.maybe,
        outcomes=_outcomes(tree.body),
        evaluate=_compile(body, text, frozenset(checker.read)),
    )


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
        raise ExpressionError(text, max(error.offset or 1, 1), f"not an expression: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(text, 1, f"not an expression: {error or 'nested too deeply'}") from None


_TEMPLATE = """
def evaluate(row):
    try:
        return 0
    except FAILURES as error:
        raise explain(error, row) from error
"""


def _compile(body: ast.expr, text: str, read: frozenset[str]) -> Callable[[Mapping[str, Any]], Any]:
    module = ast.parse(_TEMPLATE)
    function = cast(ast.FunctionDef, module.body[0])
    attempt = cast(ast.Try, function.body[0])
    attempt.body = [ast.Return(value=body)]
    names: dict[str, Any] = {
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
    exec(code, names)  # the tree holds nothing but what the checker below let through
    return cast("Callable[[Mapping[str, Any]], Any]", names["evaluate"])


_WORDS: dict[type[ast.AST], str] = {
    ast.Call: "a call",
    ast.Attribute: "an attribute",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment",
    ast.Starred: "a starred value",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Await: "an await",
    ast.Yield: "a yield",
    ast.YieldFrom: "a yield",
}
_SYMBOLS = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>", ast.MatMult: "@"}
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)


class _Checker:
    """Walks a tree along the allow-list and returns the tree to compile, with guards where results could explode."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.read: set[str] = set()
        self.maybe: set[str] = set()
        self.asked: set[str] = set()

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        line = self.text.strip().replace("\n", " ")
        bytes_before = line.encode("utf-8", "replace")[: getattr(node, "col_offset", 0)]
        lead = len(self.text) - len(self.text.lstrip())
        raise ExpressionError(self.text, lead + len(bytes_before.decode("utf-8", "replace")) + 1, reason)

    def result(self, node: ast.expr, depth: int) -> ast.expr:
        """A value that leaves the expression: checked to be one that a row can hold."""
        checked = self.value(node, depth, inside_comparison=False)
        return _call("plain", checked) if isinstance(node, ast.BinOp | ast.UnaryOp) else checked

    def value(self, node: ast.expr, depth: int, *, inside_comparison: bool) -> ast.expr:
        if depth > MAX_DEPTH:
            self.refuse(node, f"nested more than {MAX_DEPTH} deep")
        below = depth + 1
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Compare():
                return self.compare(node, below)
            case ast.Subscript():
                return self.subscript(node, below)
            case ast.Call():
                return self.get(node, below)
            case ast.BoolOp():
                parts = [self.part(part, below, inside_comparison) for part in node.values]
                return ast.BoolOp(op=node.op, values=parts)
            case ast.IfExp():
                return ast.IfExp(
                    test=self.value(node.test, below, inside_comparison=False),
                    body=self.part(node.body, below, inside_comparison),
                    orelse=self.part(node.orelse, below, inside_comparison),
                )
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
                operand = self.value(node.operand, below, inside_comparison=inside_comparison)
                return ast.UnaryOp(op=node.op, operand=operand)
            case ast.BinOp():
                return self.arithmetic(node, below, inside_comparison)
            case ast.List():
                return ast.List(elts=[self.part(e, below, inside_comparison) for e in node.elts], ctx=ast.Load())
            case ast.Dict():
                return self.dictionary(node, below, inside_comparison)
            case ast.Tuple() | ast.Set():
                if not inside_comparison:
                    self.refuse(node, "a tuple or set outside a comparison (a row holds lists)")
                parts = [self.value(e, below, inside_comparison=True) for e in node.elts]
                return ast.Set(elts=parts) if isinstance(node, ast.Set) else ast.Tuple(elts=parts, ctx=ast.Load())
            case ast.Name(id="row"):
                self.refuse(node, "the row as a whole (name one of its fields: row['x'])")
            case ast.Name():
                self.refuse(node, f"the name {node.id!r}{_meant(node.id)}")
            case ast.UnaryOp():
                self.refuse(node, "the operator ~")
        return self.refuse(node, _WORDS.get(type(node), type(node).__name__))

    def part(self, node: ast.expr, depth: int, inside_comparison: bool) -> ast.expr:
        if inside_comparison:
            return self.value(node, depth, inside_comparison=True)
        return self.result(node, depth)

    def constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if value is not None and not isinstance(value, str | int | float):
            self.refuse(node, f"a {type(value).__name__} literal")
        if isinstance(value, float) and not isfinite(value):
            self.refuse(node, "a number too large")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            self.refuse(node, f"a number of more than {MAX_BITS} bits")
        return node

    def compare(self, node: ast.Compare, depth: int) -> ast.expr:
        parts = [self.value(node.left, depth, inside_comparison=True)]
        previous: ast.expr = node.left
        for operator, part in zip(node.ops, node.comparators, strict=True):
            if not isinstance(operator, _COMPARISONS):
                self.refuse(part, "an unknown comparison")
            if isinstance(operator, ast.Is | ast.IsNot) and not (
                isinstance(part, ast.Constant) and (part.value is None or isinstance(part.value, bool))
            ):
                self.refuse(part, "`is` with something else than None, True or False (use ==)")
            if isinstance(operator, ast.In | ast.NotIn) and isinstance(part, ast.Name) and part.id == "row":
                self.asked.add(self.field(previous))
                parts.append(part)
            else:
                parts.append(self.value(part, depth, inside_comparison=True))
            previous = part
        return ast.Compare(left=parts[0], ops=node.ops, comparators=parts[1:])

    def subscript(self, node: ast.Subscript, depth: int) -> ast.expr:
        base, index = node.value, node.slice
        if isinstance(base, ast.Name) and base.id == "row":
            self.read.add(self.field(index))
            return ast.Subscript(value=base, slice=index, ctx=ast.Load())
        if not isinstance(base, ast.Subscript | ast.Call):
            self.refuse(node, "a subscript of something that is not in the row")
        value = self.value(base, depth, inside_comparison=False)
        if isinstance(index, ast.Slice):
            ends = [end and self.value(end, depth, inside_comparison=False) for end in (index.lower, index.upper)]
            if index.step is not None:
                self.refuse(index.step, "a slice with a step")
            return ast.Subscript(value=value, slice=ast.Slice(lower=ends[0], upper=ends[1]), ctx=ast.Load())
        return ast.Subscript(value=value, slice=self.value(index, depth, inside_comparison=False), ctx=ast.Load())

    def field(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            self.refuse(node, "a field whose name is not a text literal (write row['x'])")
        return node.value

    def get(self, node: ast.Call, depth: int) -> ast.expr:
        called = node.func
        if not (
            isinstance(called, ast.Attribute)
            and called.attr == "get"
            and isinstance(called.value, ast.Name)
            and called.value.id == "row"
        ):
            self.refuse(node, "a call of something else than row.get")
        if node.keywords or not 1 <= len(node.args) <= 2:
            self.refuse(node, "row.get with other arguments than a field and a default")
        self.maybe.add(self.field(node.args[0]))
        arguments = [node.args[0], *(self.result(default, depth) for default in node.args[1:])]
        return ast.Call(func=called, args=arguments, keywords=[])

    def dictionary(self, node: ast.Dict, depth: int, inside_comparison: bool) -> ast.expr:
        keys: list[ast.expr | None] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                self.refuse(key or value, "a dict key that is not a text literal")
            keys.append(key)
        return ast.Dict(keys=keys, values=[self.part(value, depth, inside_comparison) for value in node.values])

    def arithmetic(self, node: ast.BinOp, depth: int, inside_comparison: bool) -> ast.expr:
        if not isinstance(node.op, _OPERATORS):
            self.refuse(node, f"the operator {_SYMBOLS[type(node.op)]}")
        left = self.value(node.left, depth, inside_comparison=inside_comparison)
        right = self.value(node.right, depth, inside_comparison=inside_comparison)
        match node.op:
            case ast.Pow():
                return _call("power", left, right)
            case ast.Mod() if not _is_number(node.left):
                return _call("modulo", left, right)
            case ast.Mult() if not _cannot_repeat(node.left, node.right):
                return _call("times", left, right)
        return ast.BinOp(left=left, op=node.op, right=right)


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def _is_number(node: ast.expr) -> bool:
    """Whether the node can only give a number, judged by its form: these never repeat or format a text."""
    match node:
        case ast.Constant(value=int() | float()):
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return True
        case ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv() | ast.Mod() | ast.Pow()):
            return True
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return _cannot_repeat(left, right)
    return False


def _cannot_repeat(left: ast.expr, right: ast.expr) -> bool:
    return any(_is_float(side) for side in (left, right)) or (_is_number(left) and _is_number(right))


def _is_float(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()):
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _is_float(operand)
    return False


def _outcomes(node: ast.expr) -> frozenset[Any] | None:
    """The values the node can have, judged by its form; None where only the row can tell."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return frozenset({True, False})
        case ast.Constant():
            return frozenset({node.value})
        case ast.IfExp():
            parts = [_outcomes(node.body), _outcomes(node.orelse)]
        case ast.BoolOp():
            parts = [_outcomes(part) for part in node.values]
        case _:
            return None
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if len(known) == len(parts) else None


def _meant(name: str) -> str:
    constant = {"true": "True", "false": "False", "null": "None", "none": "None"}.get(name.lower())
    return f" (did you mean {constant}?)" if constant else f" (a field is written row[{name!r}])"
