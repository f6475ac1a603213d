"""Walks the tree of an expression along the list of what is allowed, and gives the tree to compile."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

from elspeth.expressions.errors import ExpressionError
from elspeth.expressions.exact import ARITHMETIC, COMPARISONS, as_text, negate, positive
from elspeth.expressions.forms import cannot_repeat, is_number
from elspeth.expressions.functions import FUNCTIONS, matcher
from elspeth.expressions.kinds import (
    TYPED_KINDS,
    Kinds,
    may_be_typed,
    may_hold_typed,
    symbol_of,
    wrong_argument,
    wrong_pair,
)
from elspeth.expressions.limits import MAX_BITS, MAX_DEPTH
from elspeth.expressions.safe_patterns import UnsafePattern
from elspeth.expressions.typed_functions import CONVERT_TYPED, reader, with_typed

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
_CALLS: dict[str, Callable[..., Any]] = {name: function.call for name, function in FUNCTIONS.items()}
_TYPED_CALLS = with_typed(_CALLS)
_MAKE_TYPED = frozenset({*CONVERT_TYPED, "days_between"})
_NEVER_TYPED = frozenset({"int", "float", "number", "text", "bool", "null", "plain"})


class _Field(ast.Constant):
    """The name of a field, as rows have it."""

    value: str


class Checker:
    """Returns the tree to compile, with guards where results could explode.

    `read`, `maybe` and `asked` are the fields read as `row['x']`, `row.get('x')` and `'x' in row`; `functions` what
    the tree calls, by the names it has there. `typed` expressions are those in which decimals, dates or times can
    occur: only they pay for what these need. `names` are other names of fields, each with the field's own; `problems`
    parts that have no value for any row.
    """

    def __init__(self, text: str, types: Mapping[str, str], names: Mapping[str, str], tree: ast.expr) -> None:
        self.text = text
        self.names = names
        self.kinds = Kinds(types)
        self.typed = _is_typed(tree, types, names)
        self.problems: list[ExpressionError] = []
        self.read: set[str] = set()
        self.maybe: set[str] = set()
        self.asked: set[str] = set()
        self.functions: dict[str, Callable[..., Any]] = {}
        self._names = 0

    def refuse(self, node: ast.AST, reason: str) -> NoReturn:
        raise self.error(node, reason)

    def error(self, node: ast.AST, reason: str) -> ExpressionError:
        """What is wrong with a part of the text, and where it stands."""
        line = self.text.strip().replace("\n", " ")
        bytes_before = line.encode("utf-8", "replace")[: getattr(node, "col_offset", 0)]
        lead = len(self.text) - len(self.text.lstrip())
        return ExpressionError(self.text, lead + len(bytes_before.decode("utf-8", "replace")) + 1, reason)

    def impossible(self, node: ast.AST, reason: str | None) -> None:
        """Note that a part has no value for any row, if there is a reason."""
        if reason is not None:
            self.problems.append(self.error(node, reason))

    def whole(self, node: ast.expr) -> ast.expr:
        """The value of the expression, as a row can hold it."""
        checked = self.result(node, 1)
        kind = self.kinds.of(node)
        return self.helper("as_text", as_text, checked) if self.typed and kind not in _NEVER_TYPED else checked

    def helper(self, name: str, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        """A call of a function of ours."""
        self.functions[name] = function
        return _call(name, *arguments)

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
                if self.typed and not isinstance(node.op, ast.Not) and may_be_typed(self.kinds.of(node.operand)):
                    sign = ("negate", negate) if isinstance(node.op, ast.USub) else ("positive", positive)
                    return self.helper(*sign, operand)
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
                field = self.field(previous)
                self.asked.add(field.value)
                if len(parts) == 1:  # in the midst of a chain it is a text that is compared as well
                    parts = [field]
                parts.append(part)
            else:
                parts.append(self.value(part, depth, inside_comparison=True))
            previous = part
        if self.typed:
            guarded = self.compare_typed(node, parts)
            if guarded is not None:
                return guarded
        return ast.Compare(left=parts[0], ops=node.ops, comparators=parts[1:])

    def compare_typed(self, node: ast.Compare, parts: list[ast.expr]) -> ast.expr | None:
        """The comparison with guards, where decimals, dates or times can occur in it; None where they cannot."""
        kinds = [self.kinds.of(part) for part in (node.left, *node.comparators)]
        guards = []
        for place, operator in enumerate(node.ops):
            left, right = kinds[place], kinds[place + 1]
            self.impossible(node.comparators[place], wrong_pair(symbol_of(operator), left, right))
            native = isinstance(operator, ast.Is | ast.IsNot) or _is_row(node.comparators[place])
            same = left == right and left in ("decimal", "date")
            typed = may_hold_typed(left) or may_hold_typed(right)
            listed = isinstance(operator, ast.In | ast.NotIn) and right not in ("text", "plain")
            guards.append(not native and ((typed and not same) or listed))
        if not any(guards):
            return None
        tests: list[ast.expr] = []
        left_part = parts[0]
        for place, operator in enumerate(node.ops):
            right_part = parts[place + 1]
            following = right_part
            if place + 1 < len(node.ops):
                name = self.name("value")
                right_part = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=right_part)
                following = ast.Name(id=name, ctx=ast.Load())
            if guards[place]:
                kind = type(operator).__name__
                tests.append(self.helper(f"compare_{kind}", COMPARISONS[kind], left_part, right_part))
            else:
                tests.append(ast.Compare(left=left_part, ops=[operator], comparators=[right_part]))
            left_part = following
        return tests[0] if len(tests) == 1 else ast.BoolOp(op=ast.And(), values=tests)

    def subscript(self, node: ast.Subscript, depth: int) -> ast.expr:
        base, index = node.value, node.slice
        if isinstance(base, ast.Name) and base.id == "row":
            field = self.field(index)
            self.read.add(field.value)
            return self.as_typed(field.value, ast.Subscript(value=base, slice=field, ctx=ast.Load()))
        if not isinstance(base, ast.Subscript | ast.Call):
            self.refuse(node, "a subscript of something that is not in the row")
        value = self.value(base, depth, inside_comparison=False)
        if isinstance(index, ast.Slice):
            ends = [end and self.value(end, depth, inside_comparison=False) for end in (index.lower, index.upper)]
            if index.step is not None:
                self.refuse(index.step, "a slice with a step")
            return ast.Subscript(value=value, slice=ast.Slice(lower=ends[0], upper=ends[1]), ctx=ast.Load())
        return ast.Subscript(value=value, slice=self.value(index, depth, inside_comparison=False), ctx=ast.Load())

    def as_typed(self, name: str, read: ast.expr) -> ast.expr:
        """What is read of a field, as a decimal, date or time if the field is one."""
        kind = self.kinds.field(name)
        if self.kinds.is_mixed(name):
            has = f"row[{name!r}] has one type by one way and another by another"
            self.impossible(read, f"{has}: declare it in the schema of this step")
        if kind is None or kind not in TYPED_KINDS:
            return read
        return self.helper(f"read_{kind}", reader(kind), read)

    def field(self, node: ast.expr) -> _Field:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            self.refuse(node, "a field whose name is not a text literal (write row['x'])")
        return _Field(self.names.get(node.value, node.value))

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
        for place, argument in enumerate(node.args):
            self.impossible(argument, wrong_argument(name, place, self.kinds.of(argument)))
        if name in CONVERT_TYPED and isinstance(node.args[0], ast.Constant):
            return self.constant_value(name, node.args[0])
        if name == "matches":
            return self.match(node.args[0], self.result(node.args[1], depth))
        arguments = [self.result(argument, depth) for argument in node.args]
        if name == "is_null":
            return ast.Compare(left=arguments[0], ops=[ast.Is()], comparators=[ast.Constant(None)])
        if name == "coalesce":
            return self.coalesce(arguments)
        return self.helper(name, (_TYPED_CALLS if self.typed else _CALLS)[name], *arguments)

    def constant_value(self, function: str, node: ast.Constant) -> ast.expr:
        """A decimal, date or time that is written out: made once."""
        try:
            value = FUNCTIONS[function].call(node.value)
        except (TypeError, ValueError) as error:
            self.refuse(node, str(error))
        name = self.name("constant")
        self.functions[name] = value
        return ast.Name(id=name, ctx=ast.Load())

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
        field = self.field(node.args[0])
        self.maybe.add(field.value)
        arguments: list[ast.expr] = [field, *(self.result(default, depth) for default in node.args[1:])]
        return self.as_typed(field.value, ast.Call(func=node.func, args=arguments, keywords=[]))

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
        kinds = self.kinds.of(node.left), self.kinds.of(node.right)
        if self.typed and any(map(may_be_typed, kinds)):
            name = type(node.op).__name__
            self.impossible(node, wrong_pair(symbol_of(node.op), *kinds))
            return self.helper(f"exact_{name}", ARITHMETIC[name], left, right)
        match node.op:
            case ast.Pow():
                return _call("power", left, right)
            case ast.Mod() if not is_number(node.left):
                return _call("modulo", left, right)
            case ast.Mult() if not cannot_repeat(node.left, node.right):
                return _call("times", left, right)
        return ast.BinOp(left=left, op=node.op, right=right)


def _is_typed(tree: ast.expr, types: Mapping[str, str], names: Mapping[str, str]) -> bool:
    """Whether decimals, dates or times can occur: a field is one, or a function makes one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in _MAKE_TYPED:
            return True
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
        if text is not None and types.get(names.get(text, text)) in TYPED_KINDS:
            return True
    return False


def _is_row(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "row"


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def _meant(name: str) -> str:
    if name in FUNCTIONS:
        return f" (a function is called: {FUNCTIONS[name].form})"
    constant = {"true": "True", "false": "False", "null": "None", "none": "None"}.get(name.lower())
    return f" (did you mean {constant}?)" if constant else f" (a field is written row[{name!r}])"
