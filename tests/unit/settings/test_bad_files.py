"""Bad settings: all problems in one go, each with its line, its key, what was found and what is allowed."""

from __future__ import annotations

import os

import pytest

from elspeth.errors import EXIT_USAGE, SettingsError, from_value
from elspeth.settings import Problem, SettingsProblems, load
from elspeth.settings.document import MAX_DEPTH

MIXED = """\
source:
  plugin: csv
  options: {path: "${NO_SUCH_VARIABLE}"}
transforms:
  - plugin: field_mapper
    on_eror: discard
gates:
  - name: "two words"
    condition: true
    routes: {"true": out}
sinks:
  out:
    plugin: csv
    options:
      api_key: hunter2
  out:
    plugin: csv
checkpoint: {frequency: every_rows}
concurrency: {max_workers: 0}
supervisor: {max_restarts: "3"}
chekpoint: {}
"""


def test_all_problems_come_in_one_go_in_the_order_of_lines(problems):
    found = [(problem.line, problem.key) for problem in problems(MIXED)]
    assert found == [
        (3, "source.options.path"),
        (6, "transforms.0.on_eror"),
        (8, "gates.0.name"),
        (9, "gates.0.condition"),
        (15, "sinks.out.options.api_key"),
        (16, "sinks.out"),
        (18, "checkpoint.frequency"),
        (19, "concurrency.max_workers"),
        (20, "supervisor.max_restarts"),
        (21, "chekpoint"),
    ]


def test_the_error_lists_every_problem_and_ends_with_the_usage_exit_code(loaded):
    with pytest.raises(SettingsProblems) as caught:
        loaded(MIXED)
    error = caught.value
    assert error.exit_code == EXIT_USAGE
    assert "10 problems" in error.message
    assert len(error.details) == 10
    assert all(detail in str(error) for detail in error.details)
    assert error.details[1].startswith(f"{error.problems[0].file}:6: transforms.0.on_eror: unknown key; allowed: ")
    assert error.details[1].endswith("did you mean on_error?")


def test_the_error_crosses_processes_as_a_settings_error(loaded):
    with pytest.raises(SettingsProblems) as caught:
        loaded(MIXED)
    copy = from_value(caught.value.to_value())
    assert type(copy) is SettingsError
    assert copy.details == caught.value.details


C = "coalesce:\n  - name: c\n    "  # keys follow in line 5
BASE = "source: {plugin: csv}\nsinks: {out: {plugin: csv}}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        # unknown and misspelt keys
        (BASE + "sinkz: {}\n", 3, "sinkz", "did you mean sinks?"),
        (BASE + "zebra: 1\n", 3, "zebra", "unknown key; allowed: name"),
        (BASE + "retry:\n  max_atempts: 2\n", 4, "retry.max_atempts", "did you mean max_attempts?"),
        (BASE + "landscape:\n  export:\n    signn: true\n", 5, "landscape.export.signn", "did you mean sign?"),
        ("source: {plugn: csv}\nsinks: {out: {plugin: csv}}\n", 1, "source.plugn", "did you mean plugin?"),
        ("sorce: {plugin: csv}\nsinks: {out: {plugin: csv}}\n", 1, "sorce", "did you mean source?"),
        # missing
        ("sinks: {out: {plugin: csv}}\n", None, "source", "is missing"),
        ("source: {plugin: csv}\n", None, "sinks", "is missing"),
        ("source: {plugin: csv}\nsinks: {}\n", 2, "sinks", "at least one"),
        ("source: {plugin: csv}\nsinks:\n  out: {}\n", 3, "sinks.out.plugin", "is missing"),
        (BASE + "gates:\n  - name: g\n    condition: x\n", 4, "gates.0.routes", "is missing"),
        (BASE + "sources: {a: {plugin: csv}}\n", 3, "sources", "one of the two"),
        # types
        (BASE + "concurrency: {max_workers: four}\n", 3, "concurrency.max_workers", "found text 'four'; allowed: a"),
        (BASE + "concurrency: {max_workers: 1.5}\n", 3, "concurrency.max_workers", "found 1.5; allowed: a whole"),
        (BASE + "concurrency: {max_workers: true}\n", 3, "concurrency.max_workers", "found true; allowed: a whole"),
        (BASE + "concurrency: {max_workers: }\n", 3, "concurrency.max_workers", "found nothing; allowed: a whole"),
        (BASE + "concurrency: 4\n", 3, "concurrency", "found 4; allowed: a mapping"),
        (BASE + "checkpoint: {enabled: 1}\n", 3, "checkpoint.enabled", "found 1; allowed: true or false"),
        (BASE + "retry: {max_delay_seconds: [1]}\n", 3, "retry.max_delay_seconds", "found a list; allowed: a number"),
        (BASE + "transforms: {plugin: x}\n", 3, "transforms", "found a mapping; allowed: a list"),
        (BASE + "default_sink: no\n", 3, "default_sink", "found false; allowed: a text"),
        (BASE + "default_sink: ''\n", 3, "default_sink", "not empty"),
        ("source: csv\nsinks: {out: {plugin: csv}}\n", 1, "source", "found text 'csv'; allowed: a mapping"),
        ("source: {plugin: csv, options: [a]}\nsinks: {out: {plugin: csv}}\n", 1, "source.options", "found a list"),
        # choices and ranges
        (BASE + "checkpoint: {frequency: evry_row}\n", 3, "checkpoint.frequency", "did you mean every_row?"),
        (BASE + "payload_store: {backend: s3}\n", 3, "payload_store.backend", "allowed: filesystem"),
        (BASE + "supervisor: {within_seconds: 0}\n", 3, "supervisor.within_seconds", "found 0; allowed: more than 0"),
        (BASE + "concurrency: {max_workers: 99999}\n", 3, "concurrency.max_workers", "allowed: at most 1024"),
        # rules between keys
        (BASE + "checkpoint:\n  frequency: every_n\n", 4, "checkpoint.frequency", "needs checkpoint_interval"),
        (BASE + "landscape: {export: {enabled: true}}\n", 3, "landscape.export.enabled", "the name of a sink"),
        (BASE + "landscape: {url: 'mysql://host/db'}\n", 3, "landscape.url", "allowed: sqlite:///PATH"),
        (BASE + "landscape: {url: 'sqlite:///:memory:'}\n", 3, "landscape.url", "allowed: sqlite:///PATH"),
        (BASE + C + "branches: [a, a]\n", 5, "coalesce.0.branches", "'a' stands here twice"),
        (BASE + C + "branches: [a]\n    policy: quorum\n", 6, "coalesce.0.policy", "quorum_count"),
        (BASE + C + "branches: [a]\n    quorum_count: 2\n", 6, "coalesce.0.quorum_count", "1 to 1"),
        (BASE + C + "branches: [a]\n    select_branch: b\n", 6, "coalesce.0.select_branch", "found b"),
        (BASE + C + "branches: [a]\n    merge: select\n", 6, "coalesce.0.merge", "select_branch"),
        # names become parts of ids
        ("source: {plugin: csv}\nsinks:\n  'a/b': {plugin: csv}\n", 3, "sinks.a/b", "letters, digits"),
        # two places, two values
        (
            "source: {plugin: csv}\nsinks:\n  out:\n    plugin: csv\n    on_write_failure: discard\n"
            "    options:\n      on_write_failure: other\n",
            7, "sinks.out.options.on_write_failure", "the other is in line 5",
        ),
        # YAML
        ("source: {plugin: csv\nsinks: {}\n", 2, "", "broken YAML at column"),
        ("source:\n\tplugin: csv\n", 2, "", "a tab; allowed: spaces"),
        ("source: {path: ${VAR}}\n", 1, "", 'write "${NAME}" in quotes'),
        ("a: 1\nb: *nowhere\n", 2, "", "undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "", "single document"),
        ("a: 'open\n", 2, "", "end of stream"),
        (BASE + "name: a\nname: b\n", 4, "name", "stands here twice, first in line 3"),
        (BASE + "name: !!python/object:os.system x\n", 3, "name", "cannot be read"),
        (BASE + "telemetry: !thing {}\n", 3, "telemetry", "a YAML tag"),
        (BASE + "telemetry: {x: .nan}\n", 3, "telemetry.x", "cannot be read"),
        (BASE + "telemetry: {x: 1.0e+999}\n", 3, "telemetry.x", "cannot be read"),
        (BASE + "telemetry: {x: " + "9" * 5000 + "}\n", 3, "telemetry.x", "cannot be read"),
        (BASE + 'telemetry: {x: "\\ud800"}\n', 3, "telemetry.x", "surrogate"),
        (BASE + "telemetry: {[a]: 1}\n", 3, "telemetry", "cannot be a key"),
        (BASE + "telemetry: &t\n  self: *t\n", 4, "telemetry.self", "contains itself"),
        (BASE + "telemetry: {<<: 1}\n", 3, "telemetry", "can only merge mappings"),
        ("", None, "", "is empty"),
        ("# only a comment\n", None, "", "is empty"),
        ("- a\n", None, "", "is no mapping"),
        ("just text\n", None, "", "is no mapping"),
        ("a: \x01\n", 1, "", "a control character"),
        ("a: " + "[" * 5000, None, "", "nested too deeply"),
        (BASE + "telemetry: {x: " + "[" * 150 + "]" * 150 + "}", 3, None, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_with_line_and_key(problems, text, line, key, says):
    found = problems(text)
    assert len(found) == 1, found
    assert found[0].line == line
    if key is not None:
        assert found[0].key == key
    assert says in str(found[0])


def test_one_level_too_many_is_one_too_many(loaded, problems):
    def text(lists: int) -> str:
        return BASE + "telemetry: {exporters: " + "[" * lists + "]" * lists + "}"

    loaded(text(MAX_DEPTH - 2))  # the document and the section are two
    assert "nested too deeply" in str(problems(text(MAX_DEPTH - 1))[0])


def test_a_key_without_effect_may_have_its_value_from_a_variable(loaded, problems):
    text = BASE + 'landscape: {dump_to_jsonl_include_payloads: "${X}"}\n'
    assert loaded(text, {"X": "true"})
    found = problems(text, {"X": "maybe"})
    assert "found the value of ${X}; allowed: true or false" in str(found[0])


def test_aliases_of_aliases_cannot_fill_the_memory(problems):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "becomes too large" in str(problems("\n".join(levels))[0])


def test_words_of_broken_yaml_are_not_repeated_because_they_may_be_a_password(problems):
    for text in ("password: *hunter2\n", "password: !hunter2! x\n", "password: &hunter2 a\nb: &hunter2 b\nc: [\n"):
        assert "hunter2" not in str(problems(text))


def test_wiring_problems_come_in_the_same_go_even_if_a_key_is_misspelt(problems):
    text = """\
source: {plugin: csv}
gates:
  - name: g
    condition: "row['a']"
    routs: {"true": nowhere}
sinks: {out: {plugin: csv}}
checkpoint: {frequency: never}
"""

    def wiring(settings, positions):
        assert settings.checkpoint.frequency == "every_row"
        target = settings.gates[0].routes["true"]
        raise SettingsProblems([positions.problem(("gates", 0, "routes", "true"), "leads nowhere", found=target)])

    found = [(problem.line, problem.key) for problem in problems(text, further=wiring)]
    assert found == [(5, "gates.0.routs"), (5, "gates.0.routes.true"), (7, "checkpoint.frequency")]


def test_all_that_a_section_contradicts_itself_in_is_told(problems):
    text = BASE + C + "branches: [a]\n    policy: quorum\n    merge: select\n"
    assert [(problem.line, problem.key) for problem in problems(text)] == [
        (6, "coalesce.0.policy"),
        (7, "coalesce.0.merge"),
    ]


def test_wiring_is_not_judged_where_it_cannot_be_understood(problems):
    def wiring(settings, positions):
        raise AssertionError("not to be called")

    assert problems("source: {plugin: csv}\nsinks: {out: {plugin: csv}, other: 3}\n", further=wiring)


class TestTheFileItself:
    def test_a_missing_file_is_named_with_one_that_is_there(self, tmp_path):
        (tmp_path / "pipeline.yaml").write_text(BASE)
        assert "did you mean" in self.refusal(tmp_path / "pipline.yaml")
        assert "no such file" in self.refusal(tmp_path / "pipline.yaml")

    def test_a_folder_is_no_file(self, tmp_path):
        assert "is a folder" in self.refusal(tmp_path)

    def test_text_that_is_not_utf_8_is_told_with_its_line(self, tmp_path):
        path = tmp_path / "latin.yaml"
        path.write_bytes(b"name: a\ndescription: caf\xe9\n")
        assert self.refusal(path).endswith(f"{path}:2: is not UTF-8 text")

    def test_a_file_without_end_is_not_read_to_its_end(self, tmp_path):
        path = tmp_path / "large.yaml"
        path.write_bytes(b"a" * (5 * 1024 * 1024))
        assert "larger than settings can be" in self.refusal(path)

    def test_a_name_that_no_file_can_have_is_refused_in_words(self, tmp_path):
        assert "cannot be read" in self.refusal(tmp_path / "a\0b")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read_is_named(self, tmp_path):
        path = tmp_path / "closed.yaml"
        path.write_text(BASE)
        path.chmod(0)
        assert "Permission denied" in self.refusal(path)

    def refusal(self, path):
        with pytest.raises(SettingsProblems) as caught:
            load(path, environ={}, dotenv=False)
        return str(caught.value)


def test_a_problem_reads_as_one_line():
    problem = Problem("f.yaml", 3, "a.b", "unknown key", allowed="x, y", suggestion="x")
    assert str(problem) == "f.yaml:3: a.b: unknown key; allowed: x, y; did you mean x?"
