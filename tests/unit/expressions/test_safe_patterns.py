"""Which regular expressions are let through."""

from __future__ import annotations

import pytest

from elspeth.expressions.safe_patterns import UnsafePattern, compile_safely

USUAL = [
    r"password",
    r"(?i)\bpass(?:word|phrase)?\b",
    r"\bfoo\b.*\bbar\b",
    r"[\w.+-]+@[\w-]+\.[\w.-]+",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    r"\b(?:\d[ -]?){13,16}\b",
    r"\d{3}-\d{2}-\d{4}",
    r"(?:\d+\.){3}\d+",
    r"(?:[a-z]+,)+end",
    r"(?:foo|bar|baz)+!",
    r"https?://\S+",
    r"^\s*DROP\s+TABLE\s",
    r"(\w)\1{9,}",
    r"(?=.*secret)key",
    r"^.*foo.*bar",
    r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}\b",
    r"(?>a+)+b",
    r"(?:a++b?)++c",
    r"кот|собака",
    r"(?i)(a|A)*b",
    r"foo\s+$",
    r"foo.*(?!x)",
]

RUNAWAY = [
    r"(a+)+b",
    r"(a*)*b",
    r"(a|a)*b",
    r"(a|ab)*c",
    r"(?:a?){40}a{40}",
    r"(\w+\s?)*end",
    r"(x+x+)+y",
    r".*foo.*bar",
    r"\d+\s*\d+x",
    r"(a+)\1b",
    r"(?:(?=.*x)a)*b",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:.{0,90}){5}x",
    r"x\w{0,99}\w{0,99}y",
    r"(a)?(?(1)b|c)",
    r"a.*foo.*(?!x)",
    r"\s+\w*\s*$",
    r".*(?>a+)b",
    r".*(?=a*b)c",
    r"(?i)(foo|FOOD)*b",
]


@pytest.mark.parametrize("pattern", USUAL)
def test_a_usual_pattern_is_let_through(pattern: str) -> None:
    assert compile_safely(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", RUNAWAY)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(UnsafePattern, match="could take very long"):
        compile_safely(pattern)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(unclosed", "is no regular expression: missing \\)"),
        ("a*", "matches the empty text"),
        ("", "matches the empty text"),
        ("a" * 2001, "is 2001 characters long"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(UnsafePattern, match=words):
        compile_safely(pattern)
