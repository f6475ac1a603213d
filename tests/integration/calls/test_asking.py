"""A run that asks a model about each row, and everything that a service may answer: each its own end, nothing spent."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.processes.running import elspeth
from tests.kit.provider.server import FakeProvider, by_hash

KEY = "sk-never-shown-0123456789"
ROWS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [f"{number},text {number}" for number in range(1, ROWS + 1)]
    (tmp_path / "in.csv").write_text("\n".join(["id,text", *lines, ""]))
    return tmp_path


def write(folder: Path, url: str, provider: dict[str, Any] | None = None, options: dict[str, Any] | None = None,
          **more: Any) -> None:  # fmt: skip
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "csv", "options": {"path": "in.csv"}},
        "providers": {"main": {"kind": "openai", "base_url": url, "api_key": "${KEY}", **(provider or {})}},
        "transforms": [{
            "name": "ask", "plugin": "llm", "pool_size": 8, "on_error": "bad",
            "options": {"provider": "main", "model": "m", "prompt_template": "{{ row.text }}", **(options or {})},
        }],
        "sinks": {
            "out": {"plugin": "csv", "options": {"path": "out.csv"}},
            "bad": {"plugin": "json", "options": {"path": "bad.jsonl", "format": "jsonl"}},
        },
        "default_sink": "out", **more,
    }, sort_keys=False))  # fmt: skip


def run(folder: Path, *words: str) -> Any:
    return elspeth(*(words or ("run", "pipeline.yaml", "--execute")), cwd=folder, KEY=KEY)


def answers(folder: Path) -> dict[str, str]:
    return {line.split(",")[0]: line.split(",")[2] for line in (folder / "out.csv").read_text().splitlines()[1:]}


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as db:
        return db.execute(query).fetchall()


def run_id(folder: Path) -> str:
    return str(rows(folder, "SELECT run_id FROM runs")[0][0])


def everything(folder: Path) -> bytes:
    """All that the run left, byte for byte."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "paid.jsonl"]
    return b"\0".join(path.read_bytes() for path in files)


def test_every_row_has_the_answer_to_its_own_question(folder: Path) -> None:
    with FakeProvider(key=KEY) as provider:
        write(folder, provider.url)
        done = run(folder)
    assert done.returncode == 0, done.stderr
    by_text = {asked.question: by_hash(asked) for asked in provider.seen}
    assert answers(folder) == {str(number): by_text[f"text {number}"] for number in range(1, ROWS + 1)}
    assert provider.paid_twice() == []
    assert KEY.encode() not in everything(folder)
    assert KEY not in done.stdout + done.stderr
    assert run(folder, "verify", run_id(folder)).returncode == 0


def test_the_key_is_in_nothing_that_anybody_else_can_read(folder: Path) -> None:
    seen: set[bytes] = set()

    def answer(asked: Any) -> str:
        """What every process of this machine was started with, while the run is under way."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen.add(path.read_bytes())
        return f"{by_hash(asked)} {KEY}"  # a service that repeats it

    with FakeProvider(key=KEY, answer=answer, faults={"text 3": ["400"]}) as provider:
        write(folder, provider.url, landscape={"dump_to_jsonl": True})
        done = run(folder, "run", "pipeline.yaml", "--execute", "--verbose")
    assert done.returncode == 0, done.stderr
    assert any(b"pipeline.yaml" in words for words in seen)
    exported = run(folder, "export", run_id(folder), "-o", "evidence")
    assert exported.returncode == 0, exported.stderr
    told = [run(folder, *words) for words in (("explain", "--row", "2"), ("status", "latest"), ("replay", "latest"))]
    assert [each.returncode for each in told] == [0, 0, 0]
    names = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert {".db", ".jsonl", ".csv"} <= names
    assert KEY.encode() not in everything(folder)
    assert not any(KEY.encode() in words for words in seen)
    assert not any(KEY in each.stdout + each.stderr for each in (done, exported, *told))


PASSING = [
    "429", "429 retry-after-ms", "429 reset", "500", "502", "503", "reset", "drop", "cut body", "529",
    "200 with 429 within", "200 with 502 within",
]  # fmt: skip


def test_troubles_that_pass_spend_no_row(folder: Path) -> None:
    with FakeProvider(faults=PASSING) as provider:
        write(folder, provider.url, retry={"max_attempts": 12})
        done = run(folder)
    assert done.returncode == 0, done.stderr
    assert len(answers(folder)) == ROWS
    assert len(provider.seen) == ROWS + len(PASSING)
    assert set(provider.paid_twice()) <= {asked.question for asked in provider.seen}
    unknown = rows(folder, "SELECT count(*) FROM calls WHERE status = 'unknown'")[0][0]
    assert unknown == 3  # reset, drop and cut body: nobody here knows
    assert len(provider.paid) - ROWS <= unknown


LASTING = {
    "400": "refused", "404": "refused", "413": "refused", "422": "refused", "invalid json": "invalid_json",
    "wrong type": "wrong_content_type", "no choices": "no_choices", "no finish reason": "no_finish_reason",
    "no text": "no_text", "length": "length", "filter 200": "content_filter", "filter 400": "content_filter",
    "redirect": "redirected",
}  # fmt: skip


def test_what_lasts_is_the_error_of_its_row_with_a_reason_of_its_own(folder: Path) -> None:
    faults = {f"text {number}": [fault] for number, fault in enumerate(LASTING, 1)}
    with FakeProvider(faults=faults) as provider:
        write(folder, provider.url)
        done = run(folder)
    assert done.returncode in (0, 10), done.stderr
    assert len(provider.seen) == ROWS  # none was asked twice
    bad = [json.loads(line) for line in (folder / "bad.jsonl").read_text().splitlines()]
    assert [row["id"] for row in bad] == [str(number) for number in range(1, len(LASTING) + 1)]
    errors = rows(folder, "SELECT error_json FROM transform_errors ORDER BY error_id")
    found = sorted(json.loads(text)["why"] for (text,) in errors)
    assert found == sorted(LASTING.values())


@pytest.mark.parametrize("fault", ["401", "403", "402", "quota", "credit"])
def test_an_account_that_is_refused_stops_the_run_and_no_row_is_spent(folder: Path, fault: str) -> None:
    with FakeProvider(faults=[fault] * ROWS) as provider:
        write(folder, provider.url)
        stopped = run(folder)
        assert stopped.returncode == 12, stopped.stderr
        assert KEY not in stopped.stdout + stopped.stderr
        assert KEY.encode() not in everything(folder)
        assert rows(folder, "SELECT count(*) FROM token_outcomes WHERE outcome != 'completed'") == [(0,)]
        provider.next_faults.clear()
        again = run(folder, "resume", run_id(folder))
    assert again.returncode == 0, again.stderr
    assert len(answers(folder)) == ROWS
    assert provider.paid_twice() == []


def test_a_service_that_is_down_is_waited_for_and_then_the_run_gives_way_in_order(folder: Path) -> None:
    with FakeProvider() as provider:
        port = provider.port
        write(folder, provider.url, {"outage_seconds": 1})
    gone = run(folder)
    assert gone.returncode == 75, gone.stderr
    assert "main" in gone.stderr
    with FakeProvider(port=port) as provider:
        again = run(folder, "resume", run_id(folder))
    assert again.returncode == 0, again.stderr
    assert len(answers(folder)) == ROWS


def test_a_budget_ends_the_run_in_order_and_may_be_raised(folder: Path) -> None:
    with FakeProvider() as provider:
        write(folder, provider.url, options={"price": {"per_call": 1}}, budget={"max_cost": 10, "currency": "EUR"})
        spent = run(folder)
        assert spent.returncode == 12, spent.stderr
        assert len(provider.paid) == 10
        again = run(folder, "resume", run_id(folder), "--set", "budget.max_cost=100")
    assert again.returncode == 0, again.stderr
    assert (len(answers(folder)), len(provider.paid)) == (ROWS, ROWS)
    assert "Asked main: 30 calls, " in again.stdout
    assert " tokens, 30.0 EUR.\n" in again.stdout


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_are_out_at_once_than_allowed_whatever_the_number_of_workers(folder: Path, workers: int) -> None:
    with FakeProvider(seconds=0.02) as provider:
        write(folder, provider.url, rate_limit={"main": {"max_concurrent": 3}}, concurrency={"max_workers": workers})
        done = run(folder)
    assert done.returncode == 0, done.stderr
    assert provider.most_at_once <= 3


def test_a_file_in_the_words_of_another_program_runs(folder: Path) -> None:
    with FakeProvider(key=KEY) as provider:
        options = {"endpoint": provider.origin, "api_key": "${KEY}", "api_version": "2024-10-21",
                   "deployment_name": "gpt", "template": "{{ row.text }}", "temperature": 0}  # fmt: skip
        write(folder, provider.url)
        text = yaml.safe_load((folder / "pipeline.yaml").read_text())
        text["transforms"] = [{"plugin": "azure_llm", "options": options}]
        del text["providers"]
        text["sinks"]["out"] = {"plugin": "json", "options": {"path": "out.json"}}
        del text["sinks"]["bad"]
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(text))
        done = run(folder)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "out.json").read_text())
    assert len(found) == ROWS
    assert found[0]["llm_response"].startswith("answer ")
    assert found[0]["llm_response_model"] == "gpt"
    assert found[0]["llm_response_usage"]["total_tokens"] > 0
    assert KEY.encode() not in everything(folder)


def test_a_service_that_is_no_model_is_asked_the_same_way(folder: Path) -> None:
    with FakeProvider(answer=lambda asked: {"score": len(asked.target)}, faults=["503"]) as provider:
        write(folder, provider.url)
        text = yaml.safe_load((folder / "pipeline.yaml").read_text())
        text["providers"] = {"crm": {"kind": "http", "base_url": provider.origin, "allow_private": True,
                                     "headers": {"X-Token": "${KEY}"}}}  # fmt: skip
        text["transforms"] = [{
            "name": "score", "plugin": "http", "pool_size": 4, "on_error": "bad",
            "options": {"provider": "crm", "path": "/score/{{ row.id }}",
                        "output": {"fields": {"score": "body.score"}}},
        }]  # fmt: skip
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(text))
        done = run(folder)
    assert done.returncode == 0, done.stderr
    assert answers(folder)["10"] == str(len("/score/10"))
    assert provider.seen[0].headers["x-token"] == KEY
    assert KEY.encode() not in everything(folder)
