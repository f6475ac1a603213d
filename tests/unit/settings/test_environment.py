"""Variables in texts, `.env`, and variables that stand in place of a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.settings.environment import Expanded, ExpansionError, expand, template

BASE = "source: {plugin: csv}\nsinks: {out: {plugin: csv}}\n"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", "alpha"),
        ("x-${A}-${B}", "x-alpha-beta"),
        ("${MISSING:-fallback}", "fallback"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("${A:-fallback}", "alpha"),
        ("${MISSING:-${B}}", "beta"),
        ("${MISSING:-a ${MISSING:-b} c}", "a b c"),
        ("${MISSING:-postgresql://h:1/d}", "postgresql://h:1/d"),
        ("${NESTED}", "${A}"),  # what a value holds is not expanded again
        ("$${A}", "${A}"),
        ("$$", "$$"),
        ("^a$", "^a$"),
        ("$A", "$A"),
        ("no variables", "no variables"),
    ],
)
def test_variables_are_filled_in(text, result):
    environ = {"A": "alpha", "B": "beta", "EMPTY": "", "NESTED": "${A}"}
    assert expand(text, environ) == result


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${GONE}", "the variable GONE is not set"),
        ("a ${GONE} b", "the variable GONE is not set"),
        ("${MISSING:-${GONE}}", "the variable GONE is not set"),
        ("${GONE", "is not closed"),
        ("${GONE:-x", "is not closed"),
        ("${GONE?x}", "is not closed"),
        ("${}", "name of a variable"),
        ("${1}", "name of a variable"),
        ("${A:-" * 3000 + "}" * 3000, "nested too deeply"),
    ],
)
def test_what_cannot_be_expanded_is_told(text, says):
    with pytest.raises(ExpansionError, match=says.replace("$", r"\$")):
        expand(text, {})


@given(st.text(alphabet="${}AB:-x \\"))
def test_any_text_is_expanded_or_refused_in_words(text):
    try:
        result = expand(text, {"A": "1"})
    except ExpansionError:
        return
    if isinstance(result, Expanded):
        assert expand(template(result.parts), {"A": "1", "B": ""}) == result or ":-" in text
    elif "${" not in text:
        assert result == text


def test_a_missing_variable_is_named_with_one_that_is_set(problems):
    text = 'source: {plugin: csv, options: {path: "${INPUT_FIEL}"}}\nsinks: {out: {plugin: csv}}\n'
    [problem] = problems(text, {"INPUT_FILE": "x"})
    assert (problem.line, problem.key) == (1, "source.options.path")
    assert "INPUT_FIEL is not set" in problem.message
    assert problem.suggestion == "INPUT_FILE"


def test_a_variable_is_read_as_a_number_only_where_one_is_expected(loaded):
    text = BASE + 'name: ${N}\nconcurrency: {max_workers: "${N}"}\nretry: {max_delay_seconds: "${D:-2.5}"}\n'
    loading = loaded(text + 'checkpoint: {enabled: "${E}"}\n', {"N": "7", "E": "false"})
    assert loading.settings.name == "7"
    assert loading.settings.concurrency.max_workers == 7
    assert loading.settings.retry.max_delay_seconds == 2.5
    assert loading.settings.checkpoint.enabled is False
    assert loading.document["concurrency"] == {"max_workers": 7}


def test_the_value_of_a_variable_is_not_shown_when_it_does_not_fit(problems):
    [problem] = problems(BASE + 'concurrency: {max_workers: "${N}"}\n', {"N": "hunter2"})
    assert problem.found == "the value of ${N}"
    assert "hunter2" not in str(problem)


class TestDotEnv:
    TEXT = "source: {plugin: csv, options: {path: '${INPUT}'}}\nsinks: {out: {plugin: csv}}\n"

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path(".env").write_text("INPUT=from_file\nELSPETH_CONCURRENCY__MAX_WORKERS=9\n")

    def test_it_is_read_from_the_working_directory(self, loaded):
        settings = loaded(self.TEXT, dotenv=True).settings
        assert settings.source.options["path"] == "from_file"
        assert settings.concurrency.max_workers == 9

    def test_the_environment_wins(self, loaded):
        assert loaded(self.TEXT, {"INPUT": "real"}, dotenv=True).settings.source.options["path"] == "real"

    def test_it_can_be_left_out(self, problems):
        assert "INPUT is not set" in problems(self.TEXT, dotenv=False)[0].message

    def test_the_process_environment_is_not_changed(self, loaded):
        environ: dict[str, str] = {}
        loaded(self.TEXT, environ, dotenv=True)
        assert environ == {}

    def test_one_that_cannot_be_read_is_told(self, problems):
        Path(".env").write_bytes(b"A=\xff\xfe\n")
        assert problems(self.TEXT, dotenv=True)[0].file == ".env"


class TestOverrides:
    def test_a_variable_stands_in_place_of_a_key(self, good, loaded):
        loading = loaded(good, {
            "ELSPETH_LANDSCAPE__URL": "sqlite:///other.db",
            "ELSPETH_CHECKPOINT__ENABLED": "no",
            "ELSPETH_RETRY__MAX_DELAY_SECONDS": "5",
            "ELSPETH_SINKS__HIGH_VALUES__OPTIONS__PATH": "elsewhere.csv",
            "ELSPETH_GATES__AMOUNT_THRESHOLD__CONDITION": "row['amount'] > 5",
            "ELSPETH_TRANSFORMS__0__POOL_SIZE": "3",
            "ELSPETH_PAYLOAD_STORE__RETENTION_DAYS": "null",
        })  # fmt: skip
        settings = loading.settings
        assert settings.landscape.url == "sqlite:///other.db"
        assert settings.checkpoint.enabled is False
        assert settings.retry.max_delay_seconds == 5.0
        assert settings.sinks["high_values"].options["path"] == "elsewhere.csv"
        assert settings.gates[0].condition == "row['amount'] > 5"
        assert settings.transforms[0].pool_size == 3
        assert settings.payload_store.retention_days is None
        assert loading.document["landscape"]["url"] == "sqlite:///other.db"

    def test_text_that_looks_like_a_number_stays_text_where_text_is_expected(self, good, loaded):
        assert loaded(good, {"ELSPETH_GATES__0__NAME": "007"}).settings.gates[0].name == "007"

    def test_it_wins_over_both_places_of_a_key_that_may_stand_in_two(self, good, loaded):
        for name in ("ELSPETH_SOURCE__ON_VALIDATION_FAILURE", "ELSPETH_SOURCE__OPTIONS__ON_VALIDATION_FAILURE"):
            assert loaded(good, {name: "discard"}).settings.source.on_validation_failure == "discard"

    def test_a_list_may_be_given(self, good, loaded):
        assert loaded(good, {"ELSPETH_SOURCE__OPTIONS__COLUMNS": "[a, b]"}).settings.source.options["columns"] == [
            "a",
            "b",
        ]

    @pytest.mark.parametrize(
        ("name", "value", "says"),
        [
            ("ELSPETH_CHEKPOINT__ENABLED", "true", "did you mean checkpoint?"),
            ("ELSPETH_CONCURRENCY__MAX_WORKRS", "2", "did you mean max_workers?"),
            ("ELSPETH_CONCURRENCY__MAX_WORKERS", "many", "a whole number"),
            ("ELSPETH_CONCURRENCY__MAX_WORKERS", "0", "at least 1"),
            ("ELSPETH_GATES__7__NAME", "x", "there is no gates.7.name"),
            ("ELSPETH_GATES__NOBODY__NAME", "x", "there is no gates.nobody.name"),
            ("ELSPETH_DEFAULT_SINK__X", "x", "there is no default_sink.x"),
            ("ELSPETH_CONCURRENCY__", "x", "there is no"),
        ],
    )
    def test_one_that_fits_nowhere_is_told_by_the_name_of_the_variable(self, good, problems, name, value, says):
        [problem] = problems(good, {name: value})
        assert problem.file == f"variable {name}"
        assert problem.line is None
        assert says in str(problem)

    def test_names_without_a_section_are_left_alone(self, good, loaded):
        environ = {"ELSPETH_SIGNING_KEY": "k", "ELSPETH_ALLOW_RAW_SECRETS": "false", "ELSPETH_ANYTHING": "1"}
        assert loaded(good, environ).document == loaded(good).document

    def test_a_variable_that_is_set_but_empty_counts_as_not_set(self, good, loaded):
        assert loaded(good, {"ELSPETH_LANDSCAPE__URL": ""}).document == loaded(good).document

    def test_the_command_line_wins_over_the_environment(self, good, loaded):
        settings = loaded(
            good, {"ELSPETH_CONCURRENCY__MAX_WORKERS": "2"}, overrides=["concurrency.max_workers=3"]
        ).settings
        assert settings.concurrency.max_workers == 3

    @pytest.mark.parametrize(
        ("assignment", "says"),
        [
            ("concurrency.max_workers=x", "--set concurrency.max_workers: concurrency.max_workers: has the wrong type"),
            ("concurrency.max_workers", "has no value"),
            ("concurrency.max_workers=${NOPE}", "the variable NOPE is not set"),
            ("source.options.api_key=hunter2", "--set source.options.api_key: source.options.api_key: a credential"),
        ],
    )
    def test_a_wrong_word_on_the_command_line_is_told(self, good, problems, assignment, says):
        [problem] = problems(good, overrides=[assignment])
        assert says in str(problem)
        assert "hunter2" not in str(problem)
