"""Calls of a plugin's own client: on record, shown, added up, forgotten by a purge, and repeated by nobody."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines import calling
from tests.kit.pipelines.calling import KEY
from tests.kit.processes import program
from tests.kit.processes.recorded_run import query, run_id
from tests.kit.provider.server import FakeProvider

PLUGINS = '''
"""Steps that ask a service, and write down each time that it was asked."""

import os

from elspeth.plugins.contract import Aggregation, PluginOptions, RowError, Transform


def paid(what):
    handle = os.open("paid.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what}\\n".encode())
    os.close(handle)


class Score(Transform):
    name = "score"

    def process(self, row, ctx):
        def ask():
            paid(f"score {row['id']}")
            if row["id"] == 3:
                raise RowError("the service knows nothing of it", id=3)
            return {"score": row["id"] * 10}

        return {**row, "score": ctx.recorded("scores", {"id": row["id"]}, ask)["score"]}


class Sum(Aggregation):
    name = "sum_up"

    def process(self, rows, ctx):
        def ask():
            paid(f"sum {[row['id'] for row in rows]}")
            return sum(row["score"] for row in rows)

        total = ctx.recorded("totals", [row["id"] for row in rows], ask)
        return [] if total > 100 else [{"total": total}]


class Check(Transform):
    """Behind the aggregation: a call in a later stage."""

    name = "check"

    def process(self, row, ctx):
        def ask():
            paid(f"check {row['total']}")
            return True

        return {**row, "checked": ctx.recorded("checks", row, ask)}
'''

SETTINGS = """
plugins: [steps.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
  on_success: in
transforms:
  - {name: score, plugin: score, pool_size: 4, input: in, on_success: scored, on_error: refused}
  - {name: check, plugin: check, pool_size: 3, input: sums, on_success: out}
aggregations:
  - {name: sums, plugin: sum_up, input: scored, on_success: sums, trigger: {count: 2}}
sinks:
  out: {plugin: json, options: {path: out.jsonl, format: jsonl}}
  refused: {plugin: json, options: {path: refused.jsonl, format: jsonl}}
concurrency: {max_workers: 2}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, program.Programs]]:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "steps.py").write_text(PLUGINS)
    (folder / "pipeline.yaml").write_text(SETTINGS)
    (folder / "input.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(10)))
    with program.programs() as started:
        started.call(folder, "run", "--settings", "pipeline.yaml", "--execute")
        yield folder, started


def told(programs: program.Programs, folder: Path, *words: str) -> Any:
    return json.loads(programs.call(folder, *words, "--json").out)


def calls(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM calls ORDER BY call_id")]


def test_every_call_is_paid_once_and_on_record_with_the_state_it_was_made_in(
    done: tuple[Path, program.Programs],
) -> None:
    folder, _ = done
    paid = (folder / "paid.log").read_text().splitlines()
    assert len(paid) == len(set(paid))
    found = calls(folder)
    assert len(found) == len(paid)
    nodes = dict(query(folder / "runs" / "audit.db", "SELECT state_id, node_id FROM node_states"))
    by_node: dict[str, int] = {}
    for call in found:
        node = nodes[call["state_id"]]
        by_node[node] = by_node.get(node, 0) + 1
        assert call["call_id"] == f"{call['state_id']}#{call['call_index']:03d}"
    # Two of the aggregation's five batches (no refused row is in them) give nothing, and their calls are seen, too.
    assert by_node == {"score": 10, "sums": 5, "check": 3}
    assert len((folder / "out.jsonl").read_text().splitlines()) == 3
    refused = [call for call in found if call["status"] == "refused"]
    assert [json.loads(call["response_data"])["message"] for call in refused] == ["the service knows nothing of it"]


def test_no_journal_is_left_behind(done: tuple[Path, program.Programs]) -> None:
    assert list((done[0] / "state").rglob("*.calls")) == []


def test_explain_shows_when_whom_what_and_the_answer(done: tuple[Path, program.Programs]) -> None:
    folder, programs = done
    said = programs.call(folder, "explain", "--row", "2").said
    assert "called scores (recorded) at 20" in said
    assert 'asked {"id": 2}' in said or "asked {'id': 2}" in said
    assert "20" in said.split("answered", 1)[1]
    assert "called totals (recorded)" in said


def test_status_adds_calls_up_by_provider(done: tuple[Path, program.Programs]) -> None:
    folder, programs = done
    totals = told(programs, folder, "status", "latest")["calls"]
    assert totals["scores"] == {"exchanges": 10, "answered": 9, "unknown": 0, "input_tokens": 0, "output_tokens": 0,
                                "cost": "0"}  # fmt: skip
    assert totals["totals"]["exchanges"] == 5
    said = programs.call(folder, "status", "latest").said
    assert "provider" in said
    assert "scores" in said


def test_verify_holds_and_notices_a_changed_answer(done: tuple[Path, program.Programs], tmp_path: Path) -> None:
    folder, programs = done
    programs.call(folder, "verify", "latest")
    copy = tmp_path / "audit.db"
    copy.write_bytes((folder / "runs" / "audit.db").read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE calls SET response_data = replace(response_data, 'try', 'cry') WHERE call_index = 0")
        connection.commit()
    failed = programs.start(folder, "verify", "latest", "--database", str(copy))
    failed.ends_with(1)
    assert "calls" in failed.said


def test_a_purge_forgets_what_was_said_and_keeps_hashes_and_totals(
    done: tuple[Path, program.Programs], tmp_path: Path
) -> None:
    folder, programs = done
    before = calls(folder)
    left = folder / "state" / "calls" / run_id(folder / "runs" / "audit.db")
    left.mkdir(parents=True)
    (left / "0001-worker-1-000001.calls").write_bytes(b"elspeth calls 1\n")  # of a process that was killed
    totals = told(programs, folder, "status", "latest")["calls"]
    programs.call(folder, "purge", "--run", run_id(folder / "runs" / "audit.db"))
    after = calls(folder)
    assert [call["request_data"] for call in after] == [None] * len(before)
    assert [call["response_data"] for call in after] == [None] * len(before)
    for name in ("request_hash", "response_hash", "status", "call_type", "created_at"):
        assert [call[name] for call in after] == [call[name] for call in before]
    assert told(programs, folder, "status", "latest")["calls"] == totals
    programs.call(folder, "verify", "latest")
    assert "(not kept; SHA-256" in programs.call(folder, "explain", "--row", "2").said
    assert list(left.glob("*")) == []


def test_a_disk_that_refuses_stops_the_run_and_spends_no_row(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(PLUGINS)
    (tmp_path / "pipeline.yaml").write_text(SETTINGS)
    (tmp_path / "input.csv").write_text("id\n1\n2\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "calls").write_text("in the way")
    with program.programs() as programs:
        stopped = programs.start(tmp_path, "run", "--settings", "pipeline.yaml", "--execute")
        stopped.ends_with(75)
        assert "journal of calls" in stopped.said
        (tmp_path / "state" / "calls").unlink()
        programs.call(tmp_path, "resume", "latest")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "refused.jsonl").read_text() == ""


ENVIRONMENT = {"CALLS_KEY": KEY}


def test_a_wrong_key_stops_the_run_at_the_first_answer_and_spends_no_row(tmp_path: Path) -> None:
    with FakeProvider(key=KEY) as provider, program.programs() as programs:
        folder = calling.lay(tmp_path / "run", provider.url, 40, pool=4)
        stopped = programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", CALLS_KEY="sk-a-wrong-key")
        stopped.ends_with(12)
        assert "provider main refuses to serve this account (status 401)" in stopped.said
        assert "sk-a-wrong-key" not in stopped.said
        assert len(provider.seen) <= 4
        programs.start(folder, "resume", "latest", **ENVIRONMENT).ends_with(0)
        assert sorted(provider.paid) == sorted(f"about {row}" for row in range(40))
        said = programs.call(folder, "explain", "--row", "7").said
    assert "called main (llm) at 20" in said
    assert 'answered {"status": 200, "text": "answer ' in said
    assert "tokens in, 4 out, cost 0.00" in said
    assert (folder / "output" / "refused.jsonl").read_text() == ""
    assert len((folder / "output" / "out.csv").read_text().splitlines()) == 41
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            assert b"sk-a-wrong-key" not in content, path


def test_a_spent_budget_stops_the_run_which_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    with FakeProvider() as provider, program.programs() as programs:
        folder = calling.lay(tmp_path / "run", provider.url, 40, pool=4, more="budget: {max_calls: 15}\n")
        stopped = programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **ENVIRONMENT)
        stopped.ends_with(12)
        assert "the budget is spent: 15 of 15 calls" in stopped.said
        assert len(provider.paid) == 15
        again = programs.start(folder, "resume", "latest", **ENVIRONMENT)
        again.ends_with(12)
        assert len(provider.paid) == 15
        programs.start(folder, "resume", "latest", "--set", "budget.max_calls=40", **ENVIRONMENT).ends_with(0)
        assert len(provider.paid) == len(set(provider.paid)) == 40
    assert (folder / "output" / "refused.jsonl").read_text() == ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_of_concurrency_is_one_for_all_workers(tmp_path: Path, workers: int) -> None:
    with FakeProvider(seconds=0.02) as provider, program.programs() as programs:
        more = f"rate_limit: {{main: {{max_concurrent: 3}}}}\nconcurrency: {{max_workers: {workers}}}\n"
        folder = calling.lay(tmp_path / "run", provider.url, 60, pool=20, more=more)
        programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **ENVIRONMENT).ends_with(0)
        assert provider.most_at_once == 3
        assert len(provider.paid) == 60


def test_an_outage_gives_way_in_order_and_the_run_goes_on_when_it_is_over(tmp_path: Path) -> None:
    with program.programs() as programs:
        with FakeProvider() as provider:
            port, url = provider.port, provider.url
        folder = calling.lay(tmp_path / "run", url, 30, pool=30, provider="outage_seconds: 1")
        stopped = programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **ENVIRONMENT)
        stopped.ends_with(75)
        assert "provider main has answered nothing for" in stopped.said
        with FakeProvider(port=port) as provider:
            programs.start(folder, "resume", "latest", **ENVIRONMENT).ends_with(0)
            assert len(provider.paid) == 30
    assert (folder / "output" / "refused.jsonl").read_text() == ""


@pytest.mark.parametrize("pool", [1, 2])
def test_a_call_or_a_wait_that_is_longer_than_a_hang_is_none(tmp_path: Path, pool: int) -> None:
    more = "supervisor: {hang_timeout_seconds: 1}\nrate_limit: {main: {max_concurrent: 1}}\n"
    with FakeProvider(seconds=2.5) as provider, program.programs() as programs:
        folder = calling.lay(tmp_path / "run", provider.url, 2, pool=pool, more=more)
        programs.start(folder, "run", "--settings", "pipeline.yaml", "--execute", **ENVIRONMENT).ends_with(0)
        assert sorted(provider.paid) == ["about 0", "about 1"]
        assert provider.most_at_once == 1
    ends = query(folder / "runs" / "audit.db", "SELECT detail FROM supervision_events WHERE event = 'exited'")
    assert [detail for (detail,) in ends if "hang" in (detail or "")] == []
