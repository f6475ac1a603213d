"""Walks the tree of an expression along the list of what is allowed, and gives the tree to compile."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable
from math import isfinite
from typing import Any, NoReturn

from elspeth.expressions.errors import ExpressionError
from elspeth.expressions.forms import cannot_repeat, is_number
from elspeth.expressions.functions import FUNCTIONS, matcher
from elspeth.expressions.limits import MAX_BITS, MAX_DEPTH
from elspeth.expressions.safe_patterns import UnsafePattern

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


class Checker:
    """Returns the tree to compile, with guards where results could explode.

    `read`, `maybe` and `asked` are the fields read as `row['x']`, `row.get('x')` and `'x' in row`; `functions` what
    the tree calls, by the names it has there.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.read: set[str] = set()
        self.maybe: set[str] = set()
        self.asked: set[str] = set()
        self.functions: dict[str, Callable[..., Any]] = {}
        self._names = 0

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
                return self.call(node, below)
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

    def call(self, node: ast.Call, depth: int) -> ast.expr:
        match node.func:
            case ast.Attribute(attr="get", value=ast.Name(id="row")):
                return self.get(node, depth)
            case ast.Name(id=name) if name in FUNCTIONS:
                return self.function(name, node, depth)
            case ast.Name(id=name):
                close = difflib.get_close_matches(name, FUNCTIONS, 1)
                words = f"did you mean {close[0]}?" if close else f"functions are {', '.join(FUNCTIONS)}"
                self.refuse(node, f"a call of {name}, which is no function ({words})")
            case ast.Attribute(attr=name) if name in FUNCTIONS:
                self.refuse(node, f"a call of the method {name} (write it as a function: {FUNCTIONS[name].form})")
        return self.refuse(node, "a call of something else than row.get and the functions")

    def function(self, name: str, node: ast.Call, depth: int) -> ast.expr:
        function = FUNCTIONS[name]
        wrong = [part for part in node.args if isinstance(part, ast.Starred)] + [word.value for word in node.keywords]
        if wrong or not function.least <= len(node.args) <= function.most:
            self.refuse(node, f"{name} with other arguments than {function.form}")
        if name == "matches":
            return self.match(node.args[0], self.result(node.args[1], depth))
        arguments = [self.result(argument, depth) for argument in node.args]
        if name == "is_null":
            return ast.Compare(left=arguments[0], ops=[ast.Is()], comparators=[ast.Constant(None)])
        if name == "coalesce":
            return self.coalesce(arguments)
        self.functions[name] = function.call
        return _call(name, *arguments)

    def match(self, pattern: ast.expr, text: ast.expr) -> ast.expr:
        if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
            self.refuse(pattern, "a pattern that is not a text literal")
        try:
            search = matcher(pattern.value)
        except UnsafePattern as error:
            self.refuse(pattern, str(error))
        name = self.name("matches")
        self.functions[name] = search
        return _call(name, text)

    def coalesce(self, arguments: list[ast.expr]) -> ast.expr:
        # What stands behind the first value is not evaluated: it may need a field that only other rows have.
        *firsts, result = arguments
        for first in reversed(firsts):
            name = self.name("value")
            kept = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=first)
            there = ast.Compare(left=kept, ops=[ast.IsNot()], comparators=[ast.Constant(None)])
            result = ast.IfExp(test=there, body=ast.Name(id=name, ctx=ast.Load()), orelse=result)
        return result

    def name(self, begins: str) -> str:
        self._names += 1
        return f"{begins}_{self._names}"

    def get(self, node: ast.Call, depth: int) -> ast.expr:
        if node.keywords or not 1 <= len(node.args) <= 2:
            self.refuse(node, "row.get with other arguments than a field and a default")
        self.maybe.add(self.field(node.args[0]))
        arguments = [node.args[0], *(self.result(default, depth) for default in node.args[1:])]
        return ast.Call(func=node.func, args=arguments, keywords=[])

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
            case ast.Mod() if not is_number(node.left):
                return _call("modulo", left, right)
            case ast.Mult() if not cannot_repeat(node.left, node.right):
                return _call("times", left, right)
        return ast.BinOp(left=left, op=node.op, right=right)


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def _meant(name: str) -> str:
    if name in FUNCTIONS:
        return f" (a function is called: {FUNCTIONS[name].form})"
    constant = {"true": "True", "false": "False", "null": "None", "none": "None"}.get(name.lower())
    return f" (did you mean {constant}?)" if constant else f" (a field is written row[{name!r}])"
