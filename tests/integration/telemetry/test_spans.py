"""Spans of real runs: one trace over all attempts, a span for each commit, life and call, and no word of a row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.telemetry.conftest import Collector, attributes
from tests.kit.pipelines import calling
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.held import elspeth, held_run, make
from tests.kit.processes.running import pausing
from tests.kit.processes.waiting import wait_until
from tests.kit.provider.server import FakeProvider

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
ROWS = 12


def endpoint(collector: Collector) -> str:
    return f"telemetry: {{otlp: {{endpoint: '{collector.url}'}}}}\n"


def test_run_attempt_commits_lives_and_calls_are_one_tree(tmp_path: Path, collector: Collector) -> None:
    with FakeProvider(key=calling.KEY) as provider:
        folder = calling.lay(tmp_path / "run", provider.url, ROWS, provider="allow_private: true",
                             more=endpoint(collector))  # fmt: skip
        done = elspeth(folder, *RUN, CALLS_KEY=calling.KEY)
    assert done.returncode == 0, done.stderr
    assert len({span.trace_id for span in collector.spans}) == 1
    assert len({span.span_id for span in collector.spans}) == len(collector.spans)
    (run,), (attempt,) = collector.named("run"), collector.named("attempt")
    assert (run.parent_span_id, attempt.parent_span_id) == (b"", run.span_id)
    rest = [span for span in collector.spans if span not in (run, attempt)]
    assert {span.parent_span_id for span in rest} == {attempt.span_id}
    assert attributes(attempt)["elspeth.complete"] is True
    assert collector.named("commit")
    lives = {attributes(span)["elspeth.child"] for span in collector.named("child")}
    assert lives >= {"audit", "sinks", "source", "worker-1"}
    calls = collector.named("chat")
    assert len(calls) == ROWS
    for span in calls:
        said = attributes(span)
        assert span.name == "chat m"
        assert (said["gen_ai.operation.name"], said["gen_ai.request.model"]) == ("chat", "m")
        assert (said["gen_ai.provider.name"], said["server.address"]) == ("openai", "127.0.0.1")
        assert said["gen_ai.usage.input_tokens"] > 0
        assert said["gen_ai.usage.output_tokens"] > 0
        assert (said["elspeth.outcome"], said["http.response.status_code"]) == ("answered", 200)
    for span in collector.spans:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    sent = b"".join(collector.bodies)
    assert b"about 3" not in sent  # what was asked
    assert calling.KEY.encode() not in sent
    assert {each["service.name"] for each in collector.resources} == {"elspeth"}


def test_a_resume_goes_on_with_the_trace(tmp_path: Path, collector: Collector) -> None:
    settings = make(tmp_path)
    settings.write_text(settings.read_text() + endpoint(collector))
    with held_run(settings) as (process, run_id):
        wait_until(lambda: collector.named("commit"), "a commit has been told")
        process.kill()
        process.wait()
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "resume", run_id).returncode == 0
    assert len({span.trace_id for span in collector.spans}) == 1
    (attempt,) = collector.named("attempt")  # that of the first was never sent
    assert attributes(attempt)["elspeth.attempt"] == 2
    parents = {span.parent_span_id for span in collector.named("commit")}
    assert attempt.span_id in parents
    assert len(parents) == 2


def test_the_life_of_a_child_that_was_killed_is_an_error(tmp_path: Path, collector: Collector) -> None:
    pausing(tmp_path, 20)
    text = (tmp_path / "pipeline.yaml").read_text()
    (tmp_path / "pipeline.yaml").write_text(text + endpoint(collector))
    (tmp_path / "pausing.py").write_text(
        (tmp_path / "pausing.py").read_text().replace(
            "            while not", "            import os\n            if not Path('struck').exists():\n"
            "                Path('struck').touch()\n                os.kill(os.getpid(), 9)\n            while not",
        )
    )  # fmt: skip
    (tmp_path / "go").touch()
    done = elspeth(tmp_path, *RUN)
    assert done.returncode == 0, done.stderr
    lives = [span for span in collector.named("child") if attributes(span)["elspeth.child"] == "worker-1"]
    assert len(lives) == 2
    assert [span.status.code for span in lives].count(2) == 1


def test_a_collector_that_refuses_is_said_once_and_the_run_goes_on(tmp_path: Path, refusing: Collector) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + endpoint(refusing))
    done = elspeth(folder, *RUN)
    assert done.returncode == 0
    assert done.stderr.count("telemetry: ") == 1, done.stderr
    assert "spans by OTLP failed" in done.stderr
    assert refusing.bodies


def test_without_a_collector_the_run_is_the_same(tmp_path: Path, port: int) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + f"telemetry: {{otlp: {{endpoint: 'http://127.0.0.1:{port}'}}}}\n")
    done = elspeth(folder, *RUN)
    assert done.returncode == 0
    assert done.stderr.count("telemetry: ") == 1, done.stderr
    assert len(done.stderr.splitlines()) < 40


def test_without_the_extra_validate_warns_and_the_run_says_so_and_goes_on(tmp_path: Path, collector: Collector) -> None:
    folder = lay_out(tmp_path / "run", DECIDING + endpoint(collector))
    (tmp_path / "apart" / "opentelemetry").mkdir(parents=True)
    (tmp_path / "apart" / "opentelemetry" / "__init__.py").write_text("raise ImportError('no opentelemetry')\n")
    done = elspeth(folder, *RUN, PYTHONPATH=str(tmp_path / "apart"))
    assert done.returncode == 0
    assert done.stderr.count("telemetry: ") == 1, done.stderr
    assert collector.bodies == []


def test_a_run_without_telemetry_imports_none_of_it() -> None:
    script = (
        "import sys, elspeth.runs.lifecycle.drive\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'http.server', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
