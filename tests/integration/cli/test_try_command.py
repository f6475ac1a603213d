"""`elspeth try` shows what would be asked, and with `--call` what is answered; there is no run either way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.cli import app
from tests.kit.provider.server import FakeProvider, by_hash

KEY = "sk-0123456789abcdef"
LLM = {
    "plugin": "llm", "on_error": "bad",
    "options": {
        "provider": "main", "model": "m", "system": "Be brief.", "prompt_template": "Label: {{ row.text }}",
        "price": {"per_call": 0.5},
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY", KEY)
    (tmp_path / "in.csv").write_text("id,text\n1,one\n2,two\n3,three\n4,four\n")
    return tmp_path


def pipeline(*steps: dict[str, Any], url: str = "http://127.0.0.1:9/v1", **more: Any) -> None:
    Path("pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "csv", "options": {"path": "in.csv"}},
        "providers": {"main": {"kind": "openai", "base_url": url, "api_key": "${KEY}"}},
        "budget": {"currency": "EUR"},
        "transforms": list(steps),
        "sinks": {name: {"plugin": "json", "options": {"path": f"{name}.json"}} for name in ("out", "bad")},
        "default_sink": "out", **more,
    }))  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = app.run(["try", "pipeline.yaml", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_prompts_are_shown_and_nothing_is_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    pipeline(LLM)
    code, told, _ = run(capsys)
    assert code == 0
    assert [word in told for word in ("Label: one", "Label: two", "Label: three", "Label: four")] == [True] * 3 + [
        False
    ]
    assert "Be brief." in told
    assert "Nothing was asked" in told
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "pipeline.yaml"])


def test_with_call_answers_and_their_cost_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeProvider(key=KEY, faults=["429 retry-after-ms", "400"]) as provider:
        pipeline(LLM, url=provider.url)
        code, told, _ = run(capsys, "--rows", "2", "--call")
    assert code == 0
    assert len(provider.seen) == 3
    assert by_hash(provider.seen[2]) in told
    assert "no such parameter (refused)" in told
    assert "tokens, 0.5 EUR" in told
    assert "2 calls, 0.5 EUR" in told
    assert KEY not in told


def test_rows_are_taken_through_the_steps_in_front(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shout = {"plugin": "value_transform", "options": {"operations": [
        {"target": "text", "expression": "upper(row['text'])"}]}}  # fmt: skip
    only = {"plugin": "filter", "options": {"condition": "row['id'] != '2'", "rejected": "discard"}}
    pipeline(shout, only, LLM)
    code, told, _ = run(capsys, "--rows", "3")
    assert code == 0, told
    assert "Label: ONE" in told
    assert "row 2 asks nothing" in told


def test_what_is_asked_can_be_read_by_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline(LLM)
    code, told, _ = run(capsys, "--rows", "1", "--json")
    value = json.loads(told)
    assert code == 0
    assert value["calls"][0]["request"]["messages"][1]["content"] == "Label: one"
    assert value["calls"][0]["answer"] is None


def test_a_key_that_is_refused_is_said_without_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeProvider(faults=["401"]) as provider:
        pipeline(LLM, url=provider.url)
        code, told, error = run(capsys, "--call")
    assert code == 12
    assert "Incorrect API key" in error
    assert KEY not in told + error


def test_a_pipeline_that_asks_nothing_is_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline()
    code, _, error = run(capsys)
    assert code == 2
    assert "no step of this pipeline asks a service" in error
