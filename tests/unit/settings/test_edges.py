"""The edges of what settings may be: one more, one less, nothing, and which of two is named."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.settings import SettingsProblems, document, load, load_stored
from elspeth.settings.document import MAX_VALUES, parse, scalar
from elspeth.settings.file import MAX_BYTES, read
from elspeth.settings.load import credential_variables, filled_in, stored_variables
from elspeth.settings.overrides import as_text, in_environment
from elspeth.settings.problems import Positions, Problem, shown, suggest

BASE = "source: {plugin: csv}\nsinks: {out: {plugin: csv}}\n"


def refusal(path: Path) -> str:
    with pytest.raises(SettingsProblems) as caught:
        load(path, environ={}, dotenv=False)
    return str(caught.value)


def test_a_file_may_be_four_mebibytes_and_no_byte_more(tmp_path: Path) -> None:
    assert MAX_BYTES == 4 * 2**20
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert len(read(path)) == MAX_BYTES
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "is larger than settings can be (4 MiB)" in refusal(path)


def test_why_a_file_cannot_be_read_is_told_in_the_systems_words(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("a" * 300)).endswith(": cannot be read: File name too long")
    assert refusal(tmp_path / "a\0b").endswith(": cannot be read: embedded null byte")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(path, environ={}, dotenv=False).settings.source is not None


def test_a_neighbour_is_named_only_where_it_may_have_been_meant(tmp_path: Path) -> None:
    for name in ("pipeline.yaml", "orders.yml", "pipelines.txt"):
        (tmp_path / name).write_text(BASE)
    assert refusal(tmp_path / "piplines.yaml").endswith(f"did you mean {tmp_path / 'pipeline.yaml'}?")
    assert refusal(tmp_path / "order.yml").endswith(f"did you mean {tmp_path / 'orders.yml'}?")
    assert "did you mean" not in refusal(tmp_path / "zzz.yaml")
    assert refusal(tmp_path).endswith(f"did you mean {tmp_path / 'pipeline.yaml'}?")
    assert "did you mean" not in refusal(tmp_path / "gone/pipeline.yaml")


@pytest.mark.parametrize("over", [0, 1, 2])
def test_a_file_may_hold_so_many_values_and_no_more(over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_VALUES == 100_000
    monkeypatch.setattr(document, "MAX_VALUES", 10)
    found = parse(f"[{', '.join(['x'] * (9 + over))}]", "f")
    assert [str(problem) for problem in found.problems] == (
        ["f:1: becomes too large when its aliases are followed; allowed: 10 values"] if over else []
    )


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: &x {k: 1, l: 1}\nb: {<<: *x, k: 2}", {"k": 2, "l": 1}),
        ("a: &x {k: 1}\nc: &y {k: 3, m: 3}\nb: {<<: [*x, *y]}", {"k": 1, "m": 3}),
        ("b: {true: 1, No: 2, 2024-01-01: 3, ~: 4, 1: 5}", {"true": 1, "No": 2, "2024-01-01": 3, "~": 4, "1": 5}),
        ("b: [yes, off, 1e3, 1.5, 0x1f, 2024-01-01, ~, =]", [True, False, "1e3", 1.5, 31, "2024-01-01", None, "="]),
    ],
)
def test_what_yaml_means_by_a_value(text: str, data: Any) -> None:
    found = parse(text, "f")
    assert found.problems == []
    assert found.data["b"] == data


@pytest.mark.parametrize(
    ("value", "number"), [("0123", 83), ("1:30", 90), ("-010", -8), ("190:20:30", 685230), ("0_7", 7)]
)
def test_a_number_that_may_surprise_is_told_with_its_line(value: str, number: int) -> None:
    [warning] = parse(f"a: 1\nb: {value}\n", "f.yaml").warnings
    assert str(warning) == (
        f'f.yaml:2: b: YAML reads {value} as the number {number}; allowed: "{value}" in quotes, if text is meant'
    )


@pytest.mark.parametrize("value", ['"0123"', "'1:30'", "0", "10", "true", "1.5", "0x1f"])
def test_a_number_that_surprises_nobody_is_not_told(value: str) -> None:
    assert parse(f"b: {value}\n", "f").warnings == []


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: \x01\n", 1, "broken YAML at column 4: a control character"),
        ("a: 1\nb: x\x01\n", 2, "broken YAML at column 5: a control character"),
        ("a: 1\n\tb: 2\n", 2, "broken YAML at column 1: a tab"),
        ("a:\n  - [1\nb: 2\n", 3, "begun in line 2"),
        ("a: [1, 2}\n", 1, "broken YAML at column 9"),
    ],
)
def test_broken_yaml_is_told_with_line_and_column(text: str, line: int, says: str) -> None:
    [problem] = parse(text, "f").problems
    assert problem.line == line
    assert says in problem.message
    assert ("begun" in problem.message) == ("begun" in says)


def test_a_text_of_a_variable_is_what_yaml_makes_of_it_but_for_mappings() -> None:
    texts = ["3", "1.5", "true", "null", "[a, 1]", "{a: 1}", "a: b", "x", "'3'", "[", ""]
    assert [scalar(text) for text in texts] == [
        3, 1.5, True, None, ["a", 1], "{a: 1}", "a: b", "x", "3", "[", None,
    ]  # fmt: skip


@pytest.mark.parametrize("value", [3, 1.5, True, None, "x", "3", "true", "'x'", '"x"', "", "a: b", ["a", 1], "[", "é"])
def test_a_value_that_is_given_as_text_is_read_as_what_it_was(value: Any) -> None:
    assert scalar(as_text(value)) == value
    assert type(scalar(as_text(value))) is type(value)


def test_a_text_stays_as_it_is_where_that_is_enough() -> None:
    assert as_text("x") == "x"
    assert as_text("é 3") == "é 3"
    assert as_text("3") == '"3"'
    assert as_text("'x'") == "\"'x'\""


def test_variables_that_stand_in_place_of_a_key_are_taken_in_the_order_of_their_names() -> None:
    environ = {"ELSPETH_B__C": "1", "ELSPETH_A__B__C": "2", "ELSPETH_X": "3", "MY_ELSPETH_A__B": "4", "ELSPETH__A": "5"}
    assert [(each.variable, each.keys, each.text) for each in in_environment(environ)] == [
        ("ELSPETH_A__B__C", ("a", "b", "c"), "2"), ("ELSPETH_B__C", ("b", "c"), "1"),
    ]  # fmt: skip


def test_an_item_of_a_list_goes_by_its_number_or_its_name(loaded: Any, problems: Any) -> None:
    two = BASE + "gates:\n" + "".join(
        f"  - {{name: Gate{n}, condition: \"row['a']\", routes: {{\"true\": out, \"false\": out}}}}\n" for n in range(2)
    )  # fmt: skip
    for way in ("1", "gate1", "GATE1"):
        found = loaded(two, {f"ELSPETH_GATES__{way}__CONDITION": "row['b']"}).settings.gates
        assert [gate.condition for gate in found] == ["row['a']", "row['b']"]
    for way in ("2", "9999999999", "1_0", "gate2", ""):
        [problem] = problems(two, {f"ELSPETH_GATES__{way}__CONDITION": "row['b']"})
        assert problem.message.startswith(f"there is no gates.{way.lower()}")


def test_a_place_in_a_file_is_that_of_the_nearest_thing_around_it() -> None:
    at = Positions("f", {("a",): 1, ("a", "b"): 2}, {("c", "d"): "variable C__D"})
    assert [at.line(path) for path in (("a",), ("a", "b", 0, "x"), ("a", "z"), ("z",), ())] == [1, 2, 1, None, None]
    assert [at.origin(path) for path in (("c",), ("c", "d"), ("c", "d", "e"))] == [
        None, "variable C__D", "variable C__D",
    ]  # fmt: skip
    assert at.problem(("c", "d"), "m") == Problem("variable C__D", None, "c.d", "m")
    assert at.problem(("a", "b"), "m", found="f") == Problem("f", 2, "a.b", "m", "f")


def test_problems_come_in_the_order_of_lines_and_those_without_one_last() -> None:
    found = [Problem("f", None, "", "none"), Problem("f", 9, "", "nine"), Problem("f", 2, "", "two")]
    error = SettingsProblems(found)
    assert [problem.message for problem in error.problems] == ["two", "nine", "none"]
    assert error.message == "The settings cannot be used: 3 problems in f"
    assert error.next_step == "mend what is listed, then check with: elspeth validate --settings f"
    assert SettingsProblems(found[:1]).message == "The settings cannot be used: 1 problem in f"
    assert SettingsProblems(found[:1]).next_step.endswith("--settings FILE")
    assert SettingsProblems(found[:1], next_step="do this").next_step == "do this"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"), (True, "true"), (False, "false"), ({}, "a mapping"), ([], "a list"), ((), "a list"),
        ("x", "text 'x'"), ("x" * 60, f"text {'x' * 60!r}"), ("x" * 61, f"text {'x' * 60 + '...'!r}"),
        (3, "3"), (-3.5, "-3.5"), (10**60 - 1, "9" * 60), (10**60, "a very large number"),
        (-(10**60), "a very large number"),
    ],
)  # fmt: skip
def test_a_value_is_shown_in_a_few_words(value: Any, words: str) -> None:
    assert shown(value) == words


def test_what_was_probably_meant_is_near_whatever_its_case() -> None:
    assert suggest("SINK", ["sinks", "source"]) == "sinks"
    assert suggest("zzz", ["sinks", "source"]) == ""
    assert suggest("x", []) == ""


@pytest.mark.parametrize("name", ["a" * 64, "_x-1", "ä"])
def test_a_name_may_have_64_letters(name: str, loaded: Any, problems: Any) -> None:
    text = "source: {plugin: csv}\nsinks: {%s: {plugin: csv}}\n"
    assert list(loaded(text % name).settings.sinks) == [name]
    assert problems(text % ("a" * 65))
    assert problems(text % "-x")


STORED = {
    "secrets": [
        {"path": ["landscape", "url"], "reference": "postgresql://${DB_USER}@h/d", "fingerprint": "x"},
        {"path": ["source", "options", "api_key"], "reference": "${A_KEY} and ${B_KEY}", "fingerprint": "x"},
        {"path": ["sinks", "out", "options", "password"], "reference": "[redacted]", "fingerprint": "x"},
    ]
}


def test_the_variables_that_credentials_of_a_run_come_from_but_for_where_its_database_is() -> None:
    assert stored_variables(json.dumps(STORED)) == ("A_KEY", "B_KEY", "ELSPETH_SINKS__OUT__OPTIONS__PASSWORD")
    assert stored_variables("{}") == ()


def test_a_credential_that_nobody_has_set_again_is_missing_and_named(loaded: Any) -> None:
    text = "source: {plugin: api, options: {api_key: '${A_KEY}'}}\nsinks: {out: {plugin: csv}}\n"
    stored = loaded(text, {"A_KEY": "hunter2"}).settings_json
    with pytest.raises(SettingsProblems, match="A_KEY"):
        load_stored(stored, {}, dotenv=False)


def test_the_variables_of_a_file_that_are_named_like_credentials(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("a: ${INPUT}\nb: ${API_KEY}\nc: ${DB_PASSWORD}\nd: ${A_TOKEN:-x}\n")
    assert credential_variables(path) == ("API_KEY", "DB_PASSWORD")
    path.write_bytes(b"b: ${API_KEY}\xff\n")
    assert credential_variables(path) == ()
    assert credential_variables(tmp_path / "gone.yaml") == ()


def test_bytes_that_are_no_text_are_told_wherever_they_come_from(problems: Any) -> None:
    odd = os.fsdecode(b"\xff")
    text = "source: {plugin: csv, options: {path: '${P}'}}\nsinks: {out: {plugin: csv}}\n"
    [problem] = problems(text, {"P": odd})
    assert (problem.line, problem.message) == (1, "a variable in this text holds bytes that are no UTF-8")
    [problem] = problems(BASE, {"ELSPETH_DEFAULT_SINK": "", "ELSPETH_LANDSCAPE__URL": odd})
    assert (problem.file, problem.message) == ("variable ELSPETH_LANDSCAPE__URL", "holds bytes that are no UTF-8")


def test_a_missing_variable_says_how_to_set_it_and_what_may_have_been_meant(problems: Any) -> None:
    [problem] = problems("source: {plugin: csv, options: {path: '${}'}}\nsinks: {out: {plugin: csv}}\n", {"P": "x"})
    assert (problem.allowed, problem.suggestion) == ("", "")
    [problem] = problems(
        "source: {plugin: csv, options: {path: '${PTH}'}}\nsinks: {out: {plugin: csv}}\n", {"PATH": "x"}
    )
    assert (problem.allowed, problem.suggestion) == ("set it, or give a default: ${PTH:-...}", "PATH")


def test_a_text_of_the_command_line_has_its_variables_filled_in() -> None:
    assert filled_in("x-${A}", {"A": "1"}, dotenv=False) == "x-1"
    with pytest.raises(SettingsError) as caught:
        filled_in("${A}", {}, dotenv=False)
    assert caught.value.next_step == "set A"
    with pytest.raises(SettingsError) as caught:
        filled_in("${}", {}, dotenv=False)
    assert caught.value.next_step == ""


def test_a_file_of_variables_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pipeline.yaml"
    path.write_text(BASE)
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsProblems) as caught:
        load(path, environ={}, dotenv=True)
    assert str(caught.value.problems[0]) == ".env: cannot be read: Is a directory; allowed: --no-dotenv"
    (tmp_path / "other.env").write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsProblems) as caught:
        load(path, environ={}, dotenv=Path("other.env"))
    assert str(caught.value.problems[0]) == "other.env: cannot be read: it is not UTF-8 text"


@pytest.mark.parametrize(("given", "lines"), [("false", 0), ("true", 1), ("1", 1), ("", 0)])
def test_a_literal_credential_is_a_warning_only_where_that_was_asked_for(
    given: str, lines: int, tmp_path: Path
) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("source: {plugin: api, options: {api_key: hunter2}}\nsinks: {out: {plugin: csv}}\n")
    environ = {"ELSPETH_ALLOW_RAW_SECRETS": given}
    if lines:
        assert [warning.key for warning in load(path, environ=environ, dotenv=False).warnings] == [
            "source.options.api_key"
        ]
    else:
        with pytest.raises(SettingsProblems, match="ELSPETH_ALLOW_RAW_SECRETS=true"):
            load(path, environ=environ, dotenv=False)


def test_a_run_that_cannot_be_resumed_is_warned_of(loaded: Any) -> None:
    assert [warning.key for warning in loaded(BASE + "checkpoint: {enabled: false}\n").warnings] == [
        "checkpoint.enabled"
    ]
    assert loaded(BASE).warnings in ((), [])


@pytest.mark.parametrize("installed", [True, False])
def test_spans_that_cannot_be_sent_are_warned_of(installed: bool, loaded: Any, monkeypatch: Any) -> None:
    # The function hides the module that it is in.
    monkeypatch.setattr(sys.modules["elspeth.settings.load"], "find_spec", lambda name: installed or None)
    text = BASE + "telemetry: {otlp: {endpoint: 'http://localhost:4318'}}\n"
    assert [warning.key for warning in loaded(text).warnings] == ([] if installed else ["telemetry.otlp"])
    assert not loaded(BASE).warnings


@pytest.mark.parametrize(
    ("lines", "key", "says"),
    [
        ("prometheus: {}", "telemetry.prometheus.port", "says neither port nor textfile; allowed: port: 9464"),
        ("prometheus: {port: 0}", "telemetry.prometheus.port", "at least 1"),
        ("prometheus: {port: 65536}", "telemetry.prometheus.port", "at most 65535"),
        ("otlp: {endpoint: 'ftp://h:1'}", "telemetry.otlp.endpoint", "is no address of a collector"),
        ("otlp: {endpoint: 'http://'}", "telemetry.otlp.endpoint", "is no address of a collector"),
        ("otlp: {endpoint: 'http://h:0'}", "telemetry.otlp.endpoint", "is no address of a collector"),
        ("otlp: {endpoint: 'http://h:x'}", "telemetry.otlp.endpoint", "is no address of a collector"),
        ("otlp: {endpoint: 'http://me@h:1'}", "telemetry.otlp.endpoint", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("otlp: {endpoint: 'http://:pw@h:1'}", "telemetry.otlp.endpoint", "a credential must not stand here itself"),
    ],
)
def test_where_metrics_and_spans_cannot_go_is_told(lines: str, key: str, says: str, problems: Any) -> None:
    [problem] = problems(BASE + f"telemetry: {{{lines}}}\n")
    assert problem.key == key
    assert says in str(problem)


@pytest.mark.parametrize(
    "lines",
    ["prometheus: {port: 1}", "prometheus: {port: 65535}", "prometheus: {textfile: a.prom}", "otlp: {}",
     "otlp: {endpoint: 'https://h'}", "otlp: {endpoint: 'http://h:4318'}"],
)  # fmt: skip
def test_where_metrics_and_spans_may_go(lines: str, loaded: Any) -> None:
    telemetry = loaded(BASE + f"telemetry: {{{lines}}}\n").settings.telemetry
    assert telemetry.enabled
    assert telemetry.prometheus is None or telemetry.prometheus.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("ways", "found"),
    [("[]", "an empty list"), ("[a, 'b c']", "b c"), (f"[{'a' * 65}]", "a" * 65), ("[3]", "3")],
)
def test_where_rows_cannot_go_is_told_with_what_was_found(ways: str, found: str, problems: Any) -> None:
    [problem] = problems(f"source: {{plugin: csv, on_success: {ways}}}\nsinks: {{out: {{plugin: csv}}}}\n")
    assert problem.message == "cannot be where rows go"
    assert problem.found == found
    assert problem.allowed == "names of letters, digits, `_` and `-`, up to 64 of them each"


def test_rows_may_go_several_ways_as_they_are_named(loaded: Any) -> None:
    text = "source: {plugin: csv, on_success: [a, %s]}\nsinks: {out: {plugin: csv}}\n"
    assert loaded(text % ("b" * 64)).settings.source.on_success == ("a", "b" * 64)


def test_a_misspelt_key_beside_the_right_one_takes_nothing_from_it(problems: Any) -> None:
    seen = []

    def wiring(settings: Any, positions: Positions) -> None:
        seen.append(settings.gates[0].condition)

    gate = '{name: g, condition: "row[1]", conditon: "row[2]", routes: {"true": out, "false": out}}'
    assert [problem.key for problem in problems(BASE + f"gates: [{gate}]\n", further=wiring)] == ["gates.0.conditon"]
    assert seen == ["row[1]"]
