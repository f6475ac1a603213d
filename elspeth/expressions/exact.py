"""Operators of expressions on decimals, dates and times: exact, and never between values that do not belong together.

What Python would do is seldom meant: it compares a decimal with a text as unequal, and rounds sums to 28 digits. Values
of other types are left to the operators that they have anywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation
from typing import Any, NoReturn

from elspeth.expressions.bounded import modulo, power, times
from elspeth.expressions.limits import MAX_QUOTIENT_DIGITS
from elspeth.schema.typed_text import MAX_DIGITS, to_text

TYPED = frozenset({Decimal, date, datetime})
_PRECISION = 2 * MAX_DIGITS + 10  # of a sum of the longest
_RANGE = 3 * MAX_DIGITS
_EXACT = Context(_PRECISION, ROUND_HALF_EVEN, -_RANGE, _RANGE, traps=[InvalidOperation, DivisionByZero, Inexact])

_PLACES = {digits: Decimal((0, (1,), -digits)) for digits in range(10)}
_ROUNDING = Context(_PRECISION, ROUND_HALF_EVEN, -_RANGE, _RANGE, traps=[InvalidOperation])


def words_of(value: Any) -> str:
    """What a value is, for a sentence."""
    names = {"NoneType": "null", "str": "a text", "dict": "a mapping", "int": "a whole number"}
    name = type(value).__name__
    return names.get(name, f"a {'decimal' if name == 'Decimal' else name}")


def _refuse(symbol: str, left: Any, right: Any) -> NoReturn:
    one, other = words_of(left), words_of(right)
    raise TypeError(f"{symbol} does not work between {one} and {other}{advice(type(left), type(right))}")


def advice(*kinds: type) -> str:
    """What to write instead, where a decimal, date or time meets something else."""
    typed = next((kind for kind in kinds if kind in TYPED), None)
    if typed is None:
        return ""
    name = typed.__name__.lower()
    if type(None) in kinds:
        return ": coalesce(x, y) gives y for null"
    if float in kinds and typed is Decimal:
        return ", which is not exact: decimal(str(x)) takes the digits of a float"
    if str in kinds:
        return f": {name}(x) makes {'an exact number' if typed is Decimal else 'one'} of a text"
    if kinds[0] is not kinds[1] and TYPED.issuperset(kinds):
        return ": date(x) gives the day of a time" if Decimal not in kinds else ""
    return "" if typed is Decimal else ": days_between(a, b) counts days"


def _said(error: DecimalException, right: Any) -> ArithmeticError:
    if isinstance(error, DivisionByZero) or (isinstance(error, InvalidOperation) and not right):
        return ZeroDivisionError("division by zero")
    return OverflowError(f"the result has more than {MAX_DIGITS:,} digits")


def _arithmetic(
    symbol: str, exact: Callable[[Any, Any], Decimal], plain: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        one, other = type(left), type(right)
        if one is Decimal:
            if other is Decimal or other is int:
                try:
                    return exact(left, right)
                except DecimalException as error:
                    raise _said(error, right) from None
        elif other is Decimal:
            if one is int:
                return calculate(Decimal(left), right)
        elif one not in TYPED and other not in TYPED:
            return plain(left, right)
        _refuse(symbol, left, right)

    return calculate


def _divide(left: Decimal, right: Decimal | int) -> Decimal:
    digits = max(len(left.as_tuple().digits), len(str(right)), MAX_QUOTIENT_DIGITS)
    context = Context(digits, ROUND_HALF_EVEN, -_RANGE, _RANGE, traps=[InvalidOperation, DivisionByZero])
    return context.divide(left, right)


def _floor_and_rest(left: Decimal, right: Decimal | int) -> tuple[Decimal, Decimal]:
    quotient, rest = _EXACT.divmod(left, right)
    if rest and (rest < 0) != (right < 0):  # rounded down, as everywhere, and not towards zero
        return _EXACT.subtract(quotient, 1), _EXACT.add(rest, right)
    return quotient, rest


def _power(left: Decimal, right: Decimal | int) -> Decimal:
    if type(right) is not int or right < 0:
        raise TypeError("** takes a decimal to a whole power from 0 up")
    if right * max(1, len(left.as_tuple().digits) - 1) > MAX_DIGITS:
        raise OverflowError(f"the result has more than {MAX_DIGITS:,} digits")
    return _EXACT.power(left, right) if right else Decimal(1)


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": _arithmetic("+", _EXACT.add, operator.add),
    "Sub": _arithmetic("-", _EXACT.subtract, operator.sub),
    "Mult": _arithmetic("*", _EXACT.multiply, times),
    "Div": _arithmetic("/", _divide, operator.truediv),
    "FloorDiv": _arithmetic("//", lambda left, right: _floor_and_rest(left, right)[0], operator.floordiv),
    "Mod": _arithmetic("%", lambda left, right: _floor_and_rest(left, right)[1], modulo),
    "Pow": _arithmetic("**", _power, power),
}
"""By the name of Python's tree, operators that are exact for decimals."""


def negate(value: Any) -> Any:
    """`-value`, of a decimal without rounding."""
    return value.copy_negate() if type(value) is Decimal else -value


def positive(value: Any) -> Any:
    """`+value`, of a decimal without rounding."""
    return value if type(value) is Decimal else +value


def require_comparable(symbol: str, left: Any, right: Any) -> None:
    """Raise `TypeError` where one is a decimal, date or time, and the other no value to compare it with.

    Lists and mappings are compared member by member.
    """
    one, other = type(left), type(right)
    if one is other:
        if one is list:
            for each, its_other in zip(left, right, strict=False):
                require_comparable(symbol, each, its_other)
        if one is dict:
            for name in left.keys() & right.keys():
                require_comparable(symbol, left[name], right[name])
        if one is datetime and (left.tzinfo is None) != (right.tzinfo is None):
            raise TypeError(
                f"{symbol} does not compare a time that has an offset from UTC with one that has none: "
                f"{to_text(left)} and {to_text(right)} (`timezone` of the source gives one)"
            )
        return
    if one not in TYPED and other not in TYPED:
        return
    numbers = {one, other} == {Decimal, int}
    nothing = symbol in ("==", "!=", "in", "not in") and (left is None or right is None)
    if not numbers and not nothing:
        _refuse(symbol, left, right)


def _comparison(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(left: Any, right: Any) -> bool:
        require_comparable(symbol, left, right)
        return compare(left, right)

    return compared


def is_in(part: Any, whole: Any) -> bool:
    """`part in whole`; members are compared as `==` does."""
    if type(whole) is not dict and type(whole) is not str:
        for member in whole:
            require_comparable("in", part, member)
    elif type(part) in TYPED:
        raise TypeError(f"in looks for a text, not for {words_of(part)}: str(x) gives its text")
    return part in whole


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Eq": _comparison("==", operator.eq),
    "NotEq": _comparison("!=", operator.ne),
    "Lt": _comparison("<", operator.lt),
    "LtE": _comparison("<=", operator.le),
    "Gt": _comparison(">", operator.gt),
    "GtE": _comparison(">=", operator.ge),
    "In": is_in,
    "NotIn": lambda part, whole: not is_in(part, whole),
}
"""By the name of Python's tree, comparisons that refuse what would silently be unequal."""


def as_text(value: Any) -> Any:
    """A value as a row holds it: decimals, dates and times as their canonical text, also within lists and mappings."""
    kind = type(value)
    if kind in TYPED:
        return to_text(value)
    if kind is list:
        return [as_text(item) for item in value]
    if kind is dict:
        return {name: as_text(item) for name, item in value.items()}
    return value


def sum_of(values: list[Any]) -> Decimal:
    """The sum of decimals and whole numbers. Raises `OverflowError`."""
    total = Decimal(0)
    try:
        for value in values:
            total = _EXACT.add(total, value)
    except DecimalException as error:
        raise _said(error, 1) from None
    return total


def rounded(number: Decimal, digits: int | None) -> Decimal | int:
    """The decimal with so many places, halves to the even neighbour; without `digits` a whole number."""
    if digits is None:
        return int(number.to_integral_value(ROUND_HALF_EVEN))
    try:
        return _ROUNDING.quantize(number, _PLACES.get(digits) or Decimal((0, (1,), -digits)))
    except InvalidOperation:
        raise OverflowError(f"the result has more than {MAX_DIGITS:,} digits") from None
