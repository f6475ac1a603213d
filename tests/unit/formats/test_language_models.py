"""Files that put the account beside the question, under other names, become the one step there is, and keep running."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.settings import SettingsProblems

KEY = "sk-0123456789abcdef"
PIPELINE: dict[str, Any] = {
    "source": {"plugin": "csv", "options": {"path": "in.csv"}},
    "sinks": {"out": {"plugin": "json", "options": {"path": "out.json"}}},
    "default_sink": "out",
}


def load(tmp_path: Path, *steps: Mapping[str, Any], **more: Any) -> Pipeline:
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump({**PIPELINE, "transforms": [*steps], **more}, sort_keys=False))
    return load_pipeline(file, environ={"KEY": KEY}, dotenv=False)


def problems(tmp_path: Path, *steps: Mapping[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(SettingsProblems) as raised:
        load(tmp_path, *steps, **more)
    return {problem.key: problem.message for problem in raised.value.problems}


AZURE = {"deployment_name": "gpt", "endpoint": "https://a.example", "api_key": "${KEY}", "api_version": "2024-10-21"}
OPENROUTER = {"model": "some/model", "api_key": "${KEY}"}
OLD = {"template": "Label {{ row.text }} {{ lookup.a.b }}", "lookup": {"a": {"b": 1}}, "system_prompt": "Be brief.",
       "temperature": 0.0, "max_tokens": 100, "response_field": "label", "pool_size": 4, "timeout_seconds": 30,
       "max_capacity_retry_seconds": 60}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "url", "name"),
    [
        ({"plugin": "azure_llm", "options": {**AZURE, **OLD}}, "https://a.example", "azure"),
        ({"plugin": "openrouter_llm", "options": {**OPENROUTER, **OLD}}, "https://openrouter.ai/api/v1", "openrouter"),
        ({"plugin": "llm", "options": {"provider": "azure", **AZURE, **OLD}}, "https://a.example", "azure"),
        (
            {
                "plugin": "llm",
                "options": {"provider": "openrouter", **OPENROUTER, **OLD, "base_url": "https://o.example"},
            },
            "https://o.example",
            "openrouter",
        ),
    ],
)
def test_an_account_beside_the_question_becomes_a_provider(
    tmp_path: Path, step: dict[str, Any], url: str, name: str
) -> None:
    pipeline = load(tmp_path, step)
    settings = pipeline.settings
    (transform,) = settings.transforms
    assert (transform.plugin, transform.pool_size) == ("llm", 4)
    provider = settings.providers[name]
    assert (provider.url, provider.api_key, provider.timeout_seconds, provider.outage_seconds) == (url, KEY, 30, 60)
    options = pipeline.graph.of_kind("transform")[0].options
    assert options["provider"] == name
    assert options["model"] in ("gpt", "some/model")
    assert options["prompt_template"] == OLD["template"]
    assert options["system"] == "Be brief."
    assert options["parameters"] == {"temperature": 0.0, "max_tokens": 100}
    assert options["lookups"] == {"a": {"b": 1}}
    output = options["output"]
    assert (output["field"], output["usage"], output["model"]) == ("label", "label_usage", "label_model")
    assert KEY not in pipeline.loaded.settings_json


@pytest.mark.parametrize("place", ["beside", "inside"])
@pytest.mark.parametrize("plugin", ["azure_llm", "azure_multi_query_llm"])
def test_prompts_and_tables_may_stand_in_files_and_pool_size_in_two_places(
    tmp_path: Path, plugin: str, place: str
) -> None:
    (tmp_path / "prompt.txt").write_text("Label {{ row.text }} {{ lookup.a.b }}")
    (tmp_path / "system.txt").write_text("Be brief.")
    (tmp_path / "tables.yaml").write_text("a: {b: 7}\n")
    files = {"template_file": "prompt.txt", "system_prompt_file": "system.txt", "lookup_file": "tables.yaml"}
    options: dict[str, Any] = {**AZURE, **{key: str(tmp_path / name) for key, name in files.items()}}
    if "multi" in plugin:
        options["queries"] = {"mood": {}}
    step = {"plugin": plugin, "options": options}
    (step if place == "beside" else options)["pool_size"] = 5
    pipeline = load(tmp_path, step)
    assert [each.pool_size for each in pipeline.settings.transforms] == [5]
    (node,) = pipeline.graph.of_kind("transform")
    asked: Any = pipeline.plugins[node.id]
    assert {path.name for path in asked.reference_files()} == {*files.values()}
    asked.setup(None)
    (chat,) = asked.chats({"text": "late"}).values()
    assert [message.content for message in chat.messages] == ["Be brief.", "Label late 7"]


def test_the_answer_stands_where_readers_of_such_files_look_for_it(tmp_path: Path) -> None:
    pipeline = load(tmp_path, {"plugin": "azure_llm", "options": {**AZURE, "template": "x"}})
    assert pipeline.graph.of_kind("transform")[0].options["output"]["field"] == "llm_response"


def test_steps_that_ask_one_account_share_it_and_others_have_their_own(tmp_path: Path) -> None:
    one = {"plugin": "azure_llm", "options": {**AZURE, "template": "x", "response_field": "one"}}
    two = {"plugin": "azure_llm", "options": {**AZURE, "template": "y", "response_field": "two"}}
    other = {**AZURE, "endpoint": "https://b.example", "template": "z", "response_field": "three"}
    pipeline = load(tmp_path, one, two, {"plugin": "azure_llm", "options": other})
    assert [node.options["provider"] for node in pipeline.graph.of_kind("transform")] == ["azure", "azure", "azure_2"]
    assert {name: each.url for name, each in pipeline.settings.providers.items()} == {
        "azure": "https://a.example", "azure_2": "https://b.example",
    }  # fmt: skip


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(
    ("plugin", "account"), [("azure_multi_query_llm", AZURE), ("openrouter_multi_query_llm", OPENROUTER)]
)
def test_queries_become_questions_with_schemas(
    tmp_path: Path, plugin: str, account: dict[str, Any], as_list: bool
) -> None:
    fields = [
        {"suffix": "score", "type": "integer"},
        {"suffix": "label", "type": "enum", "values": ["good", "bad"]},
    ]
    queries: Any = {
        "mood": {"input_fields": {"text": "complaint"}, "template": "Mood: {{ text }}", "output_fields": fields},
        "topic": {"input_fields": ["complaint"], "template": "Topic: {{ complaint }}"},
        "whole": {"response_format": "json"},
    }
    if as_list:
        queries = [{"name": name, **query} for name, query in queries.items()]
    pipeline = load(
        tmp_path, {"plugin": plugin, "options": {**account, "template": "{{ row.complaint }}", "queries": queries}}
    )
    (node,) = pipeline.graph.of_kind("transform")
    step: Any = pipeline.plugins[node.id]
    assert step.fields_in() == {"complaint"}
    assert step.fields_out(frozenset()) == {"mood_score", "mood_label", "topic_llm_response", "whole_llm_response"}
    mood, topic, whole = step.chats({"complaint": "late"}).values()
    assert mood.messages[-1].content == "Mood: late"
    assert topic.messages[-1].content == "Topic: late"
    assert whole.messages[-1].content == "late"
    assert mood.schema == {
        "type": "object", "properties": {"score": {"type": "integer"}, "label": {"enum": ["good", "bad"]}},
        "required": ["score", "label"], "additionalProperties": False,
    }  # fmt: skip
    assert (topic.schema, whole.json) == (None, True)


def test_a_named_provider_may_be_asked_in_the_old_words(tmp_path: Path) -> None:
    providers = {"main": {"type": "openrouter", "api_key": "${KEY}"}}
    step = {"plugin": "llm", "options": {"provider": "main", "model": "m", "template": "{{ row.a }}"}}
    pipeline = load(tmp_path, step, providers=providers)
    assert pipeline.settings.providers["main"].url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({**AZURE, "template": "x", "prompt_template": "y"}, "template", "says the same as"),
        ({**AZURE, "lookup": {}, "lookup_file": "x", "template": "x"}, "lookup_file", "says the same as"),
        ({**AZURE, "template": "x", "tempreture": 1}, "tempreture", "unknown option"),
        ({**AZURE, "template": "x", "queries": 5}, "queries", "has the wrong type"),
        ({**AZURE, "template": "x", "queries": [5]}, "queries", "no question with a name"),
        ({**AZURE, "template": "{{ text }}"}, "prompt_template", "nothing of this name"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, options: dict[str, Any], key: str, words: str) -> None:
    found = problems(tmp_path, {"plugin": "azure_llm", "options": options})
    assert words in found[f"transforms.0.options.{key}".rstrip(".")]


def test_an_account_cannot_stand_in_two_places(tmp_path: Path) -> None:
    step = {"plugin": "llm", "options": {"provider": "main", "model": "m", "template": "x", "api_key": "${KEY}"}}
    found = problems(tmp_path, step, providers={"main": {"kind": "openai"}})
    assert "belongs to the account" in found["transforms.0.options.api_key"]


@pytest.mark.parametrize(
    ("options", "providers", "key", "words"),
    [
        ({"provider": "mian", "model": "m"}, {"main": {"kind": "openai"}}, "provider", "no such provider"),
        ({"provider": "main", "model": "m"}, {}, "provider", "no such provider"),
        ({"provider": "main", "model": "m"}, {"main": {"kind": "http", "base_url": "https://a.example"}}, "provider",
         "of kind http"),
        ({"provider": "main"}, {"main": {"kind": "openai"}}, "model", "is missing"),
        ({"model": "m"}, {"main": {"kind": "openai"}}, "provider", "missing"),
    ],
)  # fmt: skip
def test_the_account_that_is_asked_must_be_there(
    tmp_path: Path, options: dict[str, Any], providers: dict[str, Any], key: str, words: str
) -> None:
    found = problems(tmp_path, {"plugin": "llm", "options": {**options, "prompt_template": "x"}}, providers=providers)
    assert words in found[f"transforms.0.options.{key}"]


def test_a_budget_that_counts_nothing_is_a_line(tmp_path: Path) -> None:
    step = {"plugin": "llm", "options": {"provider": "main", "model": "m", "prompt_template": "x"}}
    more = {"providers": {"main": {"kind": "openai"}}, "budget": {"max_cost": 5.0}}
    found = {warning.key: warning.message for warning in load(tmp_path, step, **more).loaded.warnings}
    assert "counts nothing" in found["transforms.0.options.price"]
    step["options"] |= {"price": {"per_call": 0.1}}
    assert load(tmp_path, step, **more).loaded.warnings == ()


def test_a_field_that_no_row_has_is_found_before_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("id,text\n1,a\n")
    step = {"plugin": "llm", "options": {"provider": "main", "model": "m", "prompt_template": "{{ row.txet }}"}}
    pipeline = load(tmp_path, step, providers={"main": {"kind": "openai"}})
    with pytest.raises(SettingsProblems) as raised:
        pipeline.inspect(tmp_path)
    assert "txet" in str(raised.value)


@pytest.mark.parametrize("plugin", [{}, [], ["llm"], 3, None, True])
def test_a_plugin_that_is_no_name_is_a_problem_and_no_bug(tmp_path: Path, plugin: Any) -> None:
    assert any("plugin" in key for key in problems(tmp_path, {"name": "ask", "plugin": plugin, "options": {}}))


@pytest.mark.parametrize("key", [*AZURE, *OLD])
def test_a_variable_that_is_not_set_is_one_problem_wherever_its_value_goes(tmp_path: Path, key: str) -> None:
    options = {**AZURE, **OLD, key: "${NOT_SET}"}
    assert problems(tmp_path, {"plugin": "azure_llm", "options": options}) == {
        f"transforms.0.options.{key}": "the variable NOT_SET is not set"
    }
