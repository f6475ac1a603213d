"""The sizes that bound expressions: their text, and what functions and operators give."""

MAX_LENGTH = 4000
"""Longest text that is compiled, in characters."""

MAX_DEPTH = 100
"""Deepest nesting; a sum of n terms is n deep."""

MAX_REPEAT = 100_000
"""Longest text that `*`, `replace` and `join` make of shorter ones, in characters; lists are not repeated."""

MAX_ITEMS = 100_000
"""Most items of a list that `split` makes."""

MAX_SEARCHED = 20_000
"""Longest text that `matches` searches, in characters: a pattern may need the square of it."""

MAX_DIGITS = 300
"""Most places, before or behind the decimal point, to which `round` rounds."""

MAX_BITS = 4096
"""Largest whole number that `**` or a whole expression gives, in bits (1,233 digits)."""

MAX_QUOTIENT_DIGITS = 34
"""Digits to which a quotient of decimals is rounded where it does not come out, as many as decimal128 of IEEE 754 has;
if the longer of the two numbers has more, so many."""
