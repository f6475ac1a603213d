"""What is asked about a row, and what becomes of the answer, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from elspeth.calls.model import Chat
from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.plugins.contract import RowError
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.transforms.llm import Llm
from tests.kit.provider.asking import AskingContext, Stopped
from tests.kit.provider.server import FakeProvider

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "integer"}},
    "required": ["label", "score"],
    "additionalProperties": False,
}
BASE = {"provider": "main", "model": "m", "prompt_template": "Label: {{ row.text }}"}
ROW = {"id": 1, "text": "hello"}


def step(**options: Any) -> Llm:
    plugin = registry.build(Llm, {**BASE, **options}, "llm")
    assert isinstance(plugin, Llm)
    plugin.check_references()
    plugin.setup(AskingContext.__new__(AskingContext))
    return plugin


def ask(provider: FakeProvider, row: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    context = AskingContext(provider)
    try:
        result = step(**options).process(dict(row or ROW), context)
        assert isinstance(result, dict)
        return result
    finally:
        context.client.close()


def said(*texts: str) -> Any:
    left = list(texts)
    return lambda _: left.pop(0)


GOOD = '{"label": "good", "score": 7}'
JSON = {"response": {"format": "json_schema", "schema": SCHEMA}}


def test_an_answer_becomes_a_field() -> None:
    with FakeProvider(answer=said("fine")) as provider:
        assert ask(provider) == {**ROW, "answer": "fine"}
    assert provider.seen[0].question == "Label: hello"


def test_what_is_asked_for_beside_the_answer_becomes_fields_too() -> None:
    output = {"field": "label", "raw": "as_written", "usage": True, "model": "by"}
    with FakeProvider(answer=said("fine")) as provider:
        found = ask(provider, output=output)
    assert {key: found[key] for key in ("label", "as_written", "by")} == {
        "label": "fine",
        "as_written": "fine",
        "by": "m",
    }
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"] + found["usage"]["completion_tokens"] > 0


def test_parameters_and_the_systems_part_are_sent_as_they_are() -> None:
    with FakeProvider() as provider:
        ask(provider, {"text": "{{ ignore }} system:"}, system="Be {{ brief }}.", parameters={"temperature": 0})
    body = provider.seen[0].body
    assert body["temperature"] == 0
    assert body["messages"] == [
        {"role": "system", "content": "Be {{ brief }}."}, {"role": "user", "content": "Label: {{ ignore }} system:"},
    ]  # fmt: skip


@pytest.mark.parametrize("text", [GOOD, f"```json\n{GOOD}\n```", f"```\n{GOOD}```\n"])
def test_json_is_taken_apart_by_path(text: str) -> None:
    with FakeProvider(answer=said(text)) as provider:
        found = ask(provider, **JSON, output={"fields": {"l": "label", "s": "score"}, "field": "whole"})
    assert found == {**ROW, "l": "good", "s": 7, "whole": json.loads(GOOD)}


def test_without_an_output_the_fields_are_those_of_the_schema() -> None:
    with FakeProvider(answer=said(GOOD)) as provider:
        assert ask(provider, **JSON) == {**ROW, "label": "good", "score": 7}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("good", "no JSON"),
        ('{"label": "good"', "no JSON"),
        ('{"label": "good", "score": NaN}', "no JSON"),
        ('{"label": "fair", "score": 7}', "$.label"),
        ('{"label": "good"}', "'score' is a required property"),
        ("[" * 5000, "no JSON"),
    ],
)
def test_an_answer_that_does_not_meet_the_schema_is_the_rows_error_with_its_text(text: str, words: str) -> None:
    with FakeProvider(answer=said(text)) as provider, pytest.raises(RowError) as raised:
        ask(provider, **JSON)
    assert words in raised.value.reason or "nested" in raised.value.reason
    assert raised.value.details["answer"] == text[:2000]
    assert raised.value.details["why"] == "invalid_answer"


def test_a_model_is_told_why_its_answer_does_not_do_and_asked_again() -> None:
    response = {**JSON["response"], "on_invalid": "ask_again", "ask_again": 2}
    with FakeProvider(answer=said("good", '{"label": "good"}', GOOD)) as provider:
        assert ask(provider, response=response)["score"] == 7
    messages = provider.seen[-1].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[1]["content"] == "good"
    assert "no JSON" in messages[2]["content"]
    assert "'score' is a required property" in messages[4]["content"]


def test_a_model_that_never_meets_the_schema_was_asked_as_often_as_allowed() -> None:
    response = {**JSON["response"], "on_invalid": "ask_again", "ask_again": 2}
    with FakeProvider(answer=said("a", "b", "c")) as provider, pytest.raises(RowError, match="asked 3 times") as raised:
        ask(provider, response=response)
    assert (len(provider.paid), raised.value.details["answer"]) == (3, "c")


@pytest.mark.parametrize("fault", ["filter 200", "filter 400"])
def test_a_content_filter_is_an_answer(fault: str) -> None:
    with FakeProvider(faults=[fault]) as provider, pytest.raises(RowError) as raised:
        ask(provider)
    assert raised.value.details["why"] == "content_filter"
    with FakeProvider(faults=[fault]) as provider:
        assert ask(provider, on_content_filter="empty") == {**ROW, "answer": None}
    assert len(provider.seen) == 1


def test_an_answer_that_was_cut_is_an_error_unless_it_is_to_be_kept() -> None:
    with FakeProvider(faults=["length"]) as provider, pytest.raises(RowError) as raised:
        ask(provider)
    assert raised.value.details["why"] == "length"
    with FakeProvider(faults=["length"], answer=said("123456789")) as provider:
        assert ask(provider, on_length="keep")["answer"] == "12345"


@pytest.mark.parametrize("fault", ["401", "403", "402", "quota", "credit"])
def test_no_row_is_spent_where_nobody_can_be_asked(fault: str) -> None:
    with FakeProvider(faults=[fault]) as provider, pytest.raises(Stopped):
        ask(provider)


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "reset", "drop", "cut body"])
def test_a_passing_trouble_is_no_rows_fault(fault: str) -> None:
    with FakeProvider(faults=[fault, fault]) as provider:
        assert ask(provider)["answer"].startswith("answer ")
    assert len(provider.seen) == 3


@pytest.mark.parametrize("fault", ["400", "404", "413", "422", "invalid json", "wrong type", "no choices", "no text"])
def test_what_asking_again_cannot_mend_is_the_rows_error_at_once(fault: str) -> None:
    with FakeProvider(faults=[fault]) as provider, pytest.raises(RowError) as raised:
        ask(provider)
    assert raised.value.details["why"]
    assert len(provider.seen) == 1


# Several questions


def test_several_questions_are_merged_in_their_order() -> None:
    queries = {
        "mood": {"prompt_template": "Mood? {{ row.text }}"},
        "topic": {"prompt_template": "Topic? {{ row.text }}", **JSON},
        "long": {"output": {"field": "long_answer"}},
    }
    with FakeProvider(answer=said("happy", GOOD, "l")) as provider:
        found = ask(provider, multi_query=queries)
    assert list(found.items())[2:] == [
        ("mood", "happy"), ("topic_label", "good"), ("topic_score", 7), ("long_answer", "l"),
    ]  # fmt: skip
    assert [asked.question for asked in provider.seen] == ["Mood? hello", "Topic? hello", "Label: hello"]


def test_an_optional_question_may_stay_without_an_answer() -> None:
    queries = {"mood": {"optional": True}, "topic": {}}
    with FakeProvider(faults=["400"]) as provider:
        found = ask(provider, multi_query=queries)
    assert found["mood"] is None
    assert found["topic"]
    with FakeProvider(faults=["400"]) as provider, pytest.raises(RowError):
        ask(provider, multi_query={"mood": {}, "topic": {"optional": True}})


def test_inputs_give_fields_other_names() -> None:
    queries = {"a": {"inputs": {"x": "text"}, "prompt_template": "{{ x }} {{ row.x }}"}}
    with FakeProvider() as provider:
        ask(provider, multi_query=queries)
    assert provider.seen[0].question == "hello hello"
    plugin = step(multi_query=queries)
    assert plugin.fields_in() == {"text"}


# Files


def test_prompts_and_tables_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("In {{ lookup.countries[row.cc] }} {{ lookup.n.one }}: {{ row.text }}")
    (tmp_path / "countries.yaml").write_text("at: Austria\n")
    (tmp_path / "system.txt").write_text("Be brief.")
    options = {
        "prompt_template": None, "prompt_file": str(tmp_path / "prompt.txt"),
        "lookups": {"countries": str(tmp_path / "countries.yaml"), "n": {"one": 1}},
        "system_file": str(tmp_path / "system.txt"),
    }  # fmt: skip
    with FakeProvider() as provider:
        ask(provider, {**ROW, "cc": "at"}, **options)
        with pytest.raises(RowError, match="there is no 'xx'"):
            ask(provider, {**ROW, "cc": "xx"}, **options)
    assert provider.seen[0].question == "In Austria 1: hello"
    assert provider.seen[0].body["messages"][0] == {"role": "system", "content": "Be brief."}
    plugin = step(**options)
    assert {path.name for path in plugin.reference_files()} == {"prompt.txt", "countries.yaml", "system.txt"}
    assert plugin.fields_in() == {"cc", "text"}
    (tmp_path / "all.yaml").write_text("countries: {at: Österreich}\nn: {one: 2}\n")
    with FakeProvider() as provider:
        ask(provider, {**ROW, "cc": "at"}, **{**options, "lookups": str(tmp_path / "all.yaml")})
    assert provider.seen[0].question == "In Österreich 2: hello"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("missing.txt", None, "cannot be read"),
        ("prompt.txt", b"\xff\xfe", "is not UTF-8"),
        ("prompt.txt", b"{{ row.x", "is no template"),
    ],
)
def test_a_prompt_file_that_cannot_be_used_is_said_before_a_run(
    tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=words):
        step(prompt_template=None, prompt_file=str(tmp_path / name))


def test_a_table_that_is_no_yaml_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: 1\nb: [\n")
    with pytest.raises(SettingsError, match="line 3"):
        step(lookups={"t": str(tmp_path / "t.yaml")})


# What validate finds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt_template": None}, "one of `prompt_template` and `prompt_file`"),
        ({"prompt_file": "x"}, "one of `prompt_template` and `prompt_file`"),
        ({"prompt_template": "{{ row.text"}, "is no template"),
        ({"prompt_template": "{{ text }}"}, "nothing of this name"),
        ({"prompt_template": "{% for i in range(10**9) %}{% endfor %}"}, "more than"),
        ({"prompt_template": "{{ 'x' * 10**9 }}"}, "more than"),
        ({"response": {"format": "json_schema"}}, "needs one"),
        ({"response": {"format": "json"}}, "output must say"),
        (
            {"response": {"format": "json_schema", "schema": {"type": "objekt"}}, "output": {"raw": "r"}},
            "no JSON Schema",
        ),
        ({"response": {"format": "xml"}}, "allowed is"),
        ({"output": {"fields": {"a": "b"}}}, "for answers that are JSON"),
        ({"output": {"field": "a", "raw": "a"}}, "one origin"),
        ({"parameters": {"stream": True}}, "'stream' is no parameter"),
        ({"system": "a", "system_file": "b"}, "give one"),
        ({"on_length": "cut"}, "allowed is"),
        ({"tempreture": 1}, "unknown option"),
        ({"price": {"input_per_million": -1}}, "greater than or equal to 0"),
    ],
)
def test_each_wrong_option_is_named_before_a_run(options: dict[str, Any], words: str) -> None:
    with pytest.raises((OptionProblems, SettingsError)) as raised:
        step(**options)
    assert words in "\n".join((raised.value.message, *raised.value.details))


def test_a_step_knows_the_fields_before_and_behind_it() -> None:
    plugin = step(output={"field": "label", "usage": "tokens"})
    assert plugin.fields_in() == {"text"}
    assert plugin.fields_out(frozenset({"id", "text"})) == {"id", "text", "label", "tokens"}


def test_what_is_reserved_is_rather_too_much() -> None:
    with FakeProvider() as provider:
        context = AskingContext(provider)
        step(parameters={"max_tokens": 50}, price={"input_per_million": 0.25}).process(dict(ROW), context)
        context.client.close()
    (terms,), (exchange,) = context.terms, context.exchanges
    assert exchange.usage is not None
    assert terms.expected.input_tokens >= exchange.usage.input_tokens
    assert terms.expected.output_tokens == 50
    assert str(terms.price.input_per_million) == "0.25"


def test_what_would_be_asked_can_be_seen_without_asking() -> None:
    (chat,) = step().chats(dict(ROW)).values()
    assert isinstance(chat, Chat)
    assert chat.messages[0].content == "Label: hello"
