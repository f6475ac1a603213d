"""Templates see the row and nothing else, and take no more than a prompt can need."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins.contract import RowError
from elspeth.plugins.services.template import Template


def render(text: str, row: dict[str, Any] | None = None, **more: Any) -> str:
    return Template(text, "the prompt", names=frozenset(more)).render(row or {}, more)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("Hello {{ row.name }}", {"name": "Ann"}, "Hello Ann"),
        ("{{ row['a b'] }}", {"a b": 1}, "1"),
        ("{{ row.items }} {{ row.keys }}", {"items": "x", "keys": "y"}, "x y"),
        ("{{ row.text }}", {"text": "{{ row.secret }}", "secret": "s"}, "{{ row.secret }}"),
        ("{{ row.a }}|{{ row.b }}|{{ row.c }}", {"a": None, "b": True, "c": [1, "ä"]}, '|true|[1,"ä"]'),
        ("{% for k, v in row.items() %}{{ k }}={{ v }} {% endfor %}", {"a": 1, "b": 2}, "a=1 b=2 "),
        ("{% for x in row.xs %}{{ loop.index }}/{{ loop.length }} {% endfor %}", {"xs": [7, 8]}, "1/2 2/2 "),
        ("{{ row.a ~ '-' ~ row.b }}", {"a": 1, "b": None}, "1-None"),
        ("{{ row.a.replace('x', 'y') | upper | truncate(3) }}", {"a": "xx"}, "YY"),
        ("{{ row.xs | map('upper') | join(', ') }}", {"xs": ["a", "b"]}, "A, B"),
        ("{{ row.missing | default('none') }}{% if row.other is defined %}x{% endif %}", {}, "none"),
        ("{{ '%05.1f' % row.a }}", {"a": 2.25}, "002.2"),
    ],
)
def test_a_template_is_filled_from_the_row(text: str, row: dict[str, Any], expected: str) -> None:
    assert render(text, row) == expected


def test_look_up_tables_are_at_hand() -> None:
    assert render("{{ lookup.countries[row.cc] }}", {"cc": "at"}, lookup={"countries": {"at": "Austria"}}) == "Austria"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ row.txet }}", "the row has no field 'txet'"),
        ("{{ row['a b'] }}", "the row has no field 'a b'"),
        ("{{ lookup.countries['xx'] }}", "there is no 'xx'"),
        ("{{ row.text + 1 }}", "TypeError"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_rendered_is_the_rows_error(text: str, words: str) -> None:
    with pytest.raises(RowError) as raised:
        render(text, {"text": "x"}, lookup={"countries": {}})
    assert words in raised.value.reason
    assert raised.value.reason.startswith("the prompt")


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10**9 }}",
        "{{ row.text * 10**9 }}",
        "{{ [0] * 10**9 }}",
        "{{ 10**9 * 'x' }}",
        "{{ 2 ** (10 ** 9) }}",
        "{{ (2 ** 90000) * (2 ** 90000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10**9, 1) }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}"
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = d(ns.x) %}{% endfor %}{{ ns.x }}",
        "{% for x in [row.long, row.long, row.long] %}{{ x }}{% endfor %}",
        "{{ row.long.replace('', row.long) }}",
        "{{ row.long | replace('x', row.long) }}",
        "{{ row.long.join(row.long) }}",
        "{{ row.long | join(row.long) }}",
        "{% for x in [[1], [2]] recursive %}{{ loop([x]) }}{% endfor %}",
    ],
)
def test_a_rendering_without_bounds_is_the_rows_error(text: str) -> None:
    with pytest.raises(RowError) as raised:
        render(text, {"text": "x", "long": "x" * 600_000})
    assert raised.value.details.get("bound"), raised.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x'.ljust(10**9) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ row.text.__class__.__mro__ }}",
        "{{ row.__init__.__globals__ }}",
        "{{ [].append(1) }}",
        "{{ row.update({'a': 1}) }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(text: str) -> None:
    with pytest.raises(RowError):
        render(text, {"text": "x"})


@pytest.mark.parametrize("text", ["{{ row.text | center(10**9) }}", "{{ 'x' | indent(10**9) }}", "{{ lipsum() }}"])
def test_what_templates_do_not_have_here_is_said_before_a_run(text: str) -> None:
    with pytest.raises(SettingsError):
        Template(text, "the prompt")


@pytest.mark.parametrize(
    "text", ["{{ row.text", "{% for %}", "{% if row.x %}", "{{ 'a' | nothing }}", "{% include 'x' %}"]
)
def test_what_is_no_template_is_said_before_a_run(text: str) -> None:
    with pytest.raises((SettingsError, RowError)) as raised:
        Template(text, "the prompt").render({"text": "", "x": ""}, {})
    assert "the prompt" in str(raised.value)


def test_a_name_that_is_none_is_said_before_a_run() -> None:
    with pytest.raises(SettingsError, match="uses 'text', and there is nothing of this name"):
        Template("{{ text }}", "the prompt")


def test_a_template_knows_the_fields_that_every_row_needs() -> None:
    text = (
        "{{ row.a }} {{ row['b'] | upper }} {% if row.c %}{{ row.d }}{% endif %} {{ row.e | default('x') }}"
        "{% for x in row.f %}{{ row.g }}{% endfor %} {{ row.h if row.i else row.j }} "
        "{% if row.k is defined %}{% endif %}"
    )
    assert Template(text, "the prompt").fields == {"a", "b", "c", "f", "i"}


def test_a_check_finds_what_no_row_could_pass_and_nothing_else() -> None:
    Template("{{ row.n + 1 }}", "the prompt").check(frozenset({"n"}), {})
    with pytest.raises(SettingsError, match="more than"):
        Template("{{ 'x' * 10**9 }}", "the prompt").check(frozenset(), {})
